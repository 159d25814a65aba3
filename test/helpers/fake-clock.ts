// A clock that stands still until it is moved, and waits for what its timers set off.
import type { Clock, Timer } from '../../src/core/util/clock.ts';

interface Entry {
  at: number;
  readonly period: number | undefined;
  readonly run: () => void;
}

/** Lets messages cross the streams: they need a few turns of the event loop, and no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock implements Clock {
  #now = 0;
  readonly #entries = new Set<Entry>();

  now(): number {
    return this.#now;
  }

  /** Begins with the year 2026. */
  date(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#now);
  }

  after(ms: number, run: () => void): Timer {
    return this.#add({ at: this.#now + ms, period: undefined, run });
  }

  every(ms: number, run: () => void): Timer {
    return this.#add({ at: this.#now + ms, period: ms, run });
  }

  get timers(): number {
    return this.#entries.size;
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = next.at;
      if (next.period === undefined) this.#entries.delete(next);
      else next.at += next.period;
      next.run();
      await settle();
    }
    this.#now = end;
  }

  #next(end: number): Entry | undefined {
    return [...this.#entries].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
  }

  #add(entry: Entry): Timer {
    this.#entries.add(entry);
    return { cancel: () => void this.#entries.delete(entry) };
  }
}
