// One underlay socket, shared by the overlays that listen on it: which datagram is whose.
import { FRAME, FRAME_WORDS, TRUNCATED } from '@overlayadm/packetio';
import { MAX_BATCH_FRAMES, MAX_FRAME_BYTES } from '../util/limits.ts';
import { type CompiledDecap, compileDecap, decap } from '../wire/header-format.ts';
import { completeChecksum, findTransport, looksPartial, newTransportView, TcpSegmenter } from '../wire/offload.ts';
import { Counters, MUX_COUNTERS } from './counters.ts';
import { DATAGRAM_BYTES, type Memory } from './memory.ts';
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
  readonly #transport = newTransportView();
  readonly #segmenter = new TcpSegmenter();
  /** Rows of #out in use. */
  #kept = 0;

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

  get ports(): Iterable<Port> {
    return this.#ports.values();
  }

  leave(port: Port): void {
    this.#ports.delete(port.spec.vnetid);
  }

  // HOT: per batch.
  receive(): number {
    const { io, arena } = this.#wire;
    const received = io.receive(this.spec.socket, arena, this.#received, this.#memory.frames.start, DATAGRAM_BYTES, MAX_BATCH_FRAMES);
    for (let i = 0; i < received; i++) {
      const row = i * FRAME_WORDS;
      this.#accept(this.#received[row + FRAME.offset] as number, this.#received[row + FRAME.length] as number);
    }
    this.#write();
    return received;
  }

  /** HOT: per datagram. Checks the datagram and adds its frame to what goes to the TAPs. */
  #accept(at: number, length: number): void {
    if (length === TRUNCATED) return this.#drop('mux.truncated');
    const arena = this.#wire.arena;
    const header = decap(this.#decap, arena, at, length, this.#vnetid);
    if (header < 0) return this.#drop(this.#decap.dropReasons[-1 - header] as string);
    const port = this.#ports.get(this.#vnetid[0] as number);
    if (port === undefined) return this.#drop('mux.unknown-vnetid');
    const frameBytes = length - header;
    if (frameBytes < ETHERNET_BYTES) return port.refuseReceived('rx.short');
    const frame = at + header;
    if (!port.spec.carriesVlanTag && isTagged(arena, frame)) return port.refuseReceived('rx.vlan-not-carried');
    if (findTransport(arena, frame, frameBytes, this.#transport) && looksPartial(arena, this.#transport)) {
      if (this.#transport.at + this.#transport.length - this.#transport.ipAt > port.mtu) return this.#acceptSegments(port, frame, frameBytes);
      completeChecksum(arena, this.#transport);
      port.counters.count('rx.checksum-completed');
    }
    if (frameBytes > MAX_FRAME_BYTES) return port.refuseReceived('rx.too-long');
    this.#add(port, frame, frameBytes);
  }

  /** A TCP frame that no NIC has cut. */
  #acceptSegments(port: Port, at: number, length: number): void {
    const count = this.#segmenter.begin(this.#wire.arena, at, length, port.mtu);
    if (count === 0) return port.refuseReceived('rx.too-long');
    // What came before it goes first; and a segment has to be gone before the next is made.
    this.#write();
    for (let i = 0; i < count; i++) {
      this.#segmenter.segment(this.#wire.arena, i);
      this.#add(port, this.#segmenter.at, this.#segmenter.length);
      this.#write();
    }
    port.counters.count('rx.segmented');
  }

  // HOT: per frame.
  #add(port: Port, at: number, length: number): void {
    const row = this.#kept * FRAME_WORDS;
    this.#out[row + FRAME.offset] = at;
    this.#out[row + FRAME.length] = length;
    this.#out[row + FRAME.fd] = port.spec.tap;
    this.#owners[this.#kept++] = port;
    port.countReceived(length, 1);
  }

  // HOT: per batch.
  #write(): void {
    const count = this.#kept;
    if (count === 0) return;
    this.#kept = 0;
    if (this.#wire.io.writeTaps(this.#wire.arena, this.#out, count) < count) this.#reportFailures(count);
  }

  #drop(reason: string): void {
    this.counters.count(reason);
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
