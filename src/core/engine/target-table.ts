// Hash table from MAC address to target, in typed arrays: a hit costs a few loads and no allocation.
import { keyOfHalves } from '../util/mac-key.ts';

/** Indexes of TARGET_STATES, as the table stores them. */
export const STATE = { invalid: 0, pending: 1, forward: 2, drop: 3, refused: 4 } as const;

const FIRST_CAPACITY = 64;
const NONE = -1;
/** Entries that one search for something to evict looks at: a full table of pending targets must not cost a whole round a frame. */
const EVICT_LOOKS = 4096;

/** What stands in the table of a kernel link for an entry; 0 where there is no such link. */
export const ROW = { installed: 1, queued: 2, seen: 4, dirty: 8, taken: 16 } as const;

/** Marks of an entry: looked at since the evicting hand last came by; set by a person. */
const USED = 1;
const FIXED = 2;

function grown<T extends Uint8Array | Int32Array | Uint32Array | Float64Array>(old: T, length: number): T {
  const copy = new (old.constructor as new (length: number) => T)(length);
  copy.set(old as never);
  return copy;
}

/**
 * Entries are numbers from `find` and `insert`, good until `remove`. A MAC is two numbers, `high` (16 bits) and `low`
 * (32 bits, signed so that it stays a small integer). Columns are public: the cache and the packet loop read and write them.
 */
export class TargetTable {
  readonly #most: number;
  readonly #seed: number;
  #capacity = FIRST_CAPACITY;
  /** Open addressing, linear probing, twice as many slots as entries; holds entry numbers. */
  #slots = new Int32Array(2 * FIRST_CAPACITY).fill(NONE);
  #free: number[] = [];
  #count = 0;
  #hand = 0;
  high = new Int32Array(FIRST_CAPACITY);
  low = new Int32Array(FIRST_CAPACITY);
  state = new Uint8Array(FIRST_CAPACITY);
  #marks = new Uint8Array(FIRST_CAPACITY);
  family = new Uint8Array(FIRST_CAPACITY);
  udpPort = new Int32Array(FIRST_CAPACITY);
  /** Four words an entry, bytes in network order; IPv4 takes the first. */
  address = new Uint32Array(4 * FIRST_CAPACITY);
  /** ROW. */
  row = new Uint8Array(FIRST_CAPACITY);
  queueHead = new Int32Array(FIRST_CAPACITY);
  queueTail = new Int32Array(FIRST_CAPACITY);
  queuedBytes = new Int32Array(FIRST_CAPACITY);
  /** The outstanding request while pending, the time the refusal ends while refused. */
  detail = new Float64Array(FIRST_CAPACITY);

  /**
   * @param most entries the table will hold; insert() refuses more.
   * @param seed 32 bits that no guest knows.
   */
  constructor(most: number, seed = 0) {
    this.#most = most;
    this.#seed = seed | 0;
  }

  get size(): number {
    return this.#count;
  }

  /** Entries have numbers below this one. */
  get places(): number {
    return this.#count + this.#free.length;
  }

  // HOT: per frame.
  find(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#hash(high, low) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] as number;
      if (entry === NONE) return NONE;
      if (this.low[entry] === low && this.high[entry] === high) return entry;
    }
  }

  // HOT: per frame.
  touch(entry: number): void {
    this.#marks[entry] = (this.#marks[entry] as number) | USED;
  }

  /** A new entry in state invalid for a MAC that is not there; -1 when the table is full. */
  insert(high: number, low: number): number {
    if (this.#count >= this.#most) return NONE;
    if (this.#count === this.#capacity) this.#grow();
    const entry = this.#free.pop() ?? this.#count;
    this.#count++;
    this.high[entry] = high;
    this.low[entry] = low;
    this.state[entry] = STATE.invalid;
    this.#marks[entry] = USED;
    this.row[entry] = 0;
    this.queueHead[entry] = NONE;
    this.queueTail[entry] = NONE;
    this.queuedBytes[entry] = 0;
    this.#place(entry);
    return entry;
  }

  remove(entry: number): void {
    this.#unplace(entry);
    this.state[entry] = STATE.invalid;
    this.row[entry] = 0;
    this.#free.push(entry);
    this.#count--;
  }

  setFixed(entry: number, fixed: boolean): void {
    const marks = this.#marks[entry] as number;
    this.#marks[entry] = fixed ? marks | FIXED : marks & ~FIXED;
  }

  isFixed(entry: number): boolean {
    return ((this.#marks[entry] as number) & FIXED) !== 0;
  }

  /**
   * An entry in state forward or drop that was not used since the last time round (the clock algorithm), or -1. What a
   * person has set is never chosen.
   */
  evictable(): number {
    for (let looked = 0; looked < EVICT_LOOKS; looked++) {
      const entry = this.#hand;
      this.#hand = (this.#hand + 1) % this.#capacity;
      const state = this.state[entry] as number;
      if (state !== STATE.forward && state !== STATE.drop) continue;
      const marks = this.#marks[entry] as number;
      if (marks & FIXED) continue;
      if (marks & USED) this.#marks[entry] = marks & ~USED;
      else return entry;
    }
    return NONE;
  }

  /** Entries that have a row, or wait for one, whatever their state. */
  eachRow(visit: (entry: number) => void): void {
    for (let entry = 0; entry < this.#capacity; entry++) if (this.row[entry] !== 0) visit(entry);
  }

  /** Every entry, in no order; removing the one at hand is allowed. */
  each(visit: (entry: number) => void): void {
    for (let entry = 0; entry < this.#capacity; entry++) if (this.state[entry] !== STATE.invalid) visit(entry);
  }

  /** The MAC as one number. */
  key(entry: number): number {
    return keyOfHalves(this.high[entry] as number, this.low[entry] as number);
  }

  #hash(high: number, low: number): number {
    // Multiplicative mixing: MACs of one vendor differ in their low bits only, those of one overlay often count up. The seed,
    // because guests choose the MACs they send to: thousands with one hash would make every search a walk through them all.
    let mixed = Math.imul(low ^ this.#seed, 0x85ebca6b);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed ^ high, 0xc2b2ae35);
    return mixed ^ (mixed >>> 16);
  }

  #place(entry: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hash(this.high[entry] as number, this.low[entry] as number) & mask;
    while (this.#slots[slot] !== NONE) slot = (slot + 1) & mask;
    this.#slots[slot] = entry;
  }

  /** Takes an entry out and moves later ones of its run up, so that no grave is left that a search would have to walk over. */
  #unplace(entry: number): void {
    const mask = this.#slots.length - 1;
    let hole = this.#hash(this.high[entry] as number, this.low[entry] as number) & mask;
    while (this.#slots[hole] !== entry) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; this.#slots[slot] !== NONE; slot = (slot + 1) & mask) {
      const moved = this.#slots[slot] as number;
      const home = this.#hash(this.high[moved] as number, this.low[moved] as number) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#slots[hole] = moved;
      hole = slot;
    }
    this.#slots[hole] = NONE;
  }

  #grow(): void {
    const capacity = this.#capacity * 2;
    this.high = grown(this.high, capacity);
    this.low = grown(this.low, capacity);
    this.state = grown(this.state, capacity);
    this.#marks = grown(this.#marks, capacity);
    this.family = grown(this.family, capacity);
    this.udpPort = grown(this.udpPort, capacity);
    this.address = grown(this.address, 4 * capacity);
    this.row = grown(this.row, capacity);
    this.queueHead = grown(this.queueHead, capacity);
    this.queueTail = grown(this.queueTail, capacity);
    this.queuedBytes = grown(this.queuedBytes, capacity);
    this.detail = grown(this.detail, capacity);
    this.#capacity = capacity;
    this.#slots = new Int32Array(2 * capacity).fill(NONE);
    for (let entry = 0; entry < this.#count; entry++) this.#place(entry);
  }
}
