// What changes now and then on its way to a plugin, as an iteration in which only the newest value waits.
import type { OverlayError } from '@overlayadm/api';

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

const DONE = { done: true, value: undefined } as const;

/**
 * An iteration by hand, not a generator: return() of a generator waits for a next() that is under way, and here that may
 * wait for a change that never comes.
 */
export class Feed<T> implements AsyncIterableIterator<T, undefined, undefined> {
  #newest: { readonly value: T } | undefined;
  #error: OverlayError | undefined;
  #ended = false;
  #waiters: Waiter<T>[] = [];
  readonly #open: () => void;
  readonly #close: () => void;
  #opened = false;

  /** `open` is called at the first next(), `close` once, when the plugin wants no more of what it opened. */
  constructor(open: () => void, close: () => void) {
    this.#open = open;
    this.#close = close;
  }

  put(value: T): void {
    this.#newest = { value };
    this.#serve();
  }

  /** The iteration throws this, after the value that came before it. */
  fail(error: OverlayError): void {
    this.#error = error;
    this.#serve();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (!this.#opened && !this.#ended) {
      this.#opened = true;
      this.#open();
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#serve();
    });
  }

  /** Also ends the iteration for a next() that waits. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#end();
    this.#serve();
    return Promise.resolve(DONE);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#opened) this.#close();
  }

  #serve(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      if (this.#ended) waiter.resolve(DONE);
      else if (this.#newest !== undefined) {
        waiter.resolve({ done: false, value: this.#newest.value });
        this.#newest = undefined;
      } else if (this.#error !== undefined) {
        waiter.reject(this.#error);
        this.#end();
      } else return;
      this.#waiters.shift();
    }
  }
}

/** Contents of one file, put together from the parts in which they come. */
export class FileFeed extends Feed<Uint8Array> {
  #parts: Buffer[] = [];

  push(base64: string, last: boolean): void {
    this.#parts.push(Buffer.from(base64, 'base64'));
    if (!last) return;
    this.put(new Uint8Array(Buffer.concat(this.#parts)));
    this.#parts = [];
  }
}
