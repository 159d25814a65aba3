// Plugins that break the contract fail the kit: the tests it declares are run here by a runner that only counts.
import { isDeepStrictEqual } from 'node:util';
import {
  type DynamicInstance,
  type EncapPlugin,
  type IpAddress,
  type LookupAnswer,
  type LookupHost,
  type LookupPlugin,
  type MacAddress,
  OverlayError,
} from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { type EncapVectors, encapTests } from '../src/encap-tests.ts';
import { ipshim } from '../src/ipshim.ts';
import type { LookupSetup } from '../src/lookup-setup.ts';
import { lookupTests } from '../src/lookup-tests.ts';
import type { TestFunctions } from '../src/testing.ts';

/** Runs what `declare` declares, or only the tests of one name; the names of the tests that failed. */
async function failures(declare: (test: TestFunctions) => void, only?: string): Promise<string[]> {
  const tests: { readonly name: string; readonly body: () => void | Promise<void> }[] = [];
  const check = (same: boolean, message: string | undefined): void => {
    if (!same) throw new Error(message ?? 'not as expected');
  };
  declare({
    describe: (_name, body) => body(),
    it: (name, body) => void (only === undefined || only === name ? tests.push({ name, body }) : 0),
    expect: (value, message) => ({
      toBe: (expected) => check(Object.is(value, expected), message),
      toEqual: (expected) => check(isDeepStrictEqual(value, expected), message),
    }),
  });
  const failed: string[] = [];
  for (const { name, body } of tests) {
    await Promise.resolve()
      .then(body)
      .catch(() => failed.push(name));
  }
  return failed;
}

const mac = '02:00:00:00:00:02' as MacAddress;
const ip = '10.0.0.2' as IpAddress;
const found: LookupAnswer = { kind: 'found', destination: { ip } };

/** A dynamic plugin that keeps the contract, so that one change at a time can break it. */
function pluginWith(change: (host: LookupHost) => Partial<DynamicInstance>): LookupPlugin {
  return {
    kind: 'lookup',
    name: 'tiny',
    properties: [],
    create(needs, _values, host) {
      if (needs.join() !== 'ip') throw new OverlayError('LOOKUP_CANNOT_SERVE', 'tiny: cannot serve this');
      const instance: DynamicInstance = {
        mode: 'dynamic',
        start: async () => {},
        stop: async () => {},
        lookup: async ({ to }) => (to === mac ? found : { kind: 'drop', reason: 'tiny.no-entry' }),
      };
      return { ...instance, ...change(host) };
    },
  };
}

const setupOf = (plugin: LookupPlugin): LookupSetup => ({
  plugin,
  values: {},
  serves: [ipshim.needs],
  answers: { mode: 'dynamic', found: [{ to: mac, destination: { ip } }], dropped: ['02:00:00:00:00:03' as MacAddress] },
  badStarts: [],
});

const lookupFailures = (plugin: LookupPlugin, only?: string): Promise<string[]> => failures((test) => lookupTests(test, setupOf(plugin)), only);

const lateCall = (host: LookupHost): Partial<DynamicInstance> => ({
  start: async () => void host.clock.sleep(60_000).then(() => host.restore()),
});

const earlyCall = (host: LookupHost): Partial<DynamicInstance> => {
  host.restore();
  return {};
};

const broken: readonly (readonly [string, string, (host: LookupHost) => Partial<DynamicInstance>])[] = [
  ['a timer outlives stop()', 'asks nothing of the host after stop()', lateCall],
  ['stop() hangs', 'can be stopped while it starts', () => ({ stop: () => new Promise(() => {}) })],
  ['start() hangs', 'ends start() when it is aborted, though the host never answers, and stops', () => ({ start: () => new Promise(() => {}) })],
  [
    'a field too many',
    'finds destinations with exactly the needed fields, many at a time',
    () => ({ lookup: async () => ({ kind: 'found', destination: { ip, port: 1 } }) }),
  ],
  [
    'a drop without a reason',
    'drops what it does not know, with a reason',
    () => ({ lookup: async ({ to }) => (to === mac ? found : { kind: 'drop', reason: '' }) }),
  ],
  ['create() asks the host', 'serves an encapsulation that needs ip', earlyCall],
  ['resolve() comes unannounced', 'has the members it is tested for, and none of a point', () => ({ resolve: async () => undefined })],
  [
    'a file of no property is asked for',
    'starts, asks only for files of its own properties, and stops',
    (host) => ({ start: async () => void host.file('secret') }),
  ],
];

describe('lookupTests', () => {
  it('passes a plugin that keeps the contract', async () => {
    expect(await lookupFailures(pluginWith(() => ({})))).toEqual([]);
  });
  // Only the test at hand is run: what waits for a hanging plugin takes the kit's own time limit.
  it.each(broken)('fails when %s', { timeout: 10_000 }, async (_what, test, change) => {
    expect(await lookupFailures(pluginWith(change), test)).toEqual([test]);
  });
  it('fails a plugin that refuses needs with another error', async () => {
    const plugin: LookupPlugin = {
      ...pluginWith(() => ({})),
      create: () => {
        throw new Error('no');
      },
    };
    expect(await lookupFailures(plugin)).toContain('refuses an encapsulation that needs ethernet');
  });
});

describe('encapTests', () => {
  const vectors: EncapVectors = {
    values: { listen_ip: '10.0.0.1' as IpAddress },
    headers: [{ vnetid: 1, header: '1000000000000100' }],
    received: [{ packet: '1000000000000100', vnetid: 1 }],
  };
  const encapFailures = (change: Partial<EncapPlugin>, changed: Partial<EncapVectors> = {}): Promise<string[]> =>
    failures((test) => encapTests(test, { ...ipshim, ...change }, { ...vectors, ...changed }));
  const { format } = ipshim;
  const [version] = format.accept;

  it('passes the encapsulation of the kit', async () => {
    expect(await encapFailures({})).toEqual([]);
  });
  it('fails a wrong header, and a wrong reading', async () => {
    expect(await encapFailures({ format: { ...format, vnetid: { bit: 40, bits: 24 } } })).toEqual(
      expect.arrayContaining(['sends 1000000000000100 for 1', 'receives 1000000000000100: 1']),
    );
  });
  it('fails a format that is more than data', async () => {
    const kernelKind = { toJSON: () => 'vxlan' } as unknown as 'vxlan';
    expect(await encapFailures({ format: { ...format, kernelKind } })).toContain('has a format that is data: it survives JSON unchanged');
  });
  it('fails a match that another one hides', async () => {
    const accept = version === undefined ? [] : [version, { ...version, dropReason: 'ipshim.hidden' }];
    expect(await encapFailures({ format: { ...format, accept } })).toContain('has no match that can never be the reason');
  });
  it('fails a socket with a port where the carrier has none', async () => {
    const socket: EncapPlugin['socket'] = () => ({ listenIp: '10.0.0.1' as IpAddress, listenPort: 1 });
    expect(await encapFailures({ socket })).toContain('names a socket for its values, and the same one again');
  });
  it('fails without vectors', async () => {
    expect(await encapFailures({}, { received: [] })).toContain('comes with vectors for sending and receiving');
  });
});
