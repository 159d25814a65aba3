// Overlays that should be there and are not: why, since when, and tried again from time to time.
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { RESTORE_RETRY_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import type { Records } from './records.ts';

/** An overlay that should be there and is not. */
export interface Broken {
  readonly reason: string;
  readonly advice: string;
  readonly since: Date;
}

export interface BrokenParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly records: Records;
  /** Is it there, or is something under way with it? */
  isThere(name: string): boolean;
  /** Makes what its record says. Rejects with what is in the way. */
  open(name: string): Promise<unknown>;
}

export class BrokenOverlays {
  readonly #parts: BrokenParts;
  readonly #broken = new Map<string, Broken>();
  #retry: Timer | undefined;
  #closed = false;

  constructor(parts: BrokenParts) {
    this.#parts = parts;
  }

  names(): Iterable<string> {
    return this.#broken.keys();
  }

  /** Undefined when nothing is wrong with it. A record that nobody can read is told of too. */
  get(name: string): Broken | undefined {
    const { records, clock } = this.#parts;
    const problem = records.unreadable('up').get(name) ?? records.unreadable('saved').get(name);
    const known = this.#broken.get(name);
    if (known !== undefined || problem === undefined) return known;
    return { reason: problem, advice: `mend the file, or delete it with "overlayadm delete-overlay ${name}"`, since: clock.date() };
  }

  /** Only of those that were tried. */
  reason(name: string): string | undefined {
    return this.#broken.get(name)?.reason;
  }

  /** It could not be had, and is tried again. */
  add(name: string, error: unknown): void {
    const { records, log, clock } = this.#parts;
    // It could not even be recorded that it should be there.
    if (records.get('up', name) === undefined) return;
    const reason = messageOf(error);
    const advice = (OverlayError.is(error) ? error.advice : undefined) ?? 'it is tried again by itself; see the log of overlayd';
    const since = this.#broken.get(name)?.since ?? clock.date();
    if (this.#broken.get(name)?.reason !== reason) log.warn({ overlay: name, reason }, 'overlay cannot be restored');
    this.#broken.set(name, { reason, advice, since });
  }

  /** It is there, or nobody wants it any more. */
  remove(name: string): void {
    this.#broken.delete(name);
  }

  /** Tries everything that should be there, now, and what then is not from time to time. */
  async tryAll(): Promise<void> {
    for (const name of this.#parts.records.names('up')) {
      if (this.#parts.isThere(name) || this.#closed) continue;
      await this.#parts.open(name).catch((error) => this.add(name, error));
    }
    this.plan();
  }

  plan(): void {
    this.#retry?.cancel();
    const waits = this.#broken.size + this.#parts.records.unreadable('up').size;
    if (waits > 0 && !this.#closed) this.#retry = this.#parts.clock.after(RESTORE_RETRY_MS, () => void this.#tryAgain());
  }

  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
  }

  async #tryAgain(): Promise<void> {
    try {
      await this.#parts.records.load();
      await this.tryAll();
    } catch (error) {
      this.#parts.log.error({ error: messageOf(error) }, 'records cannot be read');
      this.plan();
    }
  }
}
