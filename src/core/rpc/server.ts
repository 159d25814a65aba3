// The control socket of overlayd: JSON-RPC 2.0, one object a line, with the rights of whoever connected.
import { once } from 'node:events';
import { chmod, chown, lstat, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { type Clock, systemClock } from '../util/clock.ts';
import { MAX_RPC_CONNECTIONS, MAX_RPC_CONNECTIONS_PER_USER, RPC_CLOSE_GRACE_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { Connection } from './connection.ts';
import { messageOf, OverlayError } from './errors.ts';
import { type MethodName, type Methods, PERMISSIONS } from './protocol.ts';
import { checkParams } from './schemas.ts';

/** Who connected: SO_PEERCRED and SO_PEERGROUPS of the socket. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

export interface Caller extends Credentials {
  readonly mayChange: boolean;
}

/** `none` is told so and disconnected. */
export type Role = 'change' | 'read' | 'none';

export type Handlers = {
  readonly [M in MethodName]: (params: Methods[M]['params'], caller: Caller) => Promise<Methods[M]['result']>;
};

export interface ServeOptions {
  readonly path: string;
  /** Listens already, at `path`, made by the service manager, to whom its rights and its name belong. Closed at close(). */
  readonly fd?: number;
  /** Permission bits of the socket; nobody else can even connect. */
  readonly mode?: number;
  /** Group of the socket, where there is one. */
  readonly gid?: number;
  readonly handlers: Handlers;
  readonly log: Log;
  readonly clock?: Clock;
  /** Of a connected socket. @throws when it cannot be said; the connection is closed then. */
  credentialsOf(fd: number): Credentials;
  roleOf(credentials: Credentials): Role;
}

export interface RpcServer {
  /** Answers what is being worked on, for at most RPC_CLOSE_GRACE_MS, disconnects everybody and removes the socket that it made. */
  close(): Promise<void>;
}

const DEFAULT_MODE = 0o660;

/**
 * Listens at `path`, or on `fd`, and answers until close(). A socket that is at `path` already is replaced, so the caller has
 * to hold the lock of the run directory. From the first moment nobody but the owner can connect, later those whom `mode` and
 * `gid` let. Must run in the main thread (umask).
 * @throws the error of listen(2), chmod(2).
 */
export async function serve(options: ServeOptions): Promise<RpcServer> {
  const { fd, log } = options;
  const connections = new Map<Connection, Caller>();
  const server = createServer((socket) => accept(socket, connections, options));
  server.maxConnections = MAX_RPC_CONNECTIONS;
  server.on('drop', () => log.warn({ connections: connections.size }, 'too many control connections, one was closed'));
  await (fd === undefined ? listenAt(server, options) : listenOn(server, fd));
  return { close: () => close(server, connections, options.clock ?? systemClock) };
}

async function listenOn(server: Server, fd: number): Promise<void> {
  server.listen({ fd });
  await once(server, 'listening');
}

async function listenAt(server: Server, { path, gid, mode, log }: ServeOptions): Promise<void> {
  await removeStale(path);
  await bind(server, path);
  if (gid !== undefined) await chown(path, -1, gid).catch((error) => log.warn({ path, gid, error: messageOf(error) }, 'socket group'));
  await chmod(path, mode ?? DEFAULT_MODE);
}

/** Node binds within listen(), so the mask covers exactly that. */
async function bind(server: Server, path: string): Promise<void> {
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await once(server, 'listening');
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket()) await unlink(path);
}

async function close(server: Server, connections: ReadonlyMap<Connection, Caller>, clock: Clock): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  for (const connection of connections.keys()) connection.finish();
  const timer = clock.after(RPC_CLOSE_GRACE_MS, () => {
    for (const connection of connections.keys()) connection.destroy();
  });
  await closed;
  timer.cancel();
}

function accept(socket: Socket, connections: Map<Connection, Caller>, options: ServeOptions): void {
  const { log, roleOf, clock = systemClock } = options;
  const credentials = credentialsOf(socket, options);
  if (credentials === undefined) return void socket.destroy();
  const role = roleOf(credentials);
  const caller: Caller = { ...credentials, mayChange: role === 'change' };
  const connection = new Connection(socket, { clock, log, perform: (method, params) => perform(options.handlers, caller, method, params) });
  const others = [...connections.values()].filter(({ uid }) => uid === caller.uid).length;
  connections.set(connection, caller);
  socket.once('close', () => connections.delete(connection));
  if (role === 'none') connection.refuse(notPermitted('read'));
  else if (role === 'read' && others >= MAX_RPC_CONNECTIONS_PER_USER) connection.refuse(busy(others));
}

function credentialsOf(socket: Socket, { credentialsOf: ask, log }: ServeOptions): Credentials | undefined {
  // Node shows the descriptor of a socket nowhere else.
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } };
  try {
    if (typeof handle?.fd !== 'number' || handle.fd < 0) throw new Error('the connection has no descriptor');
    return ask(handle.fd);
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'a control connection whose owner is not known was closed');
    return undefined;
  }
}

async function perform(handlers: Handlers, caller: Caller, method: string, params: unknown): Promise<unknown> {
  if (!isMethod(method)) throw new OverlayError('RPC_UNKNOWN_METHOD', `request: no method of this name (${method.slice(0, 64)})`);
  if (PERMISSIONS[method] === 'change' && !caller.mayChange) throw notPermitted('change');
  return call(handlers, method, params, caller);
}

function call<M extends MethodName>(handlers: Handlers, method: M, params: unknown, caller: Caller): Promise<Methods[M]['result']> {
  return handlers[method](checkParams(method, params), caller);
}

const isMethod = (name: string): name is MethodName => Object.hasOwn(PERMISSIONS, name);

const ADVICE = {
  read: 'This needs root, or membership of the group overlayadm (log in again after joining it).',
  change: 'Changing anything needs root, or membership of the group overlayadm-operator (log in again after joining it).',
} as const;

function busy(connections: number): OverlayError {
  return new OverlayError('RPC_BUSY', `overlayd: too many connections of one user (${connections})`, {
    details: { connections },
    advice: 'Close some of them: commands that hang, or programs that never disconnect.',
  });
}

export function notPermitted(right: 'read' | 'change'): OverlayError {
  return new OverlayError('NOT_PERMITTED', 'permission denied', { details: { right }, advice: ADVICE[right] });
}
