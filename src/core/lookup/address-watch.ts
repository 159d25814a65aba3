// Follows what the VNICs of an overlay are called, for its plugin: looked at from time to time, told when it is new.
import { type LocalAddress, messageOf } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { LOCAL_ADDRESS_POLL_MS, MAX_LOCAL_ADDRESS_SHARE, MAX_LOCAL_IPS, MAX_LOCAL_VNICS } from '../util/limits.ts';

export interface WatchParts {
  readonly clock: Clock;
  /** May throw: then nothing is told, least of all an empty list. */
  list(): readonly LocalAddress[];
  warn(text: string): void;
}

/** Settles when the plugin host has taken it. */
type Tell = (addresses: readonly LocalAddress[]) => Promise<void>;

export class AddressWatch {
  readonly #parts: WatchParts;
  /** The one who is told now; undefined while nobody is. */
  #tell: Tell | undefined;
  #told: string | undefined;
  #timer: Timer | undefined;
  /** ms of the clock. Kept beyond close(), so that opening again and again costs no more than to stay open. */
  #nextLook = Number.NEGATIVE_INFINITY;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  /** From the beginning, also when it is open. */
  open(tell: Tell): void {
    this.close();
    this.#tell = tell;
    this.#told = undefined;
    this.#plan(tell);
  }

  close(): void {
    this.#tell = undefined;
    this.#timer?.cancel();
  }

  #plan(tell: Tell): void {
    const { clock } = this.#parts;
    this.#timer = clock.after(Math.max(0, this.#nextLook - clock.now()), () => this.#look(tell));
  }

  async #look(tell: Tell): Promise<void> {
    const addresses = this.#list();
    const text = JSON.stringify(addresses);
    if (addresses !== undefined && text !== this.#told) {
      this.#told = text;
      await tell(addresses);
    }
    if (this.#tell === tell) this.#plan(tell);
  }

  #list(): readonly LocalAddress[] | undefined {
    const { clock, list, warn } = this.#parts;
    const began = clock.now();
    try {
      const all = list();
      const some = withinBounds(all);
      if (some.length < all.length) warn(`addresses of ${all.length - some.length} VNICs are not told to the plugin, there are too many`);
      return some;
    } catch (error) {
      warn(`addresses of VNICs cannot be read: ${messageOf(error)}`);
      return undefined;
    } finally {
      // Many VNICs in many namespaces take their time, and meanwhile overlayd does nothing else.
      const end = clock.now();
      this.#nextLook = end + Math.max(LOCAL_ADDRESS_POLL_MS, (end - began) / MAX_LOCAL_ADDRESS_SHARE);
    }
  }
}

/** The first VNICs that together have no more than MAX_LOCAL_IPS addresses. */
function withinBounds(all: readonly LocalAddress[]): readonly LocalAddress[] {
  let room = MAX_LOCAL_IPS;
  const end = all.slice(0, MAX_LOCAL_VNICS).findIndex(({ ips }) => {
    room -= ips.length;
    return room < 0;
  });
  return all.slice(0, end < 0 ? MAX_LOCAL_VNICS : end);
}
