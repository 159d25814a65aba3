// Targets that were known before overlayd was started again are asked for anew, slowly: frames go on meanwhile to where they went.
import type { MacAddress } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { VERIFY_BATCH, VERIFY_MS } from '../util/limits.ts';

export interface VerifyParts {
  readonly clock: Clock;
  /** Puts these targets to the lookup plugin; what it says replaces what is known, and no answer leaves it. */
  ask(targets: readonly MacAddress[]): void;
}

/** Who waits for the lookup instance of a restored overlay. */
export interface Watcher {
  /** It can be asked, perhaps once more. */
  up(): void;
  down(): void;
  /** A person has said where this target is. */
  set(mac: MacAddress): void;
  /** What was asked of this target could not be answered just now. */
  unanswered(mac: MacAddress): void;
}

export class Verification {
  readonly #parts: VerifyParts;
  readonly #left: Set<MacAddress>;
  #timer: Timer | undefined;
  #isUp = false;

  /** `targets`: those that the plugin has answered; what a person has set is not for the plugin to say. */
  constructor(parts: VerifyParts, targets: Iterable<MacAddress>) {
    this.#parts = parts;
    this.#left = new Set(targets);
  }

  get left(): number {
    return this.#left.size;
  }

  /** The plugin can be asked. Once more is fine. */
  start(): void {
    this.#isUp = true;
    if (this.#timer === undefined && this.#left.size > 0) this.#timer = this.#parts.clock.every(VERIFY_MS, () => this.#next());
  }

  /** It cannot any more; start() goes on. */
  pause(): void {
    this.#isUp = false;
    this.#rest();
  }

  /** The question was not answered: it is put once more. */
  again(target: MacAddress): void {
    this.#left.add(target);
    if (this.#isUp) this.start();
  }

  /** A person has said where it is. */
  skip(target: MacAddress): void {
    this.#left.delete(target);
  }

  stop(): void {
    this.pause();
    this.#left.clear();
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #next(): void {
    const batch: MacAddress[] = [];
    for (const target of this.#left) {
      if (batch.length === VERIFY_BATCH) break;
      batch.push(target);
    }
    for (const target of batch) this.#left.delete(target);
    this.#parts.ask(batch);
    if (this.#left.size === 0) this.#rest();
  }
}
