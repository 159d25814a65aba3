// Asks from time to time whether the listen addresses of overlays are still addresses of this host, and tells the overlays.
import { type IpAddress, ipScope, messageOf } from '@overlayadm/api';
import type { KernelNetwork } from '../linux/types.ts';
import type { Clock, Timer } from '../util/clock.ts';
import { MAX_UNDERLAY_POLL_SHARE, UNDERLAY_POLL_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';

export interface WatchParts {
  readonly clock: Clock;
  readonly kernel: Pick<KernelNetwork, 'hostHasAddress'>;
  readonly log: Log;
}

/** What stands on a listen address: an overlay. */
export interface Listener {
  readonly facts: { readonly listenIp: IpAddress };
  /** `isHere`: the listen address is an address of this host, and can be used. */
  underlayIs(isHere: boolean): void;
}

/**
 * Reports only. The sockets stay open and bound: what has lost its address is refused by the kernel, and works again as
 * soon as the address is back, on whichever link, for IPv6 once duplicate address detection has passed it (measured).
 */
export class UnderlayWatch {
  readonly #parts: WatchParts;
  /** Those whose address can go; nobody can take an unspecified one away. */
  readonly #listeners = new Set<Listener>();
  #timer: Timer | undefined;
  #isFailing = false;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  add(listener: Listener): void {
    if (ipScope(listener.facts.listenIp) === 'unspecified') return;
    this.#listeners.add(listener);
    if (this.#timer === undefined) this.#plan(UNDERLAY_POLL_MS);
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #plan(ms: number): void {
    this.#timer = this.#parts.clock.after(ms, () => this.#look());
  }

  #look(): void {
    const { clock } = this.#parts;
    const began = clock.now();
    const isHere = this.#addresses();
    // Many addresses take their time, and meanwhile overlayd does nothing else.
    this.#plan(Math.max(UNDERLAY_POLL_MS, (clock.now() - began) / MAX_UNDERLAY_POLL_SHARE));
    if (isHere === undefined) return;
    for (const listener of this.#listeners) listener.underlayIs(isHere.get(listener.facts.listenIp) === true);
  }

  /** Each address is asked for once, however many overlays listen on it. Undefined when the kernel does not say. */
  #addresses(): ReadonlyMap<IpAddress, boolean> | undefined {
    const isHere = new Map<IpAddress, boolean>();
    try {
      for (const { facts } of this.#listeners)
        if (!isHere.has(facts.listenIp)) isHere.set(facts.listenIp, this.#parts.kernel.hostHasAddress(facts.listenIp));
      this.#isFailing = false;
      return isHere;
    } catch (error) {
      if (!this.#isFailing) this.#parts.log.warn({ error: messageOf(error) }, 'addresses of this host cannot be listed');
      this.#isFailing = true;
      return undefined;
    }
  }
}
