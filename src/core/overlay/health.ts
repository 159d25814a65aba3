// Online or degraded, with a reason for each cause; a report only: links and forwarding are never touched by it.
import type { Clock, Timer } from '../util/clock.ts';
import { HEALTH_LOG_MS, MAX_REASON_BYTES } from '../util/limits.ts';

/** What to do about each cause. Who reports has one reason at a time, and only its own report takes it back. */
const ADVICE = {
  plugin: 'correct what the lookup plugin names; it heals by itself',
  'plugin-host': 'the plugin host is started again by itself; see the log of overlayd if this stays',
  destination: 'correct the answer of the lookup plugin; it is over a minute after the last wrong one',
  'too-big': 'lower the mtu of the overlay, or widen the path',
  device: 'bring it up again with "overlayadm up-overlay"',
  underlay: 'give the address back to the host; it heals by itself',
  filter: 'stop what takes the nftables table away, or see why it is refused; it is tried again by itself',
  rows: 'frames to these targets go through overlayd meanwhile; they are tried again by themselves',
  'foreign-rows': 'they decide where these targets are; "bridge fdb del MAC dev OVERLAY" removes one',
} as const;
export type HealthCause = keyof typeof ADVICE;

export interface HealthReport {
  /** All reasons, oldest first, in one line within MAX_REASON_BYTES. */
  readonly reason: string;
  /** When the oldest trouble that is still there began. */
  readonly since: Date;
  readonly advice: string;
}

/** A change of the set of causes. */
export interface HealthChange {
  readonly status: 'DEGRADED' | 'ONLINE';
  readonly causes: readonly HealthCause[];
  readonly reason: string | undefined;
}

interface Trouble {
  reason: string;
  readonly since: Date;
  timer?: Timer;
}

export class Health {
  readonly #troubles = new Map<HealthCause, Trouble>();
  readonly #clock: Clock;
  readonly #changed: (change: HealthChange) => void;
  #told = '';
  #mayTellAt = Number.NEGATIVE_INFINITY;
  #telling: Timer | undefined;

  /**
   * `changed` is told of each change, at once when there was none lately; when it changes often, at most once in
   * HEALTH_LOG_MS, and in the end always how it is then.
   */
  constructor(clock: Clock, changed: (change: HealthChange) => void) {
    this.#clock = clock;
    this.#changed = changed;
  }

  /** With `quietMs`: nobody takes it back; it is over when it was not reported for so long. */
  degrade(cause: HealthCause, reason: string, quietMs?: number): void {
    const trouble = this.#troubles.get(cause) ?? { reason, since: this.#clock.date() };
    trouble.reason = reason;
    trouble.timer?.cancel();
    if (quietMs !== undefined) trouble.timer = this.#clock.after(quietMs, () => this.restore(cause));
    this.#troubles.set(cause, trouble);
    this.#tell();
  }

  restore(cause: HealthCause): void {
    this.#troubles.get(cause)?.timer?.cancel();
    if (this.#troubles.delete(cause)) this.#tell();
  }

  /** Undefined when online. */
  report(): HealthReport | undefined {
    const [oldest] = this.#troubles.values();
    if (oldest === undefined) return undefined;
    const advice = [...this.#troubles.keys()].map((cause) => ADVICE[cause]).join('; ');
    return { reason: oneLine([...this.#troubles.values()].map(({ reason }) => reason).join('; ')), since: oldest.since, advice };
  }

  close(): void {
    for (const { timer } of this.#troubles.values()) timer?.cancel();
    this.#telling?.cancel();
  }

  #tell(): void {
    const causes = [...this.#troubles.keys()];
    const now = this.#clock.now();
    if (causes.join() === this.#told || this.#telling !== undefined) return;
    if (now < this.#mayTellAt) {
      this.#telling = this.#clock.after(this.#mayTellAt - now, () => {
        this.#telling = undefined;
        this.#tell();
      });
      return;
    }
    this.#told = causes.join();
    this.#mayTellAt = now + HEALTH_LOG_MS;
    this.#changed({ status: causes.length > 0 ? 'DEGRADED' : 'ONLINE', causes, reason: this.report()?.reason });
  }
}

function oneLine(text: string): string {
  const bytes = new TextEncoder().encode(text.replace(/\s+/g, ' '));
  // A character that is cut in half decodes to U+FFFD, which goes too.
  return new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES)).replace(/�+$/, '');
}
