// A LookupHost for tests: records every call, keeps files in memory, and its time moves only when it is told to.
import type { Destination, IpAddress, LocalAddress, LookupHost, MacAddress } from '@overlayadm/api';
import { turns } from './testing.ts';

export type HostCall =
  | { readonly call: 'setTarget'; readonly mac: MacAddress; readonly destination: Destination }
  | { readonly call: 'invalidateTarget'; readonly mac: MacAddress }
  | { readonly call: 'announce'; readonly ip: IpAddress; readonly mac: MacAddress; readonly toMacs?: readonly MacAddress[] }
  | { readonly call: 'file'; readonly property: string }
  | { readonly call: 'localAddresses' }
  | { readonly call: 'degrade'; readonly reason: string }
  | { readonly call: 'restore' }
  | { readonly call: 'log'; readonly level: 'info' | 'warn'; readonly message: string }
  | { readonly call: 'sleep'; readonly ms: number };

export interface FakeHostOptions {
  readonly vnetid?: number;
  readonly usualPort?: number | undefined;
  /** Contents by property name. A property that is not named here has a file that never arrives. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** VNICs of the overlay; none when not given. */
  readonly localAddresses?: readonly LocalAddress[];
}

export interface FakeHost extends LookupHost {
  /** Everything the instance asked for, in order; time that was only looked at is not in it. */
  readonly calls: readonly HostCall[];
  /** New contents of a file: every open iteration gets them. */
  write(property: string, contents: string | Uint8Array): Promise<void>;
  /** Every iteration of the file throws this, until write(). */
  fail(property: string, error: Error): Promise<void>;
  /** Every iteration of the file ends. A real host does this when it shuts down. */
  end(property: string): Promise<void>;
  /** Other VNICs, or other addresses of them: every open iteration gets the list. */
  setLocalAddresses(addresses: readonly LocalAddress[]): Promise<void>;
  /** Iterations of files that were begun and have neither ended nor thrown. */
  openFiles(): number;
  /** Moves time and wakes who sleeps until then. */
  advance(ms: number): Promise<void>;
}

type FeedState<T> =
  | { readonly kind: 'absent' | 'ended' }
  | { readonly kind: 'contents'; readonly value: T }
  | { readonly kind: 'error'; readonly error: Error };

/** One file, or the list of addresses: its state, and who waits for the next one. */
class FakeFeed<T> {
  #state: FeedState<T> = { kind: 'absent' };
  #version = 0;
  readonly #waiting = new Set<() => void>();
  open = 0;

  set(state: FeedState<T>): void {
    this.#state = state;
    this.#version++;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  iterate(): AsyncIterableIterator<T> {
    let seen = 0;
    let done = false;
    const finish = (): IteratorReturnResult<undefined> => {
      if (!done) this.open--;
      done = true;
      return { done: true, value: undefined };
    };
    const next = async (): Promise<IteratorResult<T>> => {
      while (!done && (this.#state.kind === 'absent' || (this.#state.kind === 'contents' && this.#version === seen))) {
        await new Promise<void>((resolve) => void this.#waiting.add(resolve));
      }
      if (done || this.#state.kind === 'ended') return finish();
      seen = this.#version;
      if (this.#state.kind === 'contents') return { done: false, value: this.#state.value };
      finish();
      throw this.#state.kind === 'error' ? this.#state.error : new Error('the file is absent');
    };
    const stop = async (): Promise<IteratorResult<T>> => {
      const result = finish();
      for (const wake of this.#waiting) wake();
      return result;
    };
    this.open++;
    return {
      next,
      return: stop,
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

/** Time that stands still until it is moved. */
class FakeClock {
  #now = 0;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      this.#sleepers.push({ at: this.#now + ms, wake: resolve });
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  async advance(ms: number): Promise<void> {
    this.#now += ms;
    const due = this.#sleepers.filter((sleeper) => sleeper.at <= this.#now);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.at > this.#now);
    for (const sleeper of due.sort((a, b) => a.at - b.at)) sleeper.wake();
    await turns();
  }
}

const bytesOfText = (contents: string | Uint8Array): Uint8Array => (typeof contents === 'string' ? new TextEncoder().encode(contents) : contents);

/** For the tests of a plugin: `await plugin.create(needs, values, fakeHost({ files: { config: '{}' } })).start(signal)`. */
export function fakeHost(options: FakeHostOptions = {}): FakeHost {
  const calls: HostCall[] = [];
  const files = new Map<string, FakeFeed<Uint8Array>>();
  const addresses = new FakeFeed<readonly LocalAddress[]>();
  const clock = new FakeClock();
  const fileOf = (property: string): FakeFeed<Uint8Array> => {
    const file = files.get(property) ?? new FakeFeed<Uint8Array>();
    files.set(property, file);
    return file;
  };
  const change = async (property: string, state: FeedState<Uint8Array>): Promise<void> => {
    fileOf(property).set(state);
    await turns();
  };
  for (const [property, contents] of Object.entries(options.files ?? {})) fileOf(property).set({ kind: 'contents', value: bytesOfText(contents) });
  addresses.set({ kind: 'contents', value: options.localAddresses ?? [] });
  return {
    vnetid: options.vnetid ?? 100,
    usualPort: options.usualPort,
    calls,
    setTarget: (mac, destination) => void calls.push({ call: 'setTarget', mac, destination }),
    invalidateTarget: (mac) => void calls.push({ call: 'invalidateTarget', mac }),
    announce: (ip, mac, toMacs) => void calls.push({ call: 'announce', ip, mac, ...(toMacs === undefined ? {} : { toMacs }) }),
    file(property) {
      calls.push({ call: 'file', property });
      return { [Symbol.asyncIterator]: () => fileOf(property).iterate() };
    },
    localAddresses() {
      calls.push({ call: 'localAddresses' });
      return { [Symbol.asyncIterator]: () => addresses.iterate() };
    },
    degrade: (reason) => void calls.push({ call: 'degrade', reason }),
    restore: () => void calls.push({ call: 'restore' }),
    log: {
      info: (message) => void calls.push({ call: 'log', level: 'info', message }),
      warn: (message) => void calls.push({ call: 'log', level: 'warn', message }),
    },
    clock: {
      now: () => clock.now(),
      sleep(ms, signal) {
        calls.push({ call: 'sleep', ms });
        return clock.sleep(ms, signal);
      },
    },
    write: (property, contents) => change(property, { kind: 'contents', value: bytesOfText(contents) }),
    fail: (property, error) => change(property, { kind: 'error', error }),
    end: (property) => change(property, { kind: 'ended' }),
    async setLocalAddresses(list) {
      addresses.set({ kind: 'contents', value: list });
      await turns();
    },
    openFiles: () => [...files.values()].reduce((sum, file) => sum + file.open, 0),
    advance: (ms) => clock.advance(ms),
  };
}
