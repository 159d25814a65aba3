// What the engine has to tell the daemon, gathered over a turn and posted as few messages.
import type { FromEngine, LookupBatch } from './messages.ts';

/** Bytes of the head frame that a target lookup carries: the Ethernet header, and enough to explain the frame to a person. */
export const HEAD_BYTES = 128;
/** A turn with more misses than this posts more than one batch. */
const BATCH_ROWS = 256;
const BATCH_BYTES = 128 * 1024;

export const KIND = { target: 0, question: 1, asker: 2 } as const;

export class Outbox {
  readonly #post: (message: FromEngine, transfer: ArrayBuffer[]) => void;
  readonly #ids = new Float64Array(BATCH_ROWS);
  readonly #ports = new Uint32Array(BATCH_ROWS);
  readonly #kinds = new Uint8Array(BATCH_ROWS);
  readonly #ends = new Uint32Array(BATCH_ROWS);
  readonly #bytes = new Uint8Array(BATCH_BYTES);
  #rows = 0;
  #used = 0;
  #aborts: number[] = [];

  constructor(post: (message: FromEngine, transfer: ArrayBuffer[]) => void) {
    this.#post = post;
  }

  /** Room for a head frame of `most` bytes: copy it to `at` of `bytes`, then call add(). */
  room(most: number): { readonly bytes: Uint8Array; readonly at: number } {
    if (this.#rows === BATCH_ROWS || this.#used + most > BATCH_BYTES) this.#postLookups();
    return { bytes: this.#bytes, at: this.#used };
  }

  add(id: number, port: number, kind: number, length: number): void {
    const row = this.#rows++;
    this.#used += length;
    this.#ids[row] = id;
    this.#ports[row] = port;
    this.#kinds[row] = kind;
    this.#ends[row] = this.#used;
  }

  abort(id: number): void {
    this.#aborts.push(id);
  }

  post(message: FromEngine): void {
    // What was asked before comes before: an abort must not overtake its request.
    this.flush();
    this.#post(message, []);
  }

  flush(): void {
    this.#postLookups();
    if (this.#aborts.length === 0) return;
    this.#post({ op: 'aborts', ids: this.#aborts }, []);
    this.#aborts = [];
  }

  #postLookups(): void {
    if (this.#rows === 0) return;
    const batch: LookupBatch = {
      op: 'lookups',
      ids: this.#ids.slice(0, this.#rows),
      ports: this.#ports.slice(0, this.#rows),
      kinds: this.#kinds.slice(0, this.#rows),
      ends: this.#ends.slice(0, this.#rows),
      bytes: this.#bytes.slice(0, this.#used),
    };
    this.#rows = 0;
    this.#used = 0;
    const parts = [batch.ids, batch.ports, batch.kinds, batch.ends, batch.bytes];
    this.#post(
      batch,
      parts.map((part) => part.buffer as ArrayBuffer),
    );
  }
}
