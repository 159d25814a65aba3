// Contents of one file on their way to a plugin: parts are put together, and only the newest whole contents wait.
import type { OverlayError } from '@overlayadm/api';

type Result = IteratorResult<Uint8Array, undefined>;
type Waiter = { readonly resolve: (result: Result) => void; readonly reject: (error: unknown) => void };

const DONE: Result = { done: true, value: undefined };

/**
 * An iteration by hand, not a generator: return() of a generator waits for a next() that is under way, and here that may
 * wait for a change that never comes.
 */
export class FileFeed implements AsyncIterableIterator<Uint8Array, undefined, undefined> {
  #parts: Buffer[] = [];
  #newest: Uint8Array | undefined;
  #error: OverlayError | undefined;
  #ended = false;
  #waiters: Waiter[] = [];
  readonly #open: () => void;
  readonly #close: () => void;
  #opened = false;

  /** `open` is called at the first next(), `close` once, when the plugin wants no more of a file that it opened. */
  constructor(open: () => void, close: () => void) {
    this.#open = open;
    this.#close = close;
  }

  push(base64: string, last: boolean): void {
    this.#parts.push(Buffer.from(base64, 'base64'));
    if (!last) return;
    this.#newest = new Uint8Array(Buffer.concat(this.#parts));
    this.#parts = [];
    this.#serve();
  }

  /** The iteration throws this, after the contents that came before it. */
  fail(error: OverlayError): void {
    this.#error = error;
    this.#serve();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
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
  return(): Promise<Result> {
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
        waiter.resolve({ done: false, value: this.#newest });
        this.#newest = undefined;
      } else if (this.#error !== undefined) {
        waiter.reject(this.#error);
        this.#end();
      } else return;
      this.#waiters.shift();
    }
  }
}
