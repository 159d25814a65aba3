// One engine that lives through a whole run of the fuzzer, with overlays that come and go, and guards around its frames.
import { FRAME, FRAME_WORDS, SEND, SEND_WORDS } from '@overlayadm/packetio';
import type { PortSpec } from '../../src/core/engine/messages.ts';
import { HEADROOM_BYTES } from '../../src/core/util/limits.ts';
import { EngineRig, loopback, PUNT_PORT, to } from '../helpers/engine-rig.ts';
import type { SimIo } from '../helpers/sim-io.ts';
import type { Counted } from './conservation.ts';
import { must } from './door.ts';
import { isIntact, plant } from './guards.ts';

const POOL_BYTES = 2 * 1024 * 1024;
const GUARD_BYTES = 32;

/** Watches what the engine does to its arena: guards round every frame it is given, and the place of every frame it gives. */
class Watch {
  #guards: (readonly [from: number, to: number])[] = [];
  #planted: Uint8Array | undefined;
  /** Rows given to writeTaps since it was last set to zero. */
  rows = 0;

  constructor(io: SimIo) {
    const readTap = io.readTap.bind(io);
    io.readTap = (fd, arena, table, start, end, headroom, room, max) => {
      const count = readTap(fd, arena, table, start, end, headroom, room, max);
      this.#begin(arena);
      // The header of the format goes right before the frame; eight bytes in all formats of these tests.
      for (let row = 0; row < count; row++) this.#guard(table, row, HEADROOM_BYTES, 8);
      return count;
    };
    const receive = io.receive.bind(io);
    io.receive = (fd, arena, table, start, stride, max, sources) => {
      const count = receive(fd, arena, table, start, stride, max, sources);
      this.#begin(arena);
      for (let row = 0; row < count; row++) this.#guard(table, row, row === 0 ? 0 : GUARD_BYTES, 0);
      return count;
    };
    const send = io.send.bind(io);
    io.send = (sockets, arena, table, count) => {
      this.#check(arena, table, count, SEND_WORDS, SEND);
      return send(sockets, arena, table, count);
    };
    const writeTaps = io.writeTaps.bind(io);
    io.writeTaps = (arena, table, count) => {
      this.rows += count;
      this.#check(arena, table, count, FRAME_WORDS, FRAME);
      return writeTaps(arena, table, count);
    };
  }

  #begin(arena: Uint8Array): void {
    this.#guards = [];
    this.#planted = arena;
  }

  #guard(table: Uint32Array, row: number, before: number, own: number): void {
    const arena = this.#planted as Uint8Array;
    const at = table[row * FRAME_WORDS + FRAME.offset] as number;
    const length = table[row * FRAME_WORDS + FRAME.length] as number;
    if (length > arena.length) return;
    const behind = Math.min(Math.ceil((at + length) / 64) * 64, at + length + GUARD_BYTES);
    this.#guards.push([at - before, at - own], [at + length, behind]);
    plant(arena, at - before, at - own);
    plant(arena, at + length, behind);
  }

  #check(arena: Uint8Array, table: Uint32Array, count: number, words: number, columns: { readonly offset: number; readonly length: number }): void {
    for (const [from, to] of this.#guards) must(isIntact(arena, from, to), () => `it wrote outside of its slot, between ${from} and ${to}`);
    for (let row = 0; row < count; row++) {
      const end = (table[row * words + columns.offset] as number) + (table[row * words + columns.length] as number);
      must(end <= arena.length - POOL_BYTES, () => `a frame ends at ${end}, among those that wait`);
    }
  }
}

/** Number of the mux to which kernel links punt (EngineRig). */
const PUNT_MUX = 90;

export interface OpenPort {
  readonly id: number;
  readonly fd: number;
  readonly tap: ReturnType<SimIo['tap']>;
}

/** An engine for one subject after the other; what one of them broke is not given to the next. */
export class Lent {
  readonly #open: () => EngineSubject;
  #engine: EngineSubject | undefined;

  constructor(open: () => EngineSubject) {
    this.#open = open;
  }

  lend(): EngineSubject {
    const engine = this.#engine ?? this.#open();
    this.#engine = undefined;
    return engine;
  }

  giveBack(engine: EngineSubject): void {
    this.#engine = engine;
  }
}

export class EngineSubject {
  readonly rig = new EngineRig(1, undefined, POOL_BYTES);
  readonly watch = new Watch(this.rig.io);
  #last = 0;

  openPort(spec: Omit<PortSpec, 'port' | 'tap'>): OpenPort {
    const id = ++this.#last;
    const fd = this.rig.io.openTap({ name: `overlay${id}`, exclusive: true });
    this.rig.call({ op: 'openPort', spec: { ...spec, port: id, tap: fd } });
    return { id, fd, tap: this.rig.io.tap(`overlay${id}`) };
  }

  /** An engine that has the socket to which kernel links punt. */
  openPunt(): void {
    this.rig.openKernel(++this.#last);
    this.closeKernel(this.#last);
  }

  /** An overlay on a kernel link that has no row yet; its number. */
  openKernel(index: number, spec: Omit<PortSpec, 'port' | 'mux' | 'tap' | 'kernel'>): number {
    const port = ++this.#last;
    const kernel = { index, fallback: spec.point ?? loopback(PUNT_PORT), own: to(1) };
    this.rig.io.fdb.addLink(index);
    this.rig.call({ op: 'openPort', spec: { ...spec, port, mux: PUNT_MUX, kernel } });
    return port;
  }

  /** Its last counters. */
  closeKernel(port: number): Counted {
    return this.rig.call({ op: 'closePort', port }) as Counted;
  }

  /** Its last counters. */
  closePort({ id, fd }: OpenPort): Counted {
    const counted = this.rig.call({ op: 'closePort', port: id }) as Counted;
    this.rig.io.close(fd);
    return counted;
  }

  /** When every overlay is closed. */
  checkNothingIsHeld(openBefore: number): void {
    const held = this.rig.engine.held;
    must(held.poolBlocks === 0 && held.requests === 0, () => `the engine still holds ${JSON.stringify(held)}`);
    must(this.rig.io.open === openBefore, () => `${this.rig.io.open - openBefore} descriptors are left`);
  }

  forgetPosted(): void {
    this.rig.posted.length = 0;
    this.rig.underlay.carried.length = 0;
  }
}
