// The target cache of one overlay: carries out what the state table says, within the bounds of limits.ts.
import {
  MAX_LOOKUPS_PER_OVERLAY,
  MAX_QUEUED_BYTES_PER_OVERLAY,
  MAX_QUEUED_BYTES_PER_TARGET,
  MAX_REFUSALS_PER_OVERLAY,
  MAX_SHOWN_DESTINATIONS,
  MAX_TARGETS_PER_OVERLAY,
  NEGATIVE_TTL_MS,
} from '../util/limits.ts';
import { keyHalves } from '../util/mac-key.ts';
import type { Counters, PortCounter } from './counters.ts';
import { emptyQueue, type FramePool } from './frame-pool.ts';
import type { CacheEntry, EngineAnswer, WireDestination } from './messages.ts';
import { HEAD_BYTES, KIND, type Outbox } from './outbox.ts';
import type { RequestOwner, Requests } from './requests.ts';
import type { RowMirror } from './row-mirror.ts';
import { isAddress, readAddress, writeAddress } from './target-address.ts';
import { stepTarget, TARGET_STATES, type TargetEffect, type TargetEvent, type TargetState } from './target-state.ts';
import { STATE, TargetTable } from './target-table.ts';

/** What the cache needs of the overlay it belongs to. */
export interface CacheHost {
  readonly id: number;
  /** For the hash of its targets. */
  readonly seed: number;
  readonly counters: Counters<PortCounter>;
  readonly pool: FramePool;
  readonly outbox: Outbox;
  readonly requests: Requests;
  /** The room to take one waiting frame out of the pool: bytes and where the frame may begin. */
  slot(): number;
  readonly arena: Uint8Array;
  /** Sends the frame at `at` to the destination of `entry`. */
  emit(at: number, length: number, entry: number): void;
  /** Of a kernel link, whose table follows the cache. */
  readonly mirror: RowMirror | undefined;
}

const OVERFLOW_REASONS = ['target.queue-full', 'target.overlay-full', 'target.pool-full', 'target.lookups-full'] as const;
type OverflowReason = (typeof OVERFLOW_REASONS)[number];

export class TargetCache implements RequestOwner {
  readonly table: TargetTable;
  readonly #host: CacheHost;
  readonly #queue = emptyQueue();
  /** Refused targets in the order in which they expire; an entry that is something else by then is passed over. */
  readonly #refused = new Int32Array(MAX_REFUSALS_PER_OVERLAY);
  #refusedHead = 0;
  #refusedCount = 0;
  #queuedBytes = 0;
  #lookups = 0;
  #valid = 0;
  #isAdopting = false;
  /** Has any valid entry changed since this was last set to false? */
  changed = false;

  constructor(host: CacheHost) {
    this.#host = host;
    this.table = new TargetTable(MAX_TARGETS_PER_OVERLAY + MAX_LOOKUPS_PER_OVERLAY + MAX_REFUSALS_PER_OVERLAY, host.seed);
  }

  get validEntries(): number {
    return this.#valid;
  }

  /** A frame whose target is not in state forward. `entry` is what table.find() gave. */
  miss(entry: number, high: number, low: number, at: number, length: number, now: number): void {
    let found = entry;
    if (found < 0) {
      found = this.table.insert(high, low);
      if (found < 0) return this.#host.counters.count('target.table-full');
    }
    if (this.table.state[found] === STATE.refused && now >= (this.table.detail[found] as number)) this.table.state[found] = STATE.invalid;
    const overflow = this.#overflow(found, length);
    this.#apply(found, overflow === undefined ? 'frame' : 'overflow', now, overflow, at, length);
  }

  /** The answer to a request of ours that was outstanding. */
  answer(entry: number, answer: EngineAnswer, now: number): void {
    this.#lookups--;
    if (answer.kind !== 'found') return this.#apply(entry, 'refuse', now, 'lookup.refused');
    this.#setDestination(entry, answer.to, now);
    this.#makeRoom(entry, now);
    this.#apply(entry, 'found', now);
  }

  /** `fixed`: a person says so, and nobody else has a say in it any more. */
  set(mac: number, to: WireDestination | 'drop', fixed: boolean, now: number): void {
    const [high, low] = keyHalves(mac);
    let entry = this.table.find(high, low);
    if (entry >= 0 && !fixed && this.table.isFixed(entry)) return;
    if (entry < 0) entry = this.table.insert(high, low);
    if (entry < 0) return this.#host.counters.count('target.table-full');
    if (this.table.isFixed(entry) !== fixed) this.changed = true;
    this.table.setFixed(entry, fixed);
    this.#makeRoom(entry, now);
    if (to !== 'drop') this.#setDestination(entry, to, now);
    this.#apply(entry, to === 'drop' ? 'set-drop' : 'set-forward', now, 'target.drop');
  }

  /** A row of a kernel link that was there before is a target from now on: nothing is written for it. Only while nothing else is known. */
  adoptRow(mac: number, to: WireDestination | 'drop'): void {
    const [high, low] = keyHalves(mac);
    if (this.table.find(high, low) >= 0) return;
    const entry = this.table.insert(high, low);
    if (entry < 0) return this.#host.counters.count('target.table-full');
    if (to !== 'drop') this.#setDestination(entry, to, 0);
    this.#isAdopting = true;
    this.#apply(entry, to === 'drop' ? 'set-drop' : 'set-forward', 0);
    this.#isAdopting = false;
    this.#host.mirror?.adopt(entry);
  }

  /** Has its row been adopted? Then it is where the row leads; `fixed` is what else is known of it. */
  isAdopted(mac: number, fixed: boolean): boolean {
    const entry = this.table.find(...keyHalves(mac));
    if (entry < 0 || this.table.row[entry] === 0) return false;
    this.table.setFixed(entry, fixed);
    return true;
  }

  /** True when there was an entry to invalidate; a refusal is ended too, but was no entry. */
  invalidate(mac: number, now: number): boolean {
    const entry = this.table.find(...keyHalves(mac));
    if (entry < 0) return false;
    const known = isValid(this.table.state[entry] as number);
    this.#apply(entry, 'invalidate', now);
    return known;
  }

  /** The same by a plugin, which has no say where a person has set something. */
  withdraw(mac: number, now: number): void {
    const entry = this.table.find(...keyHalves(mac));
    if (entry >= 0 && !this.table.isFixed(entry)) this.#apply(entry, 'invalidate', now);
  }

  flush(now: number): void {
    this.table.each((entry) => this.#apply(entry, 'invalidate', now));
  }

  /** Invalidates everything but what a person has set. */
  outdate(now: number): void {
    this.table.each((entry) => {
      if (!this.table.isFixed(entry)) this.#apply(entry, 'invalidate', now);
    });
  }

  /** Gives back every waiting frame and aborts every lookup. */
  teardown(now: number): void {
    this.table.each((entry) => this.#apply(entry, 'teardown', now, 'lookup.teardown'));
  }

  get(mac: number): CacheEntry | undefined {
    const entry = this.table.find(...keyHalves(mac));
    return entry >= 0 && isValid(this.table.state[entry] as number) ? this.#read(entry) : undefined;
  }

  /** The `count` valid entries with the lowest MACs above `after`, in order. */
  page(after: number, count: number): readonly CacheEntry[] {
    // Room for twice as many as are wanted, sorted only when it is full. Frames wait meanwhile, so the order in which guests made
    // the entries must not matter: kept sorted all the time, a table in falling order took half a second a page.
    const keys = new Float64Array(2 * count);
    let used = 0;
    let limit = Number.POSITIVE_INFINITY;
    this.table.each((entry) => {
      if (!isValid(this.table.state[entry] as number)) return;
      const key = this.table.key(entry);
      if (key <= after || key >= limit) return;
      keys[used++] = key;
      if (used < keys.length) return;
      keys.sort();
      used = count;
      limit = keys[count - 1] as number;
    });
    const lowest = keys.subarray(0, used).sort().subarray(0, count);
    return Array.from(lowest, (key) => this.#read(this.table.find(...keyHalves(key))));
  }

  /** Each destination that any target has, once. */
  destinations(): readonly WireDestination[] {
    const found = new Map<string, WireDestination>();
    this.table.each((entry) => {
      if (this.table.state[entry] !== STATE.forward || found.size === MAX_SHOWN_DESTINATIONS) return;
      const at = 4 * entry;
      const key = `${this.table.address[at]} ${this.table.address[at + 1]} ${this.table.address[at + 2]} ${this.table.address[at + 3]} ${this.table.udpPort[entry]}`;
      if (found.has(key)) return;
      const { to } = this.#read(entry);
      if (to !== 'drop') found.set(key, to);
    });
    return [...found.values()];
  }

  /** Ends refusals that are over. */
  expire(now: number): void {
    while (this.#refusedCount > 0) {
      const entry = this.#refused[this.#refusedHead] as number;
      const isRefused = this.table.state[entry] === STATE.refused;
      if (isRefused && (this.table.detail[entry] as number) > now) return;
      this.#refusedHead = (this.#refusedHead + 1) % this.#refused.length;
      this.#refusedCount--;
      if (isRefused) this.#apply(entry, 'expire', now);
    }
  }

  /** Before an entry becomes valid: there may be MAX_TARGETS_PER_OVERLAY of these. */
  #makeRoom(entry: number, now: number): void {
    if (isValid(this.table.state[entry] as number) || this.#valid < MAX_TARGETS_PER_OVERLAY) return;
    const victim = this.table.evictable();
    if (victim < 0) return;
    this.#apply(victim, 'evict', now);
    this.#host.counters.count('target.evicted');
  }

  #overflow(entry: number, length: number): OverflowReason | undefined {
    const state = this.table.state[entry] as number;
    if (state !== STATE.invalid && state !== STATE.pending) return undefined;
    if ((this.table.queuedBytes[entry] as number) + length > MAX_QUEUED_BYTES_PER_TARGET) return 'target.queue-full';
    if (this.#queuedBytes + length > MAX_QUEUED_BYTES_PER_OVERLAY) return 'target.overlay-full';
    if (!this.#host.pool.hasRoom(length)) return 'target.pool-full';
    return state === STATE.invalid && this.#lookups >= MAX_LOOKUPS_PER_OVERLAY ? 'target.lookups-full' : undefined;
  }

  #apply(entry: number, event: TargetEvent, now: number, reason?: PortCounter, at = 0, length = 0): void {
    const before = this.table.state[entry] as number;
    const { next, effects } = stepTarget(TARGET_STATES[before] as TargetState, event);
    const after = STATE[next];
    this.table.state[entry] = after;
    this.#valid += Number(isValid(after)) - Number(isValid(before));
    if (after !== before && (isValid(after) || isValid(before))) this.changed = true;
    for (const effect of effects) this.#carryOut(effect, entry, before, reason, at, length);
    // First: an entry that has a row may not go before it.
    if (!this.#isAdopting && after !== before && (isValid(after) || isValid(before))) this.#host.mirror?.changed(entry, now);
    if (after === STATE.refused && before !== STATE.refused) this.#rememberRefusal(entry, now);
    else if (after === STATE.invalid) this.#remove(entry);
  }

  /** An entry whose row is still there, or still to be written, stays as an invalid one until it is not. */
  #remove(entry: number): void {
    if (this.table.row[entry] === 0) return this.table.remove(entry);
    this.table.state[entry] = STATE.invalid;
    this.table.setFixed(entry, false);
  }

  #carryOut(effect: TargetEffect, entry: number, before: number, reason: PortCounter | undefined, at: number, length: number): void {
    switch (effect) {
      case 'queue':
        return this.#enqueue(entry, at, length);
      case 'ask':
        return this.#ask(entry);
      case 'abort':
        this.#lookups--;
        return this.#host.requests.abort(this.table.detail[entry] as number);
      case 'send':
        return this.#host.emit(at, length, entry);
      case 'send-queue':
        return this.#sendQueue(entry);
      case 'drop-queue':
        return this.#dropQueue(entry, reason ?? 'lookup.refused');
      case 'drop-frame':
        return this.#host.counters.count(reason ?? (before === STATE.refused ? 'target.refused' : 'target.drop'));
      default:
        effect satisfies never;
    }
  }

  #ask(entry: number): void {
    const { outbox, requests, id, pool, counters } = this.#host;
    const request = requests.begin(this, entry);
    this.table.detail[entry] = request;
    this.#lookups++;
    const { bytes, at } = outbox.room(HEAD_BYTES);
    outbox.add(request, id, KIND.target, pool.peek(this.#load(entry), bytes, at, HEAD_BYTES));
    counters.count('lookup.asked');
  }

  #enqueue(entry: number, at: number, length: number): void {
    const queue = this.#load(entry);
    this.#host.pool.push(queue, this.#host.arena, at, length);
    this.#store(entry);
    this.table.queuedBytes[entry] = (this.table.queuedBytes[entry] as number) + length;
    this.#queuedBytes += length;
    this.#host.counters.count('lookup.queued');
  }

  #sendQueue(entry: number): void {
    const { pool, arena } = this.#host;
    const queue = this.#load(entry);
    for (;;) {
      const at = this.#host.slot();
      const length = pool.shift(queue, arena, at);
      if (length === 0) break;
      this.#host.emit(at, length, entry);
    }
    this.#emptied(entry);
  }

  #dropQueue(entry: number, reason: PortCounter): void {
    const queue = this.#load(entry);
    let frames = 0;
    while (this.#host.pool.discard(queue) > 0) frames++;
    this.#host.counters.count(reason, frames);
    this.#emptied(entry);
  }

  #emptied(entry: number): void {
    this.#store(entry);
    this.#queuedBytes -= this.table.queuedBytes[entry] as number;
    this.table.queuedBytes[entry] = 0;
  }

  #rememberRefusal(entry: number, now: number): void {
    if (this.#refusedCount === this.#refused.length) return this.#remove(entry);
    this.table.detail[entry] = now + NEGATIVE_TTL_MS;
    this.#refused[(this.#refusedHead + this.#refusedCount) % this.#refused.length] = entry;
    this.#refusedCount++;
  }

  /** Nothing of it is in the kernel any more. */
  forget = (entry: number): void => {
    if (this.table.state[entry] === STATE.invalid && this.table.row[entry] === 0) this.table.remove(entry);
  };

  /** One queue object serves all entries, which therefore are numbers in typed arrays and nothing else. */
  #load(entry: number): { head: number; tail: number } {
    this.#queue.head = this.table.queueHead[entry] as number;
    this.#queue.tail = this.table.queueTail[entry] as number;
    return this.#queue;
  }

  #store(entry: number): void {
    this.table.queueHead[entry] = this.#queue.head;
    this.table.queueTail[entry] = this.#queue.tail;
  }

  #setDestination(entry: number, to: WireDestination, now: number): void {
    const { family, udpPort, address } = this.table;
    // Plugins repeat what they have said; a snapshot is written for what is new.
    if (family[entry] === to.family && udpPort[entry] === to.port && isAddress(address, 4 * entry, to.ip)) return;
    this.changed = true;
    family[entry] = to.family;
    udpPort[entry] = to.port;
    writeAddress(address, 4 * entry, to.ip);
    if (isValid(this.table.state[entry] as number)) this.#host.mirror?.changed(entry, now);
  }

  #read(entry: number): CacheEntry {
    const mac = this.table.key(entry);
    if (this.table.state[entry] === STATE.drop) return { mac, to: 'drop' };
    const family = this.table.family[entry] === 4 ? 4 : 6;
    return { mac, to: { family, ip: readAddress(this.table.address, 4 * entry, family), port: this.table.udpPort[entry] as number } };
  }
}

export const isValid = (state: number): boolean => state === STATE.forward || state === STATE.drop;
