// Newline-delimited JSON over any stream: one object a line, bounded length. The control socket and plugin hosts share it.
import type { Duplex } from 'node:stream';
import { OverlayError } from '@overlayadm/api';
import { MAX_LINE_BYTES } from '../util/limits.ts';

const NEWLINE = 0x0a;

export interface Split {
  /** Complete lines, without their newline. Bytes that are no UTF-8 come out as U+FFFD. */
  readonly lines: readonly string[];
  /** The peer sent a line beyond the bound. Nothing it sends afterwards is looked at: where the next line begins is not known. */
  readonly overlong: boolean;
}

/** Cuts a stream of bytes into lines. Total: any bytes, in any pieces, give lines or `overlong`, never an exception. */
export class LineSplitter {
  readonly #maxBytes: number;
  /** What has come of a line, copied: pieces of one byte, each an object, would take a hundred times their length. */
  #kept = Buffer.alloc(0);
  #keptBytes = 0;
  #overlong = false;

  /** `maxBytes`: longest line, its newline not counted. */
  constructor(maxBytes: number = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): Split {
    const lines: string[] = [];
    let from = 0;
    while (!this.#overlong) {
      const newline = chunk.indexOf(NEWLINE, from);
      this.#keep(chunk.subarray(from, newline < 0 ? chunk.length : newline));
      if (newline < 0 || this.#overlong) break;
      lines.push(this.#kept.toString('utf8', 0, this.#keptBytes));
      this.#keptBytes = 0;
      from = newline + 1;
    }
    // The room of a long line is given back when nothing waits in it.
    if (this.#overlong || this.#keptBytes === 0) this.#kept = Buffer.alloc(0);
    return { lines, overlong: this.#overlong };
  }

  #keep(part: Uint8Array): void {
    const needed = this.#keptBytes + part.length;
    if (needed > this.#maxBytes) {
      this.#overlong = true;
      return;
    }
    if (needed > this.#kept.length) {
      const wider = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, 2 * needed));
      this.#kept.copy(wider, 0, 0, this.#keptBytes);
      this.#kept = wider;
    }
    this.#kept.set(part, this.#keptBytes);
    this.#keptBytes = needed;
  }
}

/** The object on a line, or undefined when it is not one JSON object. Total. */
export function decodeLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** One message as a line, newline included. @throws OverlayError RPC_LINE_TOO_LONG when the peer would refuse it. */
export function encodeLine(message: object, maxBytes: number = MAX_LINE_BYTES): string {
  const line = JSON.stringify(message);
  const bytes = Buffer.byteLength(line);
  if (bytes > maxBytes)
    throw new OverlayError('RPC_LINE_TOO_LONG', `message: ${bytes} bytes, at most ${maxBytes} fit`, { details: { bytes, maxBytes } });
  return `${line}\n`;
}

export interface LineEvents {
  /** One decoded object. */
  message(message: Readonly<Record<string, unknown>>): void;
  /** The stream is finished, once: `undefined` when the peer closed it, else what was wrong with it. Nothing follows. */
  closed(reason: string | undefined): void;
}

/** A stream of messages, both ways. What is sent in one turn of the event loop leaves in one write. */
export class LineStream {
  readonly #stream: Duplex;
  readonly #events: LineEvents;
  readonly #splitter = new LineSplitter();
  #unsent = '';
  #closed = false;

  constructor(stream: Duplex, events: LineEvents) {
    this.#stream = stream;
    this.#events = events;
    stream.on('data', (chunk: Buffer) => this.#received(chunk));
    stream.on('end', () => this.#finish(undefined));
    stream.on('close', () => this.#finish(undefined));
    stream.on('error', (error: Error) => this.#finish(error.message));
  }

  /** Bytes that are written and not taken by the peer yet: what somebody who sends much waits for with `drained`. */
  get backlogBytes(): number {
    return this.#unsent.length + this.#stream.writableLength;
  }

  /** Does nothing once the stream is closed. @throws OverlayError RPC_LINE_TOO_LONG */
  send(message: object): void {
    if (this.#closed) return;
    if (this.#unsent === '') setImmediate(() => this.#flush());
    this.#unsent += encodeLine(message);
  }

  /** Settles when the stream takes more, or is closed. */
  drained(): Promise<void> {
    this.#flush();
    if (this.#closed || !this.#stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done).off('close', done);
        resolve();
      };
      this.#stream.once('drain', done).once('close', done);
    });
  }

  /** Sends what is left and says goodbye; `closed` is not called. */
  end(): void {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    this.#stream.end();
  }

  /** Ends at once. `closed` is not called. */
  destroy(): void {
    this.#closed = true;
    this.#stream.destroy();
  }

  #flush(): void {
    if (this.#unsent === '' || this.#closed) return;
    const text = this.#unsent;
    this.#unsent = '';
    this.#stream.write(text);
  }

  #received(chunk: Buffer): void {
    if (this.#closed) return;
    const { lines, overlong } = this.#splitter.push(chunk);
    for (const line of lines) {
      const message = decodeLine(line);
      if (message === undefined) this.#finish('a line that is not one JSON object');
      else this.#events.message(message);
      if (this.#closed) return;
    }
    if (overlong) this.#finish(`a line of more than ${MAX_LINE_BYTES} bytes`);
  }

  #finish(reason: string | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.destroy();
    this.#events.closed(reason);
  }
}
