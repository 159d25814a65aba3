// The client of the control socket against the real server, and against servers that misbehave.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { type Client, type ConnectOptions, connect } from '../../../src/core/rpc/client.ts';
import { fakeDaemon, HELLO } from '../../cli/fake-daemon.ts';

const OPTIONS: ConnectOptions = { version: '0.1.0' };

interface Stub extends AsyncDisposable {
  readonly path: string;
}

/** A server that does with each connection what it is told. */
async function stub(serveOne: (socket: Socket) => void): Promise<Stub> {
  const run = mkdtempSync(join(tmpdir(), `overlayadm-${process.pid}-`));
  const path = join(run, 's');
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serveOne(socket);
  }).listen(path);
  await once(server, 'listening');
  const dispose = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(run, { recursive: true });
  };
  return { path, [Symbol.asyncDispose]: dispose };
}

/** Answers hello as it should be, and everything after it with `then`. */
const afterHello = (then: (socket: Socket) => void) => (socket: Socket) => {
  let greeted = false;
  socket.on('data', () => {
    if (greeted) then(socket);
    else socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, result: HELLO })}\n`);
    greeted = true;
  });
};

const errorOf = (promise: Promise<unknown>): Promise<OverlayError> =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => (OverlayError.is(error) ? error : expect.unreachable(String(error))),
  );

const names = (client: Client): Promise<readonly string[]> => client.call('overlay.names', { saved: false });

describe('call', () => {
  it('gives results to their callers, in whatever order they come', async () => {
    const waits: Record<string, number> = { slow: 30, quick: 0 };
    const properties = (params: { readonly name: string }) =>
      new Promise<never[]>((resolve, reject) => {
        setTimeout(
          () => (params.name === 'bad' ? reject(new OverlayError('BAD', 'bad: is bad')) : resolve([params.name] as unknown as never[])),
          waits[params.name],
        );
      });
    await using daemon = await fakeDaemon({ handlers: { 'overlay.properties': properties } });
    await using client = await connect(daemon.path, OPTIONS);
    const calls = ['slow', 'bad', 'quick'].map((name) => client.call('overlay.properties', { name }));
    expect(await Promise.allSettled(calls)).toMatchObject([{ value: ['slow'] }, { reason: { code: 'BAD' } }, { value: ['quick'] }]);
    expect(client.hello).toEqual(HELLO);
  });

  it('gives errors as they were thrown', async () => {
    const error = new OverlayError('OVERLAY_BUSY', 'overlay0: link busy (vnic0)', { details: { vnics: ['vnic0'] }, advice: 'delete vnic0 first' });
    await using daemon = await fakeDaemon({ handlers: { 'overlay.delete': () => Promise.reject(error) } });
    await using client = await connect(daemon.path, OPTIONS);
    const { code, message, details, advice } = await errorOf(client.call('overlay.delete', { name: 'overlay0', temporary: false }));
    expect({ code, message, details, advice }).toEqual({ code: error.code, message: error.message, details: error.details, advice: error.advice });
  });

  it('gives up after a time', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.names': () => new Promise(() => undefined) } });
    await using client = await connect(daemon.path, { ...OPTIONS, callTimeoutMs: 30 });
    expect(await errorOf(names(client))).toMatchObject({ code: 'RPC_TIMEOUT', message: 'overlayd: no answer to overlay.names (after 0.03 s)' });
  });

  it.each([
    ['overlay.delete', { name: 'overlay0', temporary: false }, 'overlayadm show-overlay -f'],
    ['vnic.delete', { name: 'vnic0', temporary: false }, 'overlayadm show-vnic'],
    ['target.flush', { overlay: 'overlay0' }, 'overlayadm show-overlay -t'],
    ['linkprop.reset', { link: 'overlay0', properties: null, temporary: false }, 'overlayadm show-linkprop'],
    ['plugin.reload', {}, 'overlayadm show-plugins'],
  ] as const)('says that the change may have been made when %s has no answer', async (method, params, see) => {
    await using silent = await stub(afterHello(() => undefined));
    await using leaving = await stub(afterHello((socket) => socket.end()));
    const advice = expect.stringMatching(`^The change may have been made: "${see}" shows what there is now\\.\noverlayd may be`);
    await using slow = await connect(silent.path, { ...OPTIONS, callTimeoutMs: 30 });
    expect(await errorOf(slow.call(method, params as never))).toMatchObject({ code: 'RPC_TIMEOUT', advice });
    await using lost = await connect(leaving.path, OPTIONS);
    expect(await errorOf(lost.call(method, params as never))).toMatchObject({ code: 'RPC_CLOSED', advice });
    // This one was never sent.
    expect((await errorOf(lost.call(method, params as never))).advice).not.toContain('may have been made');
  });

  it('says nothing of a change when only a question was out', async () => {
    await using silent = await stub(afterHello(() => undefined));
    await using client = await connect(silent.path, { ...OPTIONS, callTimeoutMs: 30 });
    expect((await errorOf(names(client))).advice).toBe('overlayd may be stopped or overloaded: see its log.');
  });

  it('fails what is out, and what comes later, when it is closed', async () => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.names': () => new Promise(() => undefined) } });
    const client = await connect(daemon.path, OPTIONS);
    const out = errorOf(names(client));
    client.close();
    expect((await out).code).toBe('RPC_CLOSED');
    expect((await errorOf(names(client))).code).toBe('RPC_CLOSED');
  });

  it.each([
    { name: 'goes away', act: (socket: Socket) => socket.end(), code: 'RPC_CLOSED' },
    { name: 'sends no JSON', act: (socket: Socket) => socket.write('rubbish\n'), code: 'RPC_CLOSED' },
    { name: 'answers without a result', act: (socket: Socket) => socket.write('{"id":2}\n'), code: 'RPC_MALFORMED' },
    { name: 'answers with an error that is a text', act: (socket: Socket) => socket.write('{"id":2,"error":"no"}\n'), code: 'RPC_MALFORMED' },
    { name: 'answers nobody', act: (socket: Socket) => socket.write('{"result":1}\n'), code: 'RPC_MALFORMED' },
  ])('fails when the server $name', async ({ act, code }) => {
    await using server = await stub(afterHello(act));
    await using client = await connect(server.path, OPTIONS);
    expect((await errorOf(names(client))).code).toBe(code);
  });

  it('does not mind an answer to nothing that was asked', async () => {
    await using server = await stub(afterHello((socket) => socket.write('{"id":77,"result":1}\n{"id":2,"result":["overlay0"]}\n')));
    await using client = await connect(server.path, OPTIONS);
    expect(await names(client)).toEqual(['overlay0']);
  });
});

describe('connect', () => {
  it('names the errno when nobody is there', async () => {
    expect(await errorOf(connect('/nonexistent/overlayd.sock', OPTIONS))).toMatchObject({ code: 'RPC_UNREACHABLE', details: { errno: 'ENOENT' } });
  });

  it('says permission denied to a stranger', async () => {
    await using daemon = await fakeDaemon({ roleOf: () => 'none' });
    const error = await errorOf(connect(daemon.path, OPTIONS));
    expect(error).toMatchObject({ code: 'NOT_PERMITTED', message: 'permission denied', advice: expect.stringContaining('group overlayadm') });
  });

  it('gives up on one that accepts and says nothing', async () => {
    await using server = await stub((socket) => socket.resume());
    expect((await errorOf(connect(server.path, { ...OPTIONS, helloTimeoutMs: 30 }))).code).toBe('RPC_TIMEOUT');
  });

  it.each([
    { own: '0.1.0', theirs: '0.9.3', protocol: HELLO.protocol, fits: true },
    { own: '0.1.0', theirs: '1.0.0', protocol: HELLO.protocol, fits: false },
    { own: '10.0.0', theirs: '1.0.0', protocol: HELLO.protocol, fits: false },
    { own: '0.1.0', theirs: '0.1.0', protocol: HELLO.protocol + 1, fits: false },
  ])('$own and $theirs with protocol $protocol: $fits', async ({ own, theirs, protocol, fits }) => {
    await using daemon = await fakeDaemon({ handlers: { hello: async () => ({ ...HELLO, version: theirs, protocol, pid: 77 }) } });
    const connected = connect(daemon.path, { version: own });
    if (fits) return (await connected).close();
    const advice = expect.stringContaining('kill 77');
    const message = `overlayd (pid 77): is of another version (${theirs}, this command is ${own})`;
    expect(await errorOf(connected)).toMatchObject({ code: 'VERSION_MISMATCH', message, advice });
  });

  it('refuses an answer to hello that is none', async () => {
    await using daemon = await fakeDaemon({ handlers: { hello: async () => [] as never } });
    expect((await errorOf(connect(daemon.path, OPTIONS))).code).toBe('VERSION_MISMATCH');
  });

  it('refuses an overlayd of another network namespace and says how to get there', async () => {
    await using daemon = await fakeDaemon({ handlers: { hello: async () => ({ ...HELLO, pid: 77 }) } });
    const error = await errorOf(connect(daemon.path, { ...OPTIONS, netns: HELLO.netns + 1 }));
    expect(error).toMatchObject({ code: 'NETNS_MISMATCH', advice: expect.stringContaining('nsenter --net=/proc/77/ns/net overlayadm') });
    expect(error.message).toBe(`overlayd (pid 77): runs in another network namespace (${HELLO.netns}, this command is in ${HELLO.netns + 1})`);
  });
});
