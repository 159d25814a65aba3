// What a lookup instance says reaches its overlay only while it is the overlay's own: not before, when it may still be refused, and not after.
import type { InstanceEvents } from '../lookup/types.ts';
import { MAX_TARGETS_PER_OVERLAY } from '../util/limits.ts';

/** Events of one instance. Until open() they wait, and come in their order with it; after shut() they are lost. */
export class InstanceDoor {
  readonly #to: InstanceEvents;
  #waiting: (() => void)[] = [];
  #state: 'early' | 'open' | 'shut' = 'early';

  constructor(to: InstanceEvents) {
    this.#to = to;
  }

  /** For createInstance() and restoreInstance(). */
  readonly events: InstanceEvents = {
    answered: (answers) => this.#pass(() => this.#to.answered(answers)),
    setTarget: (mac, destination) => this.#pass(() => this.#to.setTarget(mac, destination)),
    invalidateTarget: (mac) => this.#pass(() => this.#to.invalidateTarget(mac)),
    announce: (ip, mac, toMacs) => this.#pass(() => this.#to.announce(ip, mac, toMacs)),
    degraded: (reason) => this.#pass(() => this.#to.degraded(reason)),
    restored: () => this.#pass(() => this.#to.restored()),
    hostDown: (reason) => this.#pass(() => this.#to.hostDown(reason)),
    hostUp: () => this.#pass(() => this.#to.hostUp()),
    outdated: () => this.#pass(() => this.#to.outdated()),
  };

  open(): void {
    if (this.#state !== 'early') return;
    this.#state = 'open';
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const say of waiting) say();
  }

  shut(): void {
    this.#state = 'shut';
    this.#waiting = [];
  }

  #pass(say: () => void): void {
    if (this.#state === 'open') say();
    // A plugin may say more than is good for us. What is forgotten here is asked for when a frame needs it.
    else if (this.#state === 'early' && this.#waiting.length < MAX_TARGETS_PER_OVERLAY) this.#waiting.push(say);
  }
}
