// Online or degraded, with a reason for each cause; a report only: links and forwarding are never touched by it.
import type { Clock, Timer } from '../util/clock.ts';
import { MAX_REASON_BYTES } from '../util/limits.ts';

/** Who reports. Each has one reason at a time, and only its own report takes it back. */
export type HealthCause = 'plugin' | 'plugin-host' | 'destination' | 'too-big' | 'device' | 'underlay';

export class Health {
  readonly #reasons = new Map<HealthCause, string>();
  readonly #timers = new Map<HealthCause, Timer>();

  /** Whether this is news: false while the cause is degraded already, so that what repeats itself does not fill a log. */
  degrade(cause: HealthCause, reason: string): boolean {
    const isNews = !this.#reasons.has(cause);
    this.#reasons.set(cause, reason);
    return isNews;
  }

  /** Whether this is news: false when the cause was not degraded. */
  restore(cause: HealthCause): boolean {
    this.#timers.get(cause)?.cancel();
    this.#timers.delete(cause);
    return this.#reasons.delete(cause);
  }

  /** For trouble that nobody takes back: it is over when it was not reported for `quietMs`. */
  degradeUntilQuiet(cause: HealthCause, reason: string, clock: Clock, quietMs: number): boolean {
    this.#timers.get(cause)?.cancel();
    const isNews = this.degrade(cause, reason);
    this.#timers.set(
      cause,
      clock.after(quietMs, () => void this.restore(cause)),
    );
    return isNews;
  }

  /** Undefined when online; all reasons, oldest first, within MAX_REASON_BYTES otherwise. */
  reason(): string | undefined {
    if (this.#reasons.size === 0) return undefined;
    const text = [...this.#reasons.values()].join('; ').replace(/\s+/g, ' ');
    const bytes = new TextEncoder().encode(text);
    // A character that is cut in half decodes to U+FFFD, which goes too.
    return bytes.length <= MAX_REASON_BYTES ? text : new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES)).replace(/�+$/, '');
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }
}
