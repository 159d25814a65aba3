// How long a command waits for each kind of request: longer than overlayd may need for it.
import { describe, expect, it } from 'vitest';
import { connect } from '../../../src/core/rpc/client.ts';
import type { MethodName } from '../../../src/core/rpc/protocol.ts';
import type { Handlers } from '../../../src/core/rpc/server.ts';
import { RPC_CALL_TIMEOUT_MS, RPC_EVERY_CALL_TIMEOUT_MS, RPC_START_CALL_TIMEOUT_MS } from '../../../src/core/util/limits.ts';
import { fakeDaemon } from '../../cli/fake-daemon.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

const never = (): Promise<never> => new Promise(() => undefined);
const PARAMS = {
  'overlay.create': { encap: 'vxlan', search: 'files', vnetid: 1, properties: [], temporary: false },
  'overlay.delete': { name: 'overlay0', temporary: false },
  'overlay.up': { name: null },
  'linkprop.set': { link: 'overlay0', properties: [], temporary: false },
  'linkprop.reset': { link: 'overlay0', properties: null, temporary: false },
  'plugin.reload': {},
} as const;

describe('call', () => {
  it.each([
    ['overlay.delete', RPC_CALL_TIMEOUT_MS],
    ['overlay.create', RPC_START_CALL_TIMEOUT_MS],
    ['linkprop.set', RPC_START_CALL_TIMEOUT_MS],
    ['linkprop.reset', RPC_START_CALL_TIMEOUT_MS],
    ['overlay.up', RPC_EVERY_CALL_TIMEOUT_MS],
    ['plugin.reload', RPC_EVERY_CALL_TIMEOUT_MS],
  ] as const)('%s waits for %d ms', async (method, limitMs) => {
    const handlers = Object.fromEntries([[method, never]]) as Partial<Handlers>;
    await using daemon = await fakeDaemon({ handlers });
    const clock = new FakeClock();
    await using client = await connect(daemon.path, { version: '0.1.0', clock });
    let ended: unknown;
    const call = client.call as (method: MethodName, params: unknown) => Promise<unknown>;
    void call(method, PARAMS[method]).catch((error: unknown) => {
      ended = error;
    });
    await clock.advance(limitMs - 1);
    expect(ended).toBeUndefined();
    await clock.advance(1);
    expect(ended).toMatchObject({ code: 'RPC_TIMEOUT', details: { method, timeoutMs: limitMs } });
  });

  it('of a creation outlasts three calls of a plugin host and a start', () => expect(RPC_START_CALL_TIMEOUT_MS).toBeGreaterThan(140_000));
});
