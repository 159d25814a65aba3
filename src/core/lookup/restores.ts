// Instances of before overlayd was started again whose plugin is not there: looked for again and again, and at once when something was found.
import type { Clock, Timer } from '../util/clock.ts';
import { HOST_RESTART_MS } from '../util/limits.ts';
import type { RemoteInstance } from './instance.ts';

export interface RestoresParts {
  readonly clock: Clock;
  /** Looks for plugins anew; what is found is told to found(). May reject. */
  look(): Promise<unknown>;
  /** Tries once more; an instance that fails comes back with add(). */
  place(instance: RemoteInstance): void;
}

export class Restores {
  readonly #parts: RestoresParts;
  readonly #waiting = new Set<RemoteInstance>();
  #nextWait: number = HOST_RESTART_MS.first;
  #timer: Timer | undefined;

  constructor(parts: RestoresParts) {
    this.#parts = parts;
  }

  add(instance: RemoteInstance): void {
    this.#waiting.add(instance);
    this.#plan();
  }

  remove(instance: RemoteInstance): void {
    this.#waiting.delete(instance);
    if (this.#waiting.size === 0) this.stop();
  }

  /** There is a new table. */
  found(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const instance of waiting) this.#parts.place(instance);
  }

  stop(): void {
    this.#waiting.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#nextWait = HOST_RESTART_MS.first;
  }

  /** One look serves them all. */
  #plan(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#parts.clock.after(this.#nextWait, () => {
      this.#timer = undefined;
      this.#nextWait = Math.min(this.#nextWait * 2, HOST_RESTART_MS.max);
      if (this.#waiting.size > 0) this.#parts.look().catch(() => this.#plan());
    });
  }
}
