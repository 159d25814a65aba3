// One underlay socket, shared by the overlays that listen on it: which datagram is whose.
import { FRAME, FRAME_WORDS, TRUNCATED } from '@overlayadm/packetio';
import { MAX_BATCH_FRAMES } from '../util/limits.ts';
import { type CompiledDecap, compileDecap, decap } from '../wire/header-format.ts';
import { Counters, MUX_COUNTERS } from './counters.ts';
import { type Memory, SLOT_BYTES } from './memory.ts';
import type { MuxSpec } from './messages.ts';
import { isTagged, type Port } from './port.ts';
import { Sender, type Wire } from './sender.ts';

const ETHERNET_BYTES = 14;

export class Mux {
  readonly spec: MuxSpec;
  readonly sender: Sender;
  readonly counters: Counters;
  readonly #wire: Wire;
  readonly #memory: Memory;
  readonly #decap: CompiledDecap;
  readonly #ports = new Map<number, Port>();
  readonly #received = new Uint32Array(FRAME_WORDS * MAX_BATCH_FRAMES);
  readonly #out = new Uint32Array(FRAME_WORDS * MAX_BATCH_FRAMES);
  readonly #owners: (Port | undefined)[] = new Array(MAX_BATCH_FRAMES).fill(undefined);
  readonly #vnetid = new Uint32Array(1);

  constructor(spec: MuxSpec, wire: Wire, memory: Memory) {
    this.spec = spec;
    this.#wire = wire;
    this.#memory = memory;
    this.sender = new Sender(wire, spec.sendSockets);
    this.#decap = compileDecap(spec.format, spec.encap);
    this.counters = new Counters([...new Set([...MUX_COUNTERS, ...this.#decap.dropReasons])]);
  }

  join(port: Port): void {
    this.#ports.set(port.spec.vnetid, port);
  }

  leave(port: Port): void {
    this.#ports.delete(port.spec.vnetid);
  }

  // HOT: per batch.
  receive(): number {
    const { io, arena } = this.#wire;
    const received = io.receive(this.spec.socket, arena, this.#received, this.#memory.frames.start, SLOT_BYTES, MAX_BATCH_FRAMES);
    let kept = 0;
    for (let i = 0; i < received; i++) {
      const row = i * FRAME_WORDS;
      if (this.#accept(this.#received[row + FRAME.offset] as number, this.#received[row + FRAME.length] as number, kept)) kept++;
    }
    if (kept > 0 && io.writeTaps(arena, this.#out, kept) < kept) this.#reportFailures(kept);
    return received;
  }

  /** HOT: per datagram. Checks the datagram and adds its frame as row `row` of what goes to the TAPs. */
  #accept(at: number, length: number, row: number): boolean {
    if (length === TRUNCATED) return this.#drop('mux.truncated');
    const arena = this.#wire.arena;
    const header = decap(this.#decap, arena, at, length, this.#vnetid);
    if (header < 0) return this.#drop(this.#decap.dropReasons[-1 - header] as string);
    const port = this.#ports.get(this.#vnetid[0] as number);
    if (port === undefined) return this.#drop('mux.unknown-vnetid');
    const frameBytes = length - header;
    if (frameBytes < ETHERNET_BYTES) return port.refuseReceived('rx.short');
    if (!port.spec.carriesVlanTag && isTagged(arena, at + header)) return port.refuseReceived('rx.vlan-not-carried');
    const out = row * FRAME_WORDS;
    this.#out[out + FRAME.offset] = at + header;
    this.#out[out + FRAME.length] = frameBytes;
    this.#out[out + FRAME.fd] = port.spec.tap;
    this.#owners[row] = port;
    port.countReceived(frameBytes, 1);
    return true;
  }

  #drop(reason: string): false {
    this.counters.count(reason);
    return false;
  }

  #reportFailures(count: number): void {
    for (let i = 0; i < count; i++) {
      if (this.#out[i * FRAME_WORDS + FRAME.errno] === 0) continue;
      const port = this.#owners[i] as Port;
      port.countReceived(this.#out[i * FRAME_WORDS + FRAME.length] as number, -1);
      port.refuseReceived('tap.failed');
    }
  }
}
