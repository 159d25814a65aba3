// One client of the control socket, as the server sees it: takes requests line by line, answers each, keeps the bounds.
import type { Socket } from 'node:net';
import type { Clock } from '../util/clock.ts';
import { MAX_LINE_BYTES, MAX_NAME_CHARACTERS, MAX_RPC_REQUESTS_IN_FLIGHT, MAX_RPC_UNREAD_BYTES, RPC_LINGER_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { messageOf, OverlayError, toRpcError } from './errors.ts';
import { decodeLine, encodeLine, LineSplitter } from './framing.ts';

type Message = Readonly<Record<string, unknown>>;
type Id = string | number | null;

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Does what a method asks for; may throw anything. */
  perform(method: string, params: unknown): Promise<unknown>;
}

/**
 * Requests are begun in the order they came, at most MAX_RPC_REQUESTS_IN_FLIGHT at once; beyond that the socket is not
 * read. Answers come in the order they are ready. An answer to somebody who has left goes nowhere.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #splitter = new LineSplitter();
  #waiting: Message[] = [];
  #inFlight = 0;
  #ending = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    // A reset by the client. 'close' follows, and that is what the server waits for.
    socket.on('error', (error) => options.log.debug({ error: error.message }, 'control connection'));
  }

  /** Tells why, in an error that belongs to no request, and closes the connection. */
  refuse(error: OverlayError): void {
    this.#sayGoodbye(encodeLine(errorReply(null, error)));
  }

  /** Takes no further requests, and closes when those that are worked on are answered. */
  finish(): void {
    this.#waiting = [];
    if (this.#inFlight === 0) this.#sayGoodbye('');
    else this.#ending = true;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #received(chunk: Buffer): void {
    if (this.#ending) return;
    const { lines, overlong } = this.#splitter.push(chunk);
    for (const line of lines) {
      const message = decodeLine(line);
      if (message === undefined) return this.refuse(new OverlayError('RPC_PARSE', 'request: a line that is not one JSON object'));
      this.#waiting.push(message);
    }
    if (overlong) return this.refuse(new OverlayError('RPC_PARSE', `request: a line of more than ${MAX_LINE_BYTES} bytes`));
    this.#next();
  }

  #next(): void {
    while (this.#inFlight < MAX_RPC_REQUESTS_IN_FLIGHT) {
      const message = this.#waiting.shift();
      if (message === undefined) break;
      this.#inFlight++;
      void this.#answer(message);
    }
    if (this.#waiting.length > 0) this.#socket.pause();
    else this.#socket.resume();
  }

  async #answer(message: Message): Promise<void> {
    const line = await this.#reply(message);
    this.#inFlight--;
    if (this.#ending) {
      this.#send(line);
      if (this.#inFlight === 0) this.#sayGoodbye('');
      return;
    }
    this.#send(line);
    this.#next();
  }

  /** Never rejects: whatever goes wrong, also in writing the result, is an answer. */
  async #reply(message: Message): Promise<string> {
    const { id, method } = message;
    const known = idOf(id);
    try {
      if (known === null || message.jsonrpc !== '2.0' || typeof method !== 'string') {
        throw new OverlayError('RPC_REQUEST', 'request: needs jsonrpc "2.0", an id (a number or a short text) and a method');
      }
      const result = await this.#options.perform(method, message.params ?? {});
      return encodeLine({ jsonrpc: '2.0', id: known, result: result ?? null });
    } catch (error) {
      return this.#errorLine(known, method, error);
    }
  }

  #errorLine(id: Id, method: unknown, error: unknown): string {
    try {
      if (OverlayError.is(error)) return encodeLine(errorReply(id, error));
    } catch (unwritable) {
      this.#options.log.warn({ method, error: messageOf(unwritable) }, 'an error whose details cannot be sent');
      if (OverlayError.is(error)) return encodeLine(errorReply(id, new OverlayError(error.code, error.message.slice(0, MAX_NAME_CHARACTERS))));
    }
    this.#options.log.error(
      { method, error: error instanceof Error ? (error.stack ?? error.message) : messageOf(error) },
      'a request failed in a way nobody expected',
    );
    return encodeLine(errorReply(id, new OverlayError('INTERNAL', 'overlayd: internal error', { advice: 'See the log of overlayd.' })));
  }

  #send(line: string): void {
    if (!this.#socket.writable) return;
    this.#socket.write(line);
    if (this.#socket.writableLength <= MAX_RPC_UNREAD_BYTES) return;
    this.#options.log.warn({ bytes: this.#socket.writableLength }, 'a client does not read its answers and is disconnected');
    this.#socket.destroy();
  }

  /**
   * Closes our direction only and reads on into nothing for a while: to close a Unix socket that has unread bytes resets
   * the connection, and the client might see that before it sees what we told it.
   */
  #sayGoodbye(line: string): void {
    this.#ending = true;
    this.#waiting = [];
    if (this.#socket.destroyed) return;
    this.#socket.end(line);
    this.#socket.resume();
    const timer = this.#options.clock.after(RPC_LINGER_MS, () => this.#socket.destroy());
    this.#socket.once('close', () => timer.cancel());
  }
}

function idOf(id: unknown): Id {
  if (typeof id === 'number') return id;
  return typeof id === 'string' && id.length <= MAX_NAME_CHARACTERS ? id : null;
}

const errorReply = (id: Id, error: OverlayError) => ({ jsonrpc: '2.0', id, error: toRpcError(error) });
