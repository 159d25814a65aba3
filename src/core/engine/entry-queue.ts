// Entries of a target table that wait for something, first in first out, with the time since when: a ring that grows.

const FIRST_CAPACITY = 64;

export class EntryQueue {
  #entries = new Int32Array(FIRST_CAPACITY);
  #times = new Float64Array(FIRST_CAPACITY);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `now`: ms of the clock. */
  push(entry: number, now: number): void {
    if (this.#size === this.#entries.length) this.#grow();
    const at = (this.#head + this.#size) & (this.#entries.length - 1);
    this.#entries[at] = entry;
    this.#times[at] = now;
    this.#size++;
  }

  /** Since when the first one waits, ms of the clock. Not to be called when there is none. */
  get since(): number {
    return this.#times[this.#head] as number;
  }

  /** Not to be called when there is none. */
  shift(): number {
    const entry = this.#entries[this.#head] as number;
    this.#head = (this.#head + 1) & (this.#entries.length - 1);
    this.#size--;
    return entry;
  }

  #grow(): void {
    const capacity = this.#entries.length;
    const entries = new Int32Array(2 * capacity);
    const times = new Float64Array(2 * capacity);
    for (let i = 0; i < this.#size; i++) {
      const at = (this.#head + i) & (capacity - 1);
      entries[i] = this.#entries[at] as number;
      times[i] = this.#times[at] as number;
    }
    this.#entries = entries;
    this.#times = times;
    this.#head = 0;
  }
}
