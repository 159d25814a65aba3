// The control socket against clients that behave and clients that do not, byte by byte.
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it, vi } from 'vitest';
import { serve } from '../../../src/core/rpc/server.ts';
import {
  MAX_LINE_BYTES,
  MAX_RPC_CONNECTIONS,
  MAX_RPC_CONNECTIONS_PER_USER,
  MAX_RPC_REQUESTS_IN_FLIGHT,
  MAX_RPC_UNREAD_BYTES,
} from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { fakeDaemon, HELLO } from '../../cli/fake-daemon.ts';

async function open(path: string): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** Everything the server says until it closes the connection. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}

/** Sends raw text and gives the next `count` answers. */
async function ask(socket: Socket, text: string | Uint8Array, count = 1): Promise<Record<string, unknown>[]> {
  socket.write(text);
  let got = '';
  while (got.split('\n').length <= count) got += String((await once(socket, 'data'))[0]);
  return got
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const request = (id: unknown, method: unknown, params?: unknown): string => `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;

describe('requests', () => {
  it('answers a request with its id, whatever pieces it comes in', async () => {
    await using daemon = await fakeDaemon();
    const socket = await open(daemon.path);
    const bytes = Buffer.from(request('a', 'hello', { version: '0.1.0 ü' }));
    for (const byte of bytes.subarray(0, -1)) socket.write(Uint8Array.of(byte));
    expect(await ask(socket, bytes.subarray(-1))).toEqual([{ jsonrpc: '2.0', id: 'a', result: HELLO }]);
    socket.destroy();
  });

  it('gives null for a handler without a result', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': async () => null } });
    const socket = await open(daemon.path);
    expect(await ask(socket, request(1, 'overlay.delete', { name: 'overlay0', temporary: false }))).toEqual([
      { jsonrpc: '2.0', id: 1, result: null },
    ]);
    socket.destroy();
  });

  it.each([
    { name: 'an unknown method', line: request(1, 'overlay.melt', {}), code: -32601, data: 'RPC_UNKNOWN_METHOD', id: 1 },
    { name: 'a name of Object.prototype', line: request(1, 'constructor', {}), code: -32601, data: 'RPC_UNKNOWN_METHOD', id: 1 },
    { name: 'a missing parameter', line: request(2, 'overlay.delete'), code: -32602, data: 'RPC_INVALID', id: 2 },
    { name: 'an unknown parameter', line: request(3, 'overlay.delete', { name: 'a', force: true }), code: -32602, data: 'RPC_INVALID', id: 3 },
    { name: 'parameters as a list', line: request(4, 'overlay.delete', ['a']), code: -32602, data: 'RPC_INVALID', id: 4 },
    { name: 'no id', line: request(undefined, 'hello', { version: '1' }), code: -32600, data: 'RPC_REQUEST', id: null },
    { name: 'an object as id', line: request({}, 'hello', { version: '1' }), code: -32600, data: 'RPC_REQUEST', id: null },
    { name: 'a number as method', line: request(5, 7), code: -32600, data: 'RPC_REQUEST', id: 5 },
    { name: 'another protocol', line: '{"id":6,"method":"hello"}\n', code: -32600, data: 'RPC_REQUEST', id: 6 },
  ])('refuses $name and goes on', async ({ line, code, data, id }) => {
    await using daemon = await fakeDaemon();
    const socket = await open(daemon.path);
    expect(await ask(socket, line)).toMatchObject([{ id, error: { code, data: { code: data } } }]);
    expect(await ask(socket, request(9, 'hello', { version: '1' }))).toMatchObject([{ id: 9, result: { version: '0.1.0' } }]);
    socket.destroy();
  });

  it('says which parameter is wrong', async () => {
    await using daemon = await fakeDaemon();
    const socket = await open(daemon.path);
    const params = { encap: 'vxlan', search: 'files', vnetid: -1, properties: [] };
    const [answer] = await ask(socket, request(1, 'overlay.create', params));
    expect(answer).toMatchObject({ error: { message: expect.stringMatching(/^overlay\.create: wrong parameters \(vnetid: /) } });
    expect(daemon.asked).toEqual([]);
    socket.destroy();
  });

  it('begins requests in order, a bounded number at once', async () => {
    const begun: string[] = [];
    const release: (() => void)[] = [];
    const wait = (params: { readonly name: string }) =>
      new Promise<null>((resolve) => {
        begun.push(params.name);
        release.push(() => resolve(null));
      });
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': wait } });
    const socket = await open(daemon.path);
    const total = MAX_RPC_REQUESTS_IN_FLIGHT + 5;
    const answers = ask(
      socket,
      Array.from({ length: total }, (_, i) => request(i, 'overlay.delete', { name: `o${i}`, temporary: false })).join(''),
      total,
    );
    await vi.waitFor(() => expect(begun).toHaveLength(MAX_RPC_REQUESTS_IN_FLIGHT));
    while (release.length > 0) {
      release.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answers).map(({ id }) => id)).toEqual(Array.from({ length: total }, (_, i) => i));
    expect(begun).toEqual(Array.from({ length: total }, (_, i) => `o${i}`));
    socket.destroy();
  });
});

describe('errors', () => {
  it('hands an OverlayError over with code, details and advice', async () => {
    const error = new OverlayError('OVERLAY_BUSY', 'overlay0: link busy (vnic0)', { details: { vnics: ['vnic0'] }, advice: 'delete vnic0 first' });
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': () => Promise.reject(error) } });
    const socket = await open(daemon.path);
    const data = { code: 'OVERLAY_BUSY', details: { vnics: ['vnic0'] }, advice: 'delete vnic0 first' };
    const [answer] = await ask(socket, request(1, 'overlay.delete', { name: 'overlay0', temporary: false }));
    expect(answer).toEqual({ jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'overlay0: link busy (vnic0)', data } });
    socket.destroy();
  });

  it.each([
    {
      name: 'throws something else',
      fails: () => {
        throw new TypeError('secret');
      },
    },
    { name: 'rejects with something else', fails: () => Promise.reject(new TypeError('secret')) },
    { name: 'gives a result that is no JSON', fails: () => Promise.resolve(1n as unknown as null) },
  ])('logs a handler that $name, and tells the client nothing of it', async ({ fails }) => {
    const error = vi.fn();
    await using daemon = await fakeDaemon({ log: { ...silentLog, error }, handlers: { 'overlay.delete': fails } });
    const socket = await open(daemon.path);
    const [answer] = await ask(socket, request(1, 'overlay.delete', { name: 'overlay0', temporary: false }));
    expect(answer).toMatchObject({ id: 1, error: { message: 'overlayd: internal error', data: { code: 'INTERNAL' } } });
    expect(error).toHaveBeenCalledWith(
      expect.objectContaining({ method: 'overlay.delete', error: expect.stringMatching(/^TypeError: .*\n {4}at /) }),
      expect.any(String),
    );
    socket.destroy();
  });

  it('answers with an error when the result is longer than a line may be', async () => {
    const names = [Array(MAX_LINE_BYTES).fill('x').join('')];
    await using daemon = await fakeDaemon({ handlers: { 'overlay.names': async () => names } });
    const socket = await open(daemon.path);
    expect(await ask(socket, request(1, 'overlay.names', { saved: false }))).toMatchObject([
      { id: 1, error: { data: { code: 'RPC_LINE_TOO_LONG' } } },
    ]);
    socket.destroy();
  });

  it('keeps code and text of an error whose details cannot be sent', async () => {
    const error = new OverlayError('OVERLAY_BUSY', 'overlay0: link busy', { details: { count: 1n } });
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': () => Promise.reject(error) } });
    const socket = await open(daemon.path);
    const [answer] = await ask(socket, request(1, 'overlay.delete', { name: 'overlay0', temporary: false }));
    expect(answer).toMatchObject({ error: { message: 'overlay0: link busy', data: { code: 'OVERLAY_BUSY', details: {} } } });
    socket.destroy();
  });
});

describe('rubbish', () => {
  it.each([
    { name: 'no JSON', text: 'hello\n' },
    { name: 'an empty line', text: '\n' },
    { name: 'a list (a batch of JSON-RPC)', text: `[${request(1, 'hello', { version: '1' }).trim()}]\n` },
    { name: 'bytes of no text', text: Uint8Array.of(0xff, 0xfe, 0x00, 0x0a) },
    { name: 'a line without end', text: Buffer.alloc(MAX_LINE_BYTES + 1, 0x20) },
  ])('$name: says so and closes that connection only', async ({ text }) => {
    await using daemon = await fakeDaemon();
    const good = await open(daemon.path);
    const bad = await open(daemon.path);
    bad.write(text);
    bad.write(request(2, 'overlay.names', { saved: false }));
    expect(JSON.parse(await untilClosed(bad))).toMatchObject({ id: null, error: { code: -32700, data: { code: 'RPC_PARSE' } } });
    expect(await ask(good, request(1, 'hello', { version: '1' }))).toMatchObject([{ id: 1, result: {} }]);
    expect(daemon.asked).toEqual([]);
    good.destroy();
  });

  it('disconnects a client that does not read its answers', async () => {
    const names = [
      Array(MAX_LINE_BYTES - 1000)
        .fill('x')
        .join(''),
    ];
    const warn = vi.fn();
    await using daemon = await fakeDaemon({ log: { ...silentLog, warn }, handlers: { 'overlay.names': async () => names } });
    const socket = await open(daemon.path);
    socket.pause();
    const count = Math.ceil(MAX_RPC_UNREAD_BYTES / MAX_LINE_BYTES) + 3;
    socket.write(Array.from({ length: count }, (_, i) => request(i, 'overlay.names', { saved: false })).join(''));
    await vi.waitFor(() => expect(warn).toHaveBeenCalled());
    expect((await untilClosed(socket)).length).toBeLessThan(MAX_RPC_UNREAD_BYTES);
  });
});

describe('rights', () => {
  it('lets a reader read and refuses a change', async () => {
    await using daemon = await fakeDaemon({ roleOf: () => 'read', handlers: { 'overlay.names': async () => ['overlay0'] } });
    const socket = await open(daemon.path);
    expect(await ask(socket, request(1, 'overlay.names', { saved: false }))).toMatchObject([{ id: 1, result: ['overlay0'] }]);
    const [answer] = await ask(socket, request(2, 'overlay.delete', { name: 'overlay0', temporary: false }));
    const data = { code: 'NOT_PERMITTED', advice: expect.stringContaining('overlayadm-operator') };
    expect(answer).toMatchObject({ id: 2, error: { message: 'permission denied', data } });
    expect(daemon.asked).toEqual([{ method: 'overlay.names', params: { saved: false } }]);
    socket.destroy();
  });

  it('tells a stranger so once and closes', async () => {
    await using daemon = await fakeDaemon({ roleOf: () => 'none' });
    const socket = await open(daemon.path);
    socket.write(request(1, 'overlay.names', { saved: false }));
    expect(JSON.parse(await untilClosed(socket))).toMatchObject({ id: null, error: { data: { code: 'NOT_PERMITTED' } } });
    expect(daemon.asked).toEqual([]);
  });

  it('asks who it is by the descriptor of the connection, and tells the handler', async () => {
    const credentialsOf = vi.fn(() => ({ pid: 7, uid: 8, gid: 9, groups: [10] }));
    const names = vi.fn(async () => []);
    await using daemon = await fakeDaemon({
      credentialsOf,
      roleOf: ({ groups }) => (groups.includes(10) ? 'read' : 'none'),
      handlers: { 'overlay.names': names },
    });
    const socket = await open(daemon.path);
    await ask(socket, request(1, 'overlay.names', { saved: false }));
    expect(credentialsOf).toHaveBeenCalledExactlyOnceWith(expect.any(Number));
    expect(names).toHaveBeenCalledExactlyOnceWith({ saved: false }, { pid: 7, uid: 8, gid: 9, groups: [10], mayChange: false });
    socket.destroy();
  });

  it('closes a connection whose owner cannot be said', async () => {
    const credentialsOf = () => {
      throw new Error('ENOTCONN');
    };
    await using daemon = await fakeDaemon({ credentialsOf });
    const socket = await open(daemon.path);
    socket.write(request(1, 'overlay.names', { saved: false }));
    expect(await untilClosed(socket).catch(() => '')).toBe('');
    expect(daemon.asked).toEqual([]);
  });

  it('lets no user who may only read take the connections of the others', async () => {
    let uid = 1000;
    await using daemon = await fakeDaemon({ credentialsOf: () => ({ pid: 1, uid, gid: 1, groups: [] }), roleOf: () => 'read' });
    const sockets = await Promise.all(Array.from({ length: MAX_RPC_CONNECTIONS_PER_USER }, () => open(daemon.path)));
    const extra = await open(daemon.path);
    expect(JSON.parse(await untilClosed(extra))).toMatchObject({ id: null, error: { data: { code: 'RPC_BUSY', advice: expect.any(String) } } });
    uid = 1001;
    const other = await open(daemon.path);
    expect(await ask(other, request(1, 'overlay.names', { saved: false }))).toMatchObject([{ id: 1 }]);
    for (const socket of [...sockets, other]) socket.destroy();
  });

  it('serves a bounded number of connections and others again later', async () => {
    await using daemon = await fakeDaemon();
    const sockets = await Promise.all(Array.from({ length: MAX_RPC_CONNECTIONS }, () => open(daemon.path)));
    const extra = await open(daemon.path);
    expect(await untilClosed(extra).catch(() => '')).toBe('');
    sockets[0]?.destroy();
    await vi.waitFor(async () => {
      const next = await open(daemon.path);
      try {
        next.write(request(1, 'hello', { version: '1' }));
        expect(String((await once(next, 'data', { signal: AbortSignal.timeout(200) }))[0])).toContain('"id":1');
      } finally {
        next.destroy();
      }
    });
    for (const socket of sockets) socket.destroy();
  });
});

describe('the socket', () => {
  it('has the mode it was given, and is gone after close', async () => {
    const daemon = await fakeDaemon({ mode: 0o600 });
    expect(statSync(daemon.path).mode & 0o7777).toBe(0o600);
    await daemon.server.close();
    expect(statSync(daemon.path, { throwIfNoEntry: false })).toBeUndefined();
    rmSync(daemon.run, { recursive: true });
  });

  it('is 0660 and replaces one that a killed daemon left', async () => {
    const run = mkdtempSync(join(tmpdir(), `overlayadm-${process.pid}-`));
    const path = join(run, 'overlayd.sock');
    const dead = createServer().listen(path);
    await once(dead, 'listening');
    const mask = process.umask();
    const { roleOf, credentialsOf, handlers } = { roleOf: () => 'none' as const, credentialsOf: vi.fn(), handlers: {} as never };
    const server = await serve({ path, gid: process.getgid?.() ?? 0, log: silentLog, roleOf, credentialsOf, handlers });
    expect(statSync(path).mode & 0o7777).toBe(0o660);
    expect(process.umask()).toBe(mask);
    await server.close();
    dead.close();
    rmSync(run, { recursive: true });
  });

  it('answers what is being worked on before it closes', async () => {
    const { promise, resolve } = Promise.withResolvers<null>();
    const daemon = await fakeDaemon({ handlers: { 'overlay.delete': () => promise } });
    const socket = await open(daemon.path);
    socket.write(request(1, 'overlay.delete', { name: 'overlay0', temporary: false }));
    await vi.waitFor(() => expect(daemon.asked).toHaveLength(1));
    const closed = daemon[Symbol.asyncDispose]();
    resolve(null);
    expect(JSON.parse(await untilClosed(socket))).toEqual({ jsonrpc: '2.0', id: 1, result: null });
    await closed;
  });
});
