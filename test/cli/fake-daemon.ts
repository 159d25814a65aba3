// The real server of the control socket over handlers that remember what they were asked: an overlayd without a network.
import { mkdtempSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OverlayError } from '@overlayadm/api';
import type { MethodName } from '../../src/core/rpc/protocol.ts';
import { PERMISSIONS, PROTOCOL_VERSION } from '../../src/core/rpc/protocol.ts';
import { type Handlers, type RpcServer, type ServeOptions, serve } from '../../src/core/rpc/server.ts';
import { silentLog } from '../../src/core/util/log.ts';

export interface FakeDaemon extends AsyncDisposable {
  /** Run directory; the socket is `overlayd.sock` in it. */
  readonly run: string;
  readonly path: string;
  readonly server: RpcServer;
  /** Every request but hello, in order. */
  readonly asked: readonly { readonly method: MethodName; readonly params: unknown }[];
}

export interface FakeOptions extends Partial<Pick<ServeOptions, 'roleOf' | 'log' | 'credentialsOf' | 'mode'>> {
  readonly handlers?: Partial<Handlers>;
}

export const HELLO = { version: '0.1.0', protocol: PROTOCOL_VERSION, pid: process.pid, netns: statSync('/proc/self/ns/net').ino, mayChange: true };

const SELF = { pid: process.pid, uid: 1000, gid: 1000, groups: [1000, 4] };

export async function fakeDaemon(options: FakeOptions = {}): Promise<FakeDaemon> {
  const run = mkdtempSync(join(tmpdir(), `overlayadm-${process.pid}-`));
  const path = join(run, 'overlayd.sock');
  const asked: { method: MethodName; params: unknown }[] = [];
  const server = await serve({
    path,
    log: silentLog,
    credentialsOf: () => SELF,
    roleOf: () => 'change',
    ...options,
    handlers: recording({ ...unanswered, ...options.handlers }, asked),
  });
  const dispose = async (): Promise<void> => {
    await server.close();
    await rm(run, { recursive: true, force: true });
  };
  return { run, path, server, asked, [Symbol.asyncDispose]: dispose };
}

function recording(handlers: Handlers, asked: { method: MethodName; params: unknown }[]): Handlers {
  const wrapped = Object.entries(handlers).map(([method, handler]) => [
    method,
    (params: never, caller: never) => {
      if (method !== 'hello') asked.push({ method: method as MethodName, params });
      return (handler as (params: never, caller: never) => Promise<unknown>)(params, caller);
    },
  ]);
  return Object.fromEntries(wrapped) as Handlers;
}

const noAnswer = (): Promise<never> => Promise.reject(new OverlayError('TEST_NO_HANDLER', 'the test has no handler for this'));

const unanswered: Handlers = {
  ...(Object.fromEntries(Object.keys(PERMISSIONS).map((method) => [method, noAnswer])) as unknown as Handlers),
  hello: async () => HELLO,
};
