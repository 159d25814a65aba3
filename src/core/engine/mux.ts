// One socket, shared by the overlays behind it: which datagram is whose. Of the underlay, or of kernel links that punt what they have no row for.
import { FRAME, FRAME_WORDS, SOURCE, SOURCE_WORDS, TRUNCATED } from '@overlayadm/packetio';
import { MAX_BATCH_FRAMES, MAX_FRAME_BYTES } from '../util/limits.ts';
import { ETHERNET_HEADER_BYTES } from '../util/packet-sizes.ts';
import { type CompiledDecap, compileDecap, decap } from '../wire/header-format.ts';
import { completeChecksum, findTransport, looksPartial, newTransportView, TcpSegmenter } from '../wire/offload.ts';
import { Counters, MUX_COUNTERS, PUNT_COUNTERS } from './counters.ts';
import { DATAGRAM_BYTES, type Memory } from './memory.ts';
import type { MuxSpec } from './messages.ts';
import { isTagged, type Port } from './port.ts';
import { Sender, type Wire } from './sender.ts';
import { writeAddress } from './target-address.ts';

const UNDERLAY_NAMES = { truncated: 'mux.truncated', unknown: 'mux.unknown-vnetid' } as const;
const PUNT_NAMES = { truncated: 'punt.truncated', unknown: 'punt.unknown-vnetid' } as const;

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
  /** Of a punt socket: who sent each datagram, and who may, in the words of a source row. */
  readonly #sources: Uint32Array | undefined;
  readonly #allowed: Uint32Array[] = [];
  readonly #names: Readonly<Record<'truncated' | 'unknown', string>>;
  /** Datagrams that the socket had no room for when it was asked last. */
  #overflow = 0;
  #now = 0;

  constructor(spec: MuxSpec, wire: Wire, memory: Memory) {
    this.spec = spec;
    this.#wire = wire;
    this.#memory = memory;
    this.sender = new Sender(wire, spec.sendSockets);
    this.#decap = compileDecap(spec.format, spec.encap);
    const names: readonly string[] = spec.punt === undefined ? MUX_COUNTERS : PUNT_COUNTERS;
    this.counters = new Counters([...new Set([...names, ...this.#decap.dropReasons])]);
    this.#names = spec.punt === undefined ? UNDERLAY_NAMES : PUNT_NAMES;
    if (spec.punt === undefined) return;
    this.#sources = new Uint32Array(SOURCE_WORDS * MAX_BATCH_FRAMES);
    this.allow(spec.punt.source);
    // One that outlived the overlayd before has counted since it was made.
    this.#overflow = wire.io.socketDrops(spec.socket);
  }

  /** Punted frames may come from there too: a link that moves here sends from its old address until it has the new one. */
  allow(source: Uint8Array): void {
    const words = new Uint32Array(4);
    writeAddress(words, 0, source);
    if (!this.#allowed.some((known) => isSameAddress(known, words, 0))) this.#allowed.push(words);
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

  /** HOT: per batch. How many datagrams there were; a negative errno when the socket says one. */
  receive(now: number): number {
    const { io, arena } = this.#wire;
    const { start } = this.#memory.frames;
    this.#now = now;
    const received = io.receive(this.spec.socket, arena, this.#received, start, DATAGRAM_BYTES, MAX_BATCH_FRAMES, this.#sources);
    for (let i = 0; i < received; i++) {
      const row = i * FRAME_WORDS;
      if (!this.#isExpected(i)) this.#drop('punt.wrong-source');
      else this.#accept(this.#received[row + FRAME.offset] as number, this.#received[row + FRAME.length] as number);
    }
    if (this.#sources === undefined) this.#write();
    else this.sender.flush(now);
    return received;
  }

  /** Counters of the socket, with what it had no room for. */
  count(): Readonly<Record<string, number>> {
    if (this.#sources !== undefined) {
      const drops = this.#wire.io.socketDrops(this.spec.socket);
      this.counters.count('punt.overflow', (drops - this.#overflow) >>> 0);
      this.#overflow = drops;
    }
    return this.counters.read();
  }

  /** HOT: per datagram. Only programs of this host can send to loopback. Our links send from the listen address, others there as a rule do not. */
  #isExpected(index: number): boolean {
    const sources = this.#sources;
    if (sources === undefined) return true;
    const at = index * SOURCE_WORDS + SOURCE.address;
    for (const allowed of this.#allowed) if (isSameAddress(allowed, sources, at)) return true;
    return false;
  }

  /** HOT: per datagram. Checks the datagram and adds its frame to what goes to the TAPs. */
  #accept(at: number, length: number): void {
    if (length === TRUNCATED) return this.#drop(this.#names.truncated);
    const arena = this.#wire.arena;
    const header = decap(this.#decap, arena, at, length, this.#vnetid);
    if (header < 0) return this.#drop(this.#decap.dropReasons[-1 - header] as string);
    const port = this.#ports.get(this.#vnetid[0] as number);
    if (port === undefined) return this.#drop(this.#names.unknown);
    const frameBytes = length - header;
    const frame = at + header;
    if (this.#sources !== undefined) return this.#acceptPunted(port, frame, frameBytes);
    if (frameBytes < ETHERNET_HEADER_BYTES) return port.refuseReceived('rx.short');
    if (!port.spec.carriesVlanTag && isTagged(arena, frame)) return port.refuseReceived('rx.vlan-not-carried');
    if (findTransport(arena, frame, frameBytes, this.#transport) && looksPartial(arena, this.#transport)) {
      if (this.#transport.at + this.#transport.length - this.#transport.ipAt > port.mtu) return this.#acceptSegments(port, frame, frameBytes);
      completeChecksum(arena, this.#transport);
      port.counters.count('rx.checksum-completed');
    }
    if (frameBytes > MAX_FRAME_BYTES) return port.refuseReceived('rx.too-long');
    this.#add(port, frame, frameBytes);
  }

  /** A frame of a VNIC, on its way out, which the kernel has cut for loopback (measured). The header to send takes the place of the one it came with. */
  #acceptPunted(port: Port, at: number, length: number): void {
    const arena = this.#wire.arena;
    port.countPunted(length - tagBytes(arena, at));
    if (findTransport(arena, at, length, this.#transport) && looksPartial(arena, this.#transport)) {
      completeChecksum(arena, this.#transport);
      port.counters.count('punt.checksum-completed');
    }
    if (length > MAX_FRAME_BYTES) return port.counters.count('frame.too-long');
    port.transmit(at, length, this.#now);
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
    this.#out[row + FRAME.fd] = port.spec.tap as number;
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

/** HOT: per datagram. A link does not count tags when it sends (iptunnel_xmit() counts from the IP header on), so what it punts is counted likewise. */
const tagBytes = (arena: Uint8Array, at: number): number => (isTagged(arena, at) ? (isTagged(arena, at + 4) ? 8 : 4) : 0);

// HOT: per datagram.
function isSameAddress(allowed: Uint32Array, sources: Uint32Array, at: number): boolean {
  for (let word = 0; word < 4; word++) if (sources[at + word] !== allowed[word]) return false;
  return true;
}
