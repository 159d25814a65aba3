// Looks from time to time after VNICs whose namespace may come or go: there is no message about that, and netlink knows namespaces only by number.
import { messageOf } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { MAX_NAMESPACE_POLL_SHARE, NAMESPACE_POLL_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';

export interface NamespaceWatchParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Is there anything to look at? */
  isNeeded(): boolean;
  look(): void;
}

export class NamespaceWatch {
  readonly #parts: NamespaceWatchParts;
  #timer: Timer | undefined;
  #isFailing = false;

  constructor(parts: NamespaceWatchParts) {
    this.#parts = parts;
  }

  /** To be called after every change of what isNeeded() says. */
  update(): void {
    if (!this.#parts.isNeeded()) this.close();
    else if (this.#timer === undefined) this.#plan(NAMESPACE_POLL_MS);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #plan(ms: number): void {
    this.#timer = this.#parts.clock.after(ms, () => this.#look());
  }

  #look(): void {
    const { clock, log, look } = this.#parts;
    const began = clock.now();
    try {
      look();
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) log.warn({ error: messageOf(error) }, 'vnics cannot be looked at');
      this.#isFailing = true;
    }
    this.#timer = undefined;
    // Many namespaces take their time, and meanwhile overlayd does nothing else.
    if (this.#parts.isNeeded()) this.#plan(Math.max(NAMESPACE_POLL_MS, (clock.now() - began) / MAX_NAMESPACE_POLL_SHARE));
  }
}
