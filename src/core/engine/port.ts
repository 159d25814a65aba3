// One overlay in the engine: what becomes of each frame that its VNICs send.
import type { HeaderFormat } from '@overlayadm/api';
import { FRAME, FRAME_WORDS, SEND } from '@overlayadm/packetio';
import { HEADROOM_BYTES, MAX_BATCH_FRAMES, MAX_FRAME_BYTES } from '../util/limits.ts';
import { ETHERNET_HEADER_BYTES, IP_UDP_BYTES } from '../util/packet-sizes.ts';
import { isGroup, parseFrame } from '../wire/ethernet.ts';
import { classifyGroupFrame, isArpRequest, isDhcpReply, newQuestionView } from '../wire/question.ts';
import { Counters, PORT_COUNTERS } from './counters.ts';
import type { FramePool } from './frame-pool.ts';
import { Injection } from './injection.ts';
import type { Memory } from './memory.ts';
import type { PortSpec, WireDestination } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { Questions } from './questions.ts';
import type { Requests } from './requests.ts';
import { RowMirror } from './row-mirror.ts';
import type { Sender, Wire } from './sender.ts';
import { writeAddress } from './target-address.ts';
import { TargetCache } from './target-cache.ts';
import { loadRows, loadTargets } from './target-snapshot.ts';
import { STATE } from './target-table.ts';

/** A degraded reason need not be told more often, ms. */
const TOO_BIG_REPORT_MS = 1000;

/** What all ports of an engine share. */
export interface EngineParts {
  readonly wire: Wire;
  readonly memory: Memory;
  readonly pool: FramePool;
  readonly outbox: Outbox;
  readonly requests: Requests;
  readonly seed: number;
  /** Sends what waits in any sender, so that its memory may be used again. */
  flush(): void;
}

/** What stays as it is for the life of an overlay. */
export type PortFacts = Omit<PortSpec, 'mux' | 'mtu' | 'point' | 'targets' | 'areUnwritten' | 'kernel' | 'rows'>;

export class Port {
  readonly id: number;
  readonly spec: PortFacts;
  /** Number of the mux where it sends and receives. */
  mux: number;
  /** Largest IP packet in a frame, bytes. */
  mtu: number;
  readonly seed: number;
  readonly header: Uint8Array;
  readonly entropy: HeaderFormat['entropy'] | undefined;
  readonly counters = new Counters(PORT_COUNTERS);
  readonly cache: TargetCache;
  /** Of a kernel link. */
  readonly mirror: RowMirror | undefined;
  readonly #injection: Injection | undefined;
  readonly questions: Questions;
  readonly arena: Uint8Array;
  readonly pool: FramePool;
  readonly outbox: Outbox;
  readonly requests: Requests;
  sender: Sender;
  readonly #parts: EngineParts;
  readonly #table = new Uint32Array(FRAME_WORDS * MAX_BATCH_FRAMES);
  readonly #view = newQuestionView();
  /** The one destination of point mode, or the one of a group frame just being sent. */
  readonly #address = new Uint32Array(4);
  /** Of a frame for the VNICs. */
  readonly #oneAddress = new Uint32Array(4);
  #point: WireDestination | undefined;
  readonly #txFrames = this.counters.index('tx.frames');
  readonly #txBytes = this.counters.index('tx.bytes');
  readonly #rxFrames = this.counters.index('rx.frames');
  readonly #rxBytes = this.counters.index('rx.bytes');
  readonly #puntFrames = this.counters.index('punt.frames');
  readonly #puntBytes = this.counters.index('punt.bytes');
  #now = 0;
  #tooBigTold = Number.NEGATIVE_INFINITY;

  constructor(
    { mux, mtu, point, targets, areUnwritten = false, kernel, rows, ...spec }: PortSpec,
    { entropy }: HeaderFormat,
    sender: Sender,
    parts: EngineParts,
  ) {
    this.id = spec.port;
    this.spec = spec;
    this.mtu = mtu;
    this.mux = mux;
    this.sender = sender;
    this.header = spec.header;
    this.entropy = entropy === 'udp-source-port' ? undefined : entropy;
    this.#parts = parts;
    this.seed = parts.seed;
    this.arena = parts.wire.arena;
    this.pool = parts.pool;
    this.outbox = parts.outbox;
    this.requests = parts.requests;
    if (kernel !== undefined) {
      this.mirror = new RowMirror(this, kernel, rows?.foreign);
      this.#injection = new Injection(this);
    }
    this.cache = new TargetCache(this);
    this.questions = new Questions(this);
    if (point !== undefined) this.setPoint(point);
    if (rows !== undefined) loadRows(this.cache, rows.records);
    if (targets !== undefined) loadTargets(this.cache, targets);
    // As it was written down, but for rows that were changed later.
    this.cache.changed = rows !== undefined || areUnwritten;
  }

  setPoint(point: WireDestination): void {
    this.#point = point;
    writeAddress(this.#address, 0, point.ip);
  }

  /** Sends through another mux from now on. What waits in the sender must have been sent. */
  move(mux: number, sender: Sender): void {
    this.mux = mux;
    this.sender = sender;
  }

  /** HOT: per batch. Reads and forwards what the TAP has; a negative errno when the TAP is gone. Only of a port that has one. */
  readTap(now: number): number {
    const { wire, memory } = this.#parts;
    const { start, end } = memory.frames;
    const count = wire.io.readTap(this.spec.tap as number, this.arena, this.#table, start, end, HEADROOM_BYTES, MAX_FRAME_BYTES, MAX_BATCH_FRAMES);
    for (let i = 0; i < count; i++) {
      const row = i * FRAME_WORDS;
      this.transmit(this.#table[row + FRAME.offset] as number, this.#table[row + FRAME.length] as number, now);
    }
    this.#parts.flush();
    return count;
  }

  // HOT: per frame.
  transmit(at: number, length: number, now: number): void {
    if (length < ETHERNET_HEADER_BYTES) return this.counters.count('frame.short');
    this.#now = now;
    const arena = this.arena;
    if (!this.spec.carriesVlanTag && isTagged(arena, at)) return this.counters.count('frame.vlan-not-carried');
    const point = this.#point;
    if (point !== undefined) return this.#emit(at, length, point.family, point.port, this.#address, 0);
    if (isGroup(arena, at)) return this.#groupFrame(at, length);
    const high = ((arena[at] as number) << 8) | (arena[at + 1] as number);
    const low = ((arena[at + 2] as number) << 24) | ((arena[at + 3] as number) << 16) | ((arena[at + 4] as number) << 8) | (arena[at + 5] as number);
    const table = this.cache.table;
    const entry = table.find(high, low);
    if (entry >= 0 && table.state[entry] === STATE.forward) return this.emit(at, length, entry);
    this.#miss(entry, high, low, at, length);
  }

  // HOT: per frame.
  emit(at: number, length: number, entry: number): void {
    const table = this.cache.table;
    table.touch(entry);
    this.#emit(at, length, table.family[entry] as number, table.udpPort[entry] as number, table.address, 4 * entry);
  }

  // HOT: per frame.
  #emit(at: number, length: number, family: number, udpPort: number, addresses: Uint32Array, addressAt: number): void {
    if (this.sender.isFull) this.#parts.flush();
    this.sender.add(this, at, length, family, udpPort, addresses, addressAt);
  }

  // HOT: per frame.
  countSent(length: number): void {
    this.counters.add(this.#txFrames, 1);
    this.counters.add(this.#txBytes, length);
  }

  countUnsent(length: number): void {
    this.counters.add(this.#txFrames, -1);
    this.counters.add(this.#txBytes, -length);
  }

  /** HOT: per frame. `frames` is 1, or -1 to take it back. */
  countReceived(length: number, frames: number): void {
    this.counters.add(this.#rxFrames, frames);
    this.counters.add(this.#rxBytes, frames * length);
  }

  // HOT: per frame.
  countPunted(length: number): void {
    this.counters.add(this.#puntFrames, 1);
    this.counters.add(this.#puntBytes, length);
  }

  refuseReceived(reason: 'rx.short' | 'rx.vlan-not-carried' | 'rx.too-long' | 'tap.failed'): void {
    this.counters.count(reason);
  }

  /** A frame made by the daemon, as if a VNIC had sent it. */
  resend(frame: Uint8Array, now: number): void {
    const at = this.slot();
    this.arena.set(frame.subarray(0, MAX_FRAME_BYTES), at);
    this.transmit(at, Math.min(frame.length, MAX_FRAME_BYTES), now);
    this.#parts.flush();
  }

  /** A frame made by the daemon, for the VNICs. */
  inject(frame: Uint8Array): void {
    const at = this.slot();
    const length = Math.min(frame.length, MAX_FRAME_BYTES);
    this.arena.set(frame.subarray(0, length), at);
    if (this.#injection !== undefined) return this.#injectInto(this.#injection, at, length);
    this.#table[FRAME.offset] = at;
    this.#table[FRAME.length] = length;
    this.#table[FRAME.fd] = this.spec.tap as number;
    if (this.#parts.wire.io.writeTaps(this.arena, this.#table, 1) !== 1) return this.counters.count('tap.failed');
    this.counters.count('tx.injected');
    this.counters.count('tx.injected-bytes', length);
  }

  /** The kernel link takes it as what came from the underlay: from its own socket. */
  #injectInto(injection: Injection, at: number, length: number): void {
    const { family, ip, port } = (this.mirror as RowMirror).link.own;
    writeAddress(this.#oneAddress, 0, ip);
    if (this.sender.isFull) this.#parts.flush();
    this.sender.add(injection, at, length, family, port, this.#oneAddress, 0);
    this.#parts.flush();
  }

  sendTo(frame: Uint8Array, to: WireDestination): void {
    const at = this.slot();
    this.arena.set(frame, at);
    writeAddress(this.#address, 0, to.ip);
    this.#emit(at, frame.length, to.family, to.port, this.#address, 0);
  }

  slot(): number {
    if (this.#parts.memory.isSpent) this.#parts.flush();
    return this.#parts.memory.slot();
  }

  /** A frame did not fit the path. The address stands in `table` as the send row has it. */
  tooBig(table: Uint32Array, row: number, length: number, now: number): void {
    this.counters.count('too-big');
    if (now - this.#tooBigTold < TOO_BIG_REPORT_MS) return;
    this.#tooBigTold = now;
    const family = table[row + SEND.family] === 4 ? 4 : 6;
    const ip = new Uint8Array(table.slice(row + SEND.address, row + SEND.address + 4).buffer).slice(0, family === 4 ? 4 : 16);
    const to = { family, ip, port: table[row + SEND.port] as number } as const;
    this.outbox.post({ op: 'tooBig', port: this.id, to, packetBytes: length + IP_UDP_BYTES[family] });
  }

  /** Before the overlay goes: nothing waits any more. */
  teardown(now: number): void {
    this.cache.teardown(now);
    this.questions.teardown();
  }

  #miss(entry: number, high: number, low: number, at: number, length: number): void {
    // Guests refresh a neighbour by unicast ARP; to a target that is not known it is the question that the broadcast would be.
    const isKnown = entry >= 0 && this.cache.table.state[entry] === STATE.drop;
    const isQuestion = !isKnown && this.spec.resolves && isArpRequest(this.arena, at, length, this.#view);
    if (isQuestion) this.questions.ask('arp', this.#view, length);
    else this.cache.miss(entry, high, low, at, length, this.#now);
  }

  #groupFrame(at: number, length: number): void {
    const view = this.#view;
    const kind = classifyGroupFrame(this.arena, at, length, view);
    if (kind !== 'none') {
      const served = kind === 'dhcp' ? this.spec.servesDhcp : this.spec.resolves;
      if (served) this.questions.ask(kind, view, length);
      else this.counters.count('question.not-served');
    } else if (this.spec.servesDhcp && isDhcpReply(this.arena, at, length, view)) this.#redirect(at, length, view.keyAt);
    else if (!this.spec.group) this.counters.count('group.not-served');
    else if (parseFrame(this.arena, at, length, view)) this.questions.lookup(view, length);
    else this.counters.count('frame.short');
  }

  /** From here on a frame like any other to the target whose MAC is at `macAt`; its IP destination stays 255.255.255.255. */
  #redirect(at: number, length: number, macAt: number): void {
    this.counters.count('question.redirected');
    this.arena.copyWithin(at, macAt, macAt + 6);
    this.transmit(at, length, this.#now);
  }
}

/** 802.1Q or 802.1ad. */
export function isTagged(bytes: Uint8Array, at: number): boolean {
  const type = ((bytes[at + 12] as number) << 8) | (bytes[at + 13] as number);
  return type === 0x8100 || type === 0x88a8;
}
