// The command's end of the control socket: connects, checks that the right overlayd answers, calls methods.
import { statSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { type Clock, systemClock } from '../util/clock.ts';
import { RPC_CALL_TIMEOUT_MS, RPC_EVERY_CALL_TIMEOUT_MS, RPC_HELLO_TIMEOUT_MS, RPC_START_CALL_TIMEOUT_MS } from '../util/limits.ts';
import { fromRpcError, OverlayError } from './errors.ts';
import { LineStream } from './framing.ts';
import { checkHello } from './hello.ts';
import { type Hello, type MethodName, type Methods, PERMISSIONS } from './protocol.ts';

export interface ConnectOptions {
  /** Version of this program. */
  readonly version: string;
  /** Inode of the caller's network namespace; its own when not given. */
  readonly netns?: number;
  readonly clock?: Clock;
  readonly helloTimeoutMs?: number;
  /** Of every call; each method has its own when not given. */
  readonly callTimeoutMs?: number;
}

/** What a command must not give up before overlayd does. */
const SLOW_CALLS: { readonly [M in MethodName]?: number } = {
  'overlay.create': RPC_START_CALL_TIMEOUT_MS,
  'linkprop.set': RPC_START_CALL_TIMEOUT_MS,
  'linkprop.reset': RPC_START_CALL_TIMEOUT_MS,
  'overlay.up': RPC_EVERY_CALL_TIMEOUT_MS,
  'plugin.reload': RPC_EVERY_CALL_TIMEOUT_MS,
};

export interface Client extends AsyncDisposable {
  readonly hello: Hello;
  /**
   * @throws OverlayError what overlayd answered; RPC_TIMEOUT when it did not; RPC_CLOSED when it went away. After the last
   * two it is not known whether a change was made.
   */
  call<M extends MethodName>(method: M, params: Methods[M]['params']): Promise<Methods[M]['result']>;
  /** Requests that are not answered are rejected with RPC_CLOSED. */
  close(): void;
}

/**
 * @throws OverlayError RPC_UNREACHABLE with `details.errno` ('ENOENT', 'ECONNREFUSED', 'EACCES', ...) when nobody can be
 * connected to; VERSION_MISMATCH, NETNS_MISMATCH when it is the wrong one; what call() throws.
 */
export async function connect(path: string, options: ConnectOptions): Promise<Client> {
  const { clock = systemClock, helloTimeoutMs = RPC_HELLO_TIMEOUT_MS, callTimeoutMs } = options;
  const calls = new Calls(await open(path, clock, helloTimeoutMs), clock);
  try {
    const answer = await calls.call('hello', { version: options.version }, helloTimeoutMs);
    const hello = checkHello(answer, { version: options.version, netns: options.netns ?? ownNetns() });
    return {
      hello,
      call: (method, params) => calls.call(method, params, callTimeoutMs ?? SLOW_CALLS[method] ?? RPC_CALL_TIMEOUT_MS),
      close: () => calls.close(),
      [Symbol.asyncDispose]: async () => calls.close(),
    };
  } catch (error) {
    calls.close();
    throw error;
  }
}

const ownNetns = (): number => statSync('/proc/self/ns/net').ino;

function open(path: string, clock: Clock, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const timer = clock.after(timeoutMs, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
    const refused = (error: NodeJS.ErrnoException): void => {
      timer.cancel();
      reject(unreachable(path, error));
    };
    socket.once('error', refused);
    socket.once('connect', () => {
      timer.cancel();
      socket.off('error', refused);
      resolve(socket);
    });
  });
}

function unreachable(path: string, error: NodeJS.ErrnoException): OverlayError {
  const errno = error.code ?? 'UNKNOWN';
  return new OverlayError('RPC_UNREACHABLE', `overlayd: cannot be reached at ${path} (${errno})`, { details: { path, errno }, cause: error });
}

/** How to see what a change that nobody has answered has come to. */
const SEEN_BY: Readonly<Record<string, string>> = {
  overlay: 'show-overlay -f',
  vnic: 'show-vnic',
  target: 'show-overlay -t',
  linkprop: 'show-linkprop',
  plugin: 'show-plugins',
};

interface Waiting {
  readonly method: MethodName;
  resolve(result: unknown): void;
  reject(error: OverlayError): void;
}

/** Requests that are out, by id. */
class Calls {
  readonly #waiting = new Map<number, Waiting>();
  readonly #stream: LineStream;
  readonly #clock: Clock;
  #lastId = 0;
  #ended: OverlayError | undefined;

  constructor(socket: Socket, clock: Clock) {
    this.#clock = clock;
    this.#stream = new LineStream(socket, {
      message: (message) => this.#received(message),
      closed: (reason) => this.#end(closedBy(reason)),
    });
  }

  async call<M extends MethodName>(method: M, params: Methods[M]['params'], timeoutMs: number): Promise<Methods[M]['result']> {
    if (this.#ended) throw this.#ended;
    const id = ++this.#lastId;
    this.#stream.send({ jsonrpc: '2.0', id, method, params });
    const timer = this.#clock.after(timeoutMs, () => this.#settle(id, (waiting) => waiting.reject(timedOut(method, timeoutMs))));
    try {
      return (await new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { method, resolve, reject }))) as Methods[M]['result'];
    } finally {
      timer.cancel();
    }
  }

  close(): void {
    this.#stream.destroy();
    this.#end(closedBy('by this command'));
  }

  #received(message: Readonly<Record<string, unknown>>): void {
    const { id, error, result } = message;
    // An error that answers no request is about the connection: no rights, or a line that overlayd could not read.
    if (typeof id !== 'number') {
      this.#end(error === undefined ? malformed() : fromRpcError(error));
      this.#stream.destroy();
    } else if (error !== undefined) this.#settle(id, (waiting) => waiting.reject(fromRpcError(error)));
    else if (result !== undefined) this.#settle(id, (waiting) => waiting.resolve(result));
    else this.#settle(id, (waiting) => waiting.reject(malformed()));
  }

  #settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting) how(waiting);
  }

  #end(reason: OverlayError): void {
    this.#ended ??= reason;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, (waiting) => waiting.reject(lost(reason, waiting.method)));
  }
}

function closedBy(reason: string | undefined): OverlayError {
  return new OverlayError('RPC_CLOSED', `overlayd: the connection was closed (${reason ?? 'by overlayd'})`, {
    advice: 'overlayd may be stopping: try again, and see its log if this stays.',
  });
}

function timedOut(method: MethodName, timeoutMs: number): OverlayError {
  const error = new OverlayError('RPC_TIMEOUT', `overlayd: no answer to ${method} (after ${timeoutMs / 1000} s)`, {
    details: { method, timeoutMs },
    advice: 'overlayd may be stopped or overloaded: see its log.',
  });
  return lost(error, method);
}

/** The same error, with what to do when the request was out and may have changed something. */
function lost(error: OverlayError, method: MethodName): OverlayError {
  const { code, message, details, advice } = error;
  if (PERMISSIONS[method] !== 'change' || (code !== 'RPC_TIMEOUT' && code !== 'RPC_CLOSED')) return error;
  const see = `The change may have been made: "overlayadm ${SEEN_BY[method.split('.')[0] ?? '']}" shows what there is now.`;
  return new OverlayError(code, message, { details, advice: `${see}\n${advice ?? ''}`.trimEnd(), cause: error });
}

const malformed = (): OverlayError => new OverlayError('RPC_MALFORMED', 'overlayd: an answer that is none');
