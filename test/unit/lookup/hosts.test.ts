// Plugin hosts from overlayd's side, in one process and with a clock that the test moves: life, crash, hang, end.

import { duplexPair } from 'node:stream';
import type { IpAddress, LocalAddress, LookupHost, LookupPlugin, MacAddress } from '@overlayadm/api';
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { FileAccess } from '../../../src/core/lookup/files.ts';
import { createPluginHosts } from '../../../src/core/lookup/hosts.ts';
import type { Answer, Ask, InstanceEvents, InstanceSpec } from '../../../src/core/lookup/types.ts';
import {
  FAIR_ASKS,
  FILE_CHUNK_BYTES,
  FILE_POLL_MS,
  HOST_CALL_TIMEOUT_MS,
  HOST_MISSED_PINGS,
  HOST_PING_INTERVAL_MS,
  HOST_RESTART_MS,
  HOST_WARM_MS,
  LOCAL_ADDRESS_POLL_MS,
  LOOKUP_SWEEP_MS,
  LOOKUP_TIMEOUT_MS,
  MAX_LOCAL_IPS,
  MAX_LOCAL_VNICS,
  MAX_OPEN_FILES,
  MAX_REASON_BYTES,
} from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { FakeClock, settle } from '../../helpers/fake-clock.ts';
import { connectInProcess } from '../../helpers/in-process-host.ts';

const mac = (last: number): MacAddress => `02:00:00:00:00:${last.toString(16).padStart(2, '0')}` as MacAddress;
const ip = (text: string): IpAddress => text as IpAddress;
const lookup = (id: number): Ask => ({ id, kind: 'lookup', to: mac(id), from: mac(0xff), etherType: 0x800 });
const found = (id: number): Answer => ({ id, kind: 'found', destination: { ip: ip('192.0.2.1') } });
const drop = (id: number, reason: string): Answer => ({ id, kind: 'drop', reason });

/** What the plugin of a test does; by default it answers at once. */
interface Script {
  lookup?: (to: MacAddress, signal: AbortSignal) => Promise<unknown>;
  start?: (signal: AbortSignal) => Promise<void>;
  create?: () => void;
}

function rig(script: Script = {}, files?: FileAccess) {
  const clock = new FakeClock();
  const seen = { hosts: [] as LookupHost[], asked: [] as string[], stopped: 0 };
  const plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'test',
    properties: [
      { name: 'config', type: 'path', access: 'rw', required: false, summary: 'a file', live: true },
      {
        name: 'text',
        type: 'string',
        access: 'rw',
        required: false,
        summary: 'text',
        live: true,
        refuse: (value) => (value === 'no' ? 'is refused' : undefined),
      },
    ],
    create(_needs, _values, host) {
      script.create?.();
      seen.hosts.push(host);
      return {
        mode: 'dynamic',
        start: (signal) => script.start?.(signal) ?? Promise.resolve(),
        stop: async () => void seen.stopped++,
        lookup: async ({ to }, signal) => {
          seen.asked.push(to);
          return ((await script.lookup?.(to, signal)) ?? { kind: 'found', destination: { ip: ip('192.0.2.1') } }) as never;
        },
        resolve: async (address) => (address === ip('10.0.0.1') ? { mac: mac(1) } : undefined),
      };
    },
  };
  const process = connectInProcess([plugin], { clock, ...(files && { files }) });
  const log: unknown[] = [];
  const note =
    (name: string) =>
    (...values: unknown[]) =>
      void log.push([name, ...values]);
  const events: InstanceEvents = {
    answered: (answers) => void log.push(...answers),
    setTarget: note('setTarget'),
    invalidateTarget: note('invalidateTarget'),
    announce: note('announce'),
    degraded: note('degraded'),
    restored: note('restored'),
    hostDown: note('down'),
    hostUp: note('up'),
    outdated: note('outdated'),
  };
  const local = { list: [] as readonly LocalAddress[], error: undefined as Error | undefined, asked: 0 };
  const spec: InstanceSpec = {
    overlay: 'overlay0',
    plugin: 'test',
    vnetid: 100,
    needs: ['ip'],
    values: { config: '/a/file', text: 'yes' },
    setters: { config: { uid: 0, gid: 0, groups: [] } },
    localAddresses: () => {
      local.asked++;
      if (local.error !== undefined) throw local.error;
      return local.list;
    },
  };
  const take = (): unknown[] => log.splice(0);
  return { ...process, clock, seen, take, local, spec, events, create: () => process.hosts.createInstance(spec, events) };
}

const down = ['down', 'plugin host of test-plugin-test failed: signal SIGKILL'];

describe('an instance', () => {
  it('answers, resolves, and drops what it does not know', async () => {
    const { create, take } = rig();
    const instance = await create();
    expect(instance).toMatchObject({ mode: 'dynamic', point: undefined, group: false, resolves: true, servesDhcp: false });
    instance.ask([lookup(1), { id: 2, kind: 'resolve', ip: ip('10.0.0.1') }, { id: 3, kind: 'resolve', ip: ip('10.0.0.2') }]);
    expect(take()).toEqual([]);
    await settle();
    expect(take()).toEqual([found(1), { id: 2, kind: 'resolved', mac: mac(1) }, drop(3, 'lookup.unknown-address')]);
  });

  it('reports targets, announcements and health', async () => {
    const { create, take, seen } = rig();
    await create();
    const [host] = seen.hosts;
    host?.setTarget(mac(1), { ip: ip('192.0.2.7') });
    host?.setTarget('no mac' as MacAddress, {});
    host?.invalidateTarget(mac(2));
    host?.announce(ip('10.0.0.1'), mac(1));
    host?.degrade(`trouble ${'x'.repeat(1000)}`);
    host?.restore();
    await settle();
    expect(take()).toEqual([
      ['setTarget', mac(1), { ip: '192.0.2.7' }],
      ['invalidateTarget', mac(2)],
      ['announce', '10.0.0.1', mac(1), undefined],
      ['degraded', expect.stringMatching(/^trouble x{247}$/)],
      ['restored'],
    ]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a rejected promise', () => Promise.reject(new Error('x'))],
    ['an answer that is none', async () => ({ kind: 'found', destination: { ip: 'nonsense' } })],
    ['a port that is none', async () => ({ kind: 'found', destination: { ip: '192.0.2.1', port: 70_000 } })],
  ])('drops on %s, and lives on', async (_, answer) => {
    const { create, take, started } = rig({ lookup: (to) => (to === mac(1) ? answer() : Promise.resolve(undefined)) });
    const instance = await create();
    instance.ask([lookup(1), lookup(2)]);
    await settle();
    expect(take()).toEqual([found(2), drop(1, 'plugin.error')].sort((a, b) => a.id - b.id));
    expect(started.map(({ gone }) => gone)).toEqual([false]);
  });

  it('drops a lookup at its time-out and aborts it at the plugin; a late answer is not heard', async () => {
    const signals: AbortSignal[] = [];
    const late = Promise.withResolvers<unknown>();
    const { create, take, clock } = rig({
      lookup: (_, signal) => {
        signals.push(signal);
        return late.promise;
      },
    });
    const instance = await create();
    instance.ask([lookup(1)]);
    await clock.advance(LOOKUP_TIMEOUT_MS - LOOKUP_SWEEP_MS);
    expect([take(), signals[0]?.aborted]).toEqual([[], false]);
    await clock.advance(2 * LOOKUP_SWEEP_MS);
    expect([take(), signals[0]?.aborted]).toEqual([[drop(1, 'lookup.timeout')], true]);
    late.resolve(undefined);
    await settle();
    expect(take()).toEqual([]);
  });

  it('aborts without an answer, and says nothing after close', async () => {
    const signals: AbortSignal[] = [];
    const { create, take, seen } = rig({
      lookup: (_, signal) => {
        signals.push(signal);
        return new Promise(() => {});
      },
    });
    const instance = await create();
    instance.ask([lookup(1), lookup(2)]);
    await settle();
    instance.abort([1]);
    await settle();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    instance.close();
    seen.hosts[0]?.degrade('too late');
    await settle();
    expect([signals[1]?.aborted, seen.stopped, take()]).toEqual([true, 1, []]);
  });
});

describe('start', () => {
  it('fails with the words of the plugin, its details and its advice', async () => {
    const error = new OverlayError('FILES_INVALID', 'files/config: line 3', { details: { line: 3 }, advice: 'correct it' });
    const { create, seen } = rig({ start: () => Promise.reject(error) });
    await expect(create()).rejects.toMatchObject({
      code: 'LOOKUP_START_FAILED',
      message: 'files/config: line 3',
      details: { line: 3, pluginCode: 'FILES_INVALID' },
      advice: 'correct it',
    });
    await settle();
    expect(seen.stopped).toBe(1);
  });

  it('fails with PLUGIN_FAILED when the host dies meanwhile, and is not tried again', async () => {
    const { create, started, clock } = rig({ start: () => new Promise(() => {}) });
    const creating = expect(create()).rejects.toMatchObject({ code: 'PLUGIN_FAILED', message: expect.stringContaining('signal SIGABRT') });
    await settle();
    started[0]?.die('signal SIGABRT');
    await creating;
    await clock.advance(HOST_RESTART_MS.max);
    expect(started.length).toBe(1);
  });

  it('that fails leaves no file and no address followed', async () => {
    let reads = 0;
    const files: FileAccess = { stamp: async () => String(reads), read: async () => Buffer.from(String(++reads)) };
    const start = async (): Promise<void> => {
      const [host] = seen.hosts;
      await host?.file('config')[Symbol.asyncIterator]().next();
      void host?.localAddresses()[Symbol.asyncIterator]().next();
      throw new Error('the contents are wrong');
    };
    const { create, seen, clock, local } = rig({ start }, files);
    await expect(create()).rejects.toMatchObject({ code: 'LOOKUP_START_FAILED' });
    await clock.advance(10 * FILE_POLL_MS);
    expect([clock.timers, reads]).toEqual([0, 1]);
    expect(local.asked).toBeLessThanOrEqual(1);
  });

  it('is bounded in time, and aborted then', async () => {
    let aborted = false;
    const start = (signal: AbortSignal): Promise<void> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          reject(new Error('aborted'));
        });
      });
    const { create, clock } = rig({ start });
    const creating = expect(create()).rejects.toMatchObject({ code: 'LOOKUP_START_FAILED' });
    await clock.advance(HOST_CALL_TIMEOUT_MS + 1);
    await creating;
    expect(aborted).toBe(true);
  });

  it('of an unknown plugin names the known ones', async () => {
    const { hosts } = rig();
    await expect(hosts.describeLookup('fils')).rejects.toMatchObject({
      code: 'PLUGIN_UNKNOWN',
      message: 'fils: no such lookup plugin (known: test)',
    });
    await expect(hosts.describeEncap('test')).rejects.toMatchObject({ message: 'test: no such encap plugin (known: none)' });
  });
});

it('plugins are looked for once, however many ask for one that is not there', async () => {
  let looked = 0;
  const { runtime, clock } = rig();
  const discover = async () => {
    looked++;
    await settle();
    return runtime.discover();
  };
  const hosts = createPluginHosts({ runtime: { ...runtime, discover }, clock, log: silentLog });
  await hosts.providers();
  await Promise.all(Array.from({ length: 32 }, () => hosts.describeLookup('nothing').catch(() => undefined)));
  expect(looked).toBe(2);
  await hosts.describeLookup('nothing').catch(() => undefined);
  expect(looked).toBe(3);
});

describe('a host', () => {
  it('serves calls, stays warm for a moment, and ends', async () => {
    const { hosts, started, clock } = rig();
    expect((await hosts.describeLookup('test')).properties.map(({ name }) => name)).toEqual(['config', 'text']);
    expect(await hosts.refuse('lookup', 'test', { text: 'no' })).toEqual({ property: 'text', reason: 'is refused' });
    expect(await hosts.refuse('lookup', 'test', { text: 'yes' })).toBeUndefined();
    expect(started.map(({ gone }) => gone)).toEqual([false]);
    await clock.advance(HOST_WARM_MS);
    expect(started.map(({ gone }) => gone)).toEqual([true]);
  });

  it('lives as long as its last instance', async () => {
    const { create, started, clock } = rig();
    const [one, two] = [await create(), await create()];
    one.close();
    await clock.advance(10 * HOST_WARM_MS);
    expect(started.map(({ gone }) => gone)).toEqual([false]);
    two.close();
    await clock.advance(HOST_WARM_MS);
    expect(started.map(({ gone }) => gone)).toEqual([true]);
  });

  it('that dies comes back: its instances are made anew and outstanding requests asked again', async () => {
    const held = Promise.withResolvers<unknown>();
    let answersNow = false;
    const { create, take, started, clock, seen } = rig({ lookup: () => (answersNow ? Promise.resolve(undefined) : held.promise) });
    const instance = await create();
    instance.ask([lookup(1)]);
    await settle();
    answersNow = true;
    started[0]?.die();
    await settle();
    expect(take()).toEqual([down]);
    instance.ask([lookup(2)]);
    await clock.advance(HOST_RESTART_MS.first);
    expect(take()).toEqual([['up'], found(1), found(2)]);
    expect(seen.asked).toEqual([mac(1), mac(1), mac(2)]);
  });

  it('that dies twice under a request answers it', async () => {
    const { create, take, started, clock } = rig({ lookup: () => new Promise(() => {}) });
    const instance = await create();
    instance.ask([lookup(1)]);
    await settle();
    started[0]?.die();
    await clock.advance(HOST_RESTART_MS.first);
    started[1]?.die();
    await settle();
    expect(take()).toEqual([down, ['up'], down, drop(1, 'lookup.crashed')]);
  });

  it('that keeps dying is started less and less often', async () => {
    const { create, started, clock } = rig();
    await create();
    const at: number[] = [];
    for (let n = 0; n < 12; n++) {
      const before = started.length;
      started.at(-1)?.die();
      const from = clock.now();
      while (started.length === before) await clock.advance(HOST_RESTART_MS.first);
      at.push(clock.now() - from);
    }
    expect(at.slice(0, 4)).toEqual([1, 2, 4, 8].map((times) => times * HOST_RESTART_MS.first));
    expect(at.at(-1)).toBe(HOST_RESTART_MS.max);
  });

  it('that hangs is ended and replaced', async () => {
    const { create, take, started, clock } = rig();
    await create();
    started[0]?.stream.pause();
    await clock.advance(HOST_PING_INTERVAL_MS * (HOST_MISSED_PINGS + 1));
    expect(started[0]?.gone).toBe(true);
    expect(take()).toEqual([['down', expect.stringContaining('it hangs')]]);
    await clock.advance(HOST_RESTART_MS.first);
    expect(take()).toEqual([['up']]);
  });

  it('that answers pings lives', async () => {
    const { create, take, started, clock } = rig();
    await create();
    await clock.advance(HOST_PING_INTERVAL_MS * (HOST_MISSED_PINGS + 5));
    expect([started.length, take()]).toEqual([1, []]);
  });

  it('whose instance cannot be made anew is tried again', async () => {
    let broken = false;
    const { create, take, started, clock } = rig({ start: () => (broken ? Promise.reject(new Error('not now')) : Promise.resolve()) });
    await create();
    broken = true;
    started[0]?.die();
    await clock.advance(HOST_RESTART_MS.first);
    expect(take()).toEqual([down, ['down', 'not now']]);
    broken = false;
    await clock.advance(2 * HOST_RESTART_MS.first);
    expect(take()).toEqual([['up']]);
  });

  it('ends with stop(), and nothing is left running', async () => {
    const { create, hosts, started, clock, seen } = rig();
    await create();
    await hosts.stop();
    expect([started[0]?.gone, seen.stopped, clock.timers]).toEqual([true, 1, 0]);
    await expect(create()).rejects.toMatchObject({ code: 'PLUGIN_FAILED' });
  });
});

describe('a file', () => {
  function fakeFiles() {
    const state = { stamp: '1', contents: new Uint8Array() as Uint8Array, error: undefined as OverlayError | undefined, reads: [] as string[] };
    const files: FileAccess = {
      stamp: async () => state.stamp,
      read: async (path, { uid }) => {
        state.reads.push(`${path} ${uid}`);
        if (state.error !== undefined) throw state.error;
        return state.contents;
      },
    };
    return { state, files };
  }

  it('reaches the plugin whole, now and after each change', async () => {
    const { state, files } = fakeFiles();
    state.contents = Uint8Array.from({ length: 2 * FILE_CHUNK_BYTES + 7 }, (_, i) => i % 251);
    const { create, seen, clock } = rig({}, files);
    await create();
    const iterator = seen.hosts[0]?.file('config')[Symbol.asyncIterator]();
    const next = async () => (await iterator?.next())?.value as Uint8Array;
    expect(Buffer.compare(await next(), state.contents)).toBe(0);
    state.stamp = '2';
    state.contents = new Uint8Array();
    const changed = next();
    await clock.advance(FILE_POLL_MS);
    expect((await changed).length).toBe(0);
    await clock.advance(10 * FILE_POLL_MS);
    // Contents that are new are read once more, a poll later.
    expect(state.reads).toEqual(['/a/file 0', '/a/file 0', '/a/file 0']);
  });

  it('that cannot be read fails the iteration with code and advice', async () => {
    const { state, files } = fakeFiles();
    state.error = new OverlayError('FILE_UNREADABLE', '/a/file: no such file', { advice: 'make it' });
    const { create, seen } = rig({}, files);
    await create();
    const iterator = seen.hosts[0]?.file('config')[Symbol.asyncIterator]();
    await expect(iterator?.next()).rejects.toMatchObject({ code: 'FILE_UNREADABLE', message: '/a/file: no such file', advice: 'make it' });
    expect(await iterator?.next()).toEqual({ done: true, value: undefined });
  });

  it.each([
    ['that changed while the host was down makes what was answered before outdated', true],
    ['that did not change leaves what was answered before', false],
  ])('%s', async (_what, changes) => {
    const { state, files } = fakeFiles();
    const { create, seen, clock, started, take } = rig({}, files);
    await create();
    const read = (host: LookupHost | undefined) => host?.file('config')[Symbol.asyncIterator]().next();
    await read(seen.hosts[0]);
    started[0]?.die();
    if (changes) state.contents = Uint8Array.of(42);
    await clock.advance(HOST_RESTART_MS.first);
    await read(seen.hosts[1]);
    const outdated = ['outdated'];
    expect(take().filter((event) => Array.isArray(event) && event[0] === 'outdated')).toEqual(changes ? [outdated] : []);
  });

  it('is read for properties of type path only', async () => {
    const { state, files } = fakeFiles();
    const { create, seen } = rig({}, files);
    await create();
    for (const property of ['text', 'passwd', '../x']) {
      const iterator = seen.hosts[0]?.file(property)[Symbol.asyncIterator]();
      await expect(iterator?.next()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    }
    expect(state.reads).toEqual([]);
  });

  it('is followed no more once the iteration is left, also by one that waits', async () => {
    const { state, files } = fakeFiles();
    const { create, seen, clock } = rig({}, files);
    await create();
    const iterator = seen.hosts[0]?.file('config')[Symbol.asyncIterator]();
    await iterator?.next();
    const waiting = iterator?.next();
    await iterator?.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    await settle();
    state.stamp = '2';
    await clock.advance(10 * FILE_POLL_MS);
    expect(state.reads.length).toBe(1);
  });
});

describe('a host that lies', () => {
  /** A host whose words are the test's own; it is not a varpd at all. */
  function liar(files: FileAccess) {
    const clock = new FakeClock();
    const [stream, inner] = duplexPair();
    const { promise: exited, resolve } = Promise.withResolvers<string>();
    const provider = { kind: 'lookup', name: 'liar', package: 'liar', version: '1.0.0', root: '/liar', module: './index.js', api: 1 } as const;
    const seen = { killed: false };
    const kill = (): void => {
      seen.killed = true;
      resolve('signal SIGKILL');
    };
    const say = (...messages: object[]): void => void inner.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
    const hosts = createPluginHosts({
      runtime: {
        discover: async () => ({ providers: [provider], problems: [] }),
        spawn: () => ({ pid: undefined, stream, exited, kill }),
        stamp: async () => '',
        describeRights: () => undefined,
        uidOf: () => 0,
        files,
      },
      clock,
      log: silentLog,
    });
    const begin = async (spec: InstanceSpec, events: InstanceEvents) => {
      say({ type: 'ready' });
      const creating = hosts.createInstance({ ...spec, plugin: 'liar' }, events);
      await settle();
      say({ type: 'created', call: 0, created: { mode: 'dynamic', group: false, resolves: true, servesDhcp: true } });
      return creating;
    };
    return { clock, inner, say, seen, begin };
  }

  it('and opens and closes files in no time does not make overlayd read more of them at once than it may open', async () => {
    let reading = 0;
    let most = 0;
    const ends: (() => void)[] = [];
    const files: FileAccess = {
      stamp: async () => '1',
      read: async () => {
        most = Math.max(most, ++reading);
        await new Promise<void>((resolve) => ends.push(resolve));
        reading--;
        return new Uint8Array();
      },
    };
    const { say, begin, inner } = liar(files);
    const { spec, events } = rig();
    await begin(spec, events);
    inner.resume();
    for (let file = 0; file < 4 * MAX_OPEN_FILES; file++) {
      say({ type: 'openFile', instance: 0, file, property: 'config' });
      await settle();
      say({ type: 'closeFile', instance: 0, file });
    }
    await settle();
    expect(most).toBe(MAX_OPEN_FILES);
    for (const end of ends) end();
    await settle();
    say({ type: 'openFile', instance: 0, file: 1000, property: 'config' });
    await settle();
    expect(reading).toBe(1);
  });

  it('and reads nothing, but says it lives, is ended before overlayd keeps much for it', async () => {
    const { say, begin, seen, inner, clock } = liar({ stamp: async () => '1', read: async () => new Uint8Array() });
    const { spec, events, take } = rig();
    await begin(spec, events);
    inner.pause();
    for (let file = 0; !seen.killed && file < 1_000_000; file += 10_000) {
      say(
        ...Array.from({ length: 10_000 }, (_, n) => ({ type: 'openFile', instance: 0, file: file + n, property: '\u0001'.repeat(MAX_REASON_BYTES) })),
        {
          type: 'pong',
        },
      );
      await clock.advance(1);
    }
    expect(seen.killed).toBe(true);
    expect(take()).toEqual([['down', expect.stringContaining('does not read')]]);
  });
});

describe('addresses of VNICs', () => {
  const vnic = (last: number, ...ips: string[]): LocalAddress => ({ mac: mac(last), ips: ips.map(ip) });
  const iterate = (host: LookupHost | undefined) => host?.localAddresses()[Symbol.asyncIterator]();

  it('reach the plugin now, also when there are none, and after each change', async () => {
    const { create, seen, clock, local } = rig();
    await create();
    const lists = iterate(seen.hosts[0]);
    const first = lists?.next();
    await clock.advance(1);
    expect(await first).toEqual({ done: false, value: [] });
    const second = lists?.next();
    await clock.advance(3 * LOCAL_ADDRESS_POLL_MS);
    local.list = [vnic(1), vnic(2, '10.0.0.2', 'fd00::2')];
    await clock.advance(LOCAL_ADDRESS_POLL_MS);
    expect(await second).toEqual({ done: false, value: local.list });
  });

  it('are looked at only while somebody iterates, and no more often when it is begun again and again', async () => {
    const { create, seen, clock, local } = rig();
    await create();
    await clock.advance(5 * LOCAL_ADDRESS_POLL_MS);
    expect(local.asked).toBe(0);
    for (let n = 0; n < 50; n++) {
      const lists = iterate(seen.hosts[0]);
      void lists?.next();
      await clock.advance(1);
      await lists?.return?.();
      await settle();
    }
    expect(local.asked).toBe(1);
    await clock.advance(5 * LOCAL_ADDRESS_POLL_MS);
    expect(local.asked).toBe(1);
  });

  it('go to several iterations, each from the beginning', async () => {
    const { create, seen, clock, local } = rig();
    await create();
    local.list = [vnic(1)];
    const [one, two] = [iterate(seen.hosts[0]), iterate(seen.hosts[0])];
    const first = one?.next();
    await clock.advance(1);
    expect((await first)?.value).toEqual([vnic(1)]);
    expect((await two?.next())?.value).toEqual([vnic(1)]);
    await one?.return?.();
    local.list = [vnic(2)];
    const changed = two?.next();
    await clock.advance(LOCAL_ADDRESS_POLL_MS);
    expect((await changed)?.value).toEqual([vnic(2)]);
  });

  it('that cannot be read are no empty list', async () => {
    const { create, seen, clock, local } = rig();
    await create();
    local.list = [vnic(1)];
    const lists = iterate(seen.hosts[0]);
    const first = lists?.next();
    await clock.advance(1);
    await first;
    const told: unknown[] = [];
    void lists?.next().then((result) => told.push(result?.value));
    local.error = new Error('not permitted');
    await clock.advance(3 * LOCAL_ADDRESS_POLL_MS);
    expect(told).toEqual([]);
    local.error = undefined;
    local.list = [vnic(1), vnic(2)];
    await clock.advance(LOCAL_ADDRESS_POLL_MS);
    expect(told).toEqual([local.list]);
  });

  it('in any number fit into one line', async () => {
    const { create, seen, clock, local, started } = rig();
    await create();
    const long = 'fd00:1111:2222:3333:4444:5555:6666:7777';
    local.list = Array.from({ length: 2 * MAX_LOCAL_VNICS }, () => vnic(1, long, long, long, long));
    const lists = iterate(seen.hosts[0]);
    const first = lists?.next();
    await clock.advance(1);
    expect((await first)?.value.length).toBe(MAX_LOCAL_VNICS);
    local.list = [vnic(1, ...new Array(MAX_LOCAL_IPS).fill(long)), vnic(2, long)];
    const second = lists?.next();
    await clock.advance(LOCAL_ADDRESS_POLL_MS);
    expect((await second)?.value.map(({ ips }: LocalAddress) => ips.length)).toEqual([MAX_LOCAL_IPS]);
    expect(started.map(({ gone }) => gone)).toEqual([false]);
  });

  it('are told anew to the instance that takes the place of one that died; the iteration ends with its instance', async () => {
    const { create, seen, clock, local, started } = rig();
    const instance = await create();
    local.list = [vnic(1)];
    const first = iterate(seen.hosts[0])?.next();
    await clock.advance(1);
    await first;
    started[0]?.die();
    await clock.advance(HOST_RESTART_MS.first);
    const again = iterate(seen.hosts[1]);
    const list = again?.next();
    await clock.advance(LOCAL_ADDRESS_POLL_MS);
    expect((await list)?.value).toEqual([vnic(1)]);
    const waiting = again?.next();
    instance.close();
    await settle();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});

describe('two overlays with one plugin', () => {
  it('take turns: one that asks for thousands of targets does not make the other wait for all of them', async () => {
    const test = rig();
    const [flooded, quiet] = [await test.create(), await test.create()];
    const far = (number: number): Ask =>
      ({
        ...lookup(1),
        id: number,
        to: `02:00:00:01:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}` as MacAddress,
      }) as Ask;
    flooded.ask(Array.from({ length: 20_000 }, (_, number) => far(number + 1)));
    quiet.ask([{ ...lookup(7), id: 30_000 }]);
    while (!test.seen.asked.includes(mac(7))) await settle();
    expect(test.seen.asked.indexOf(mac(7))).toBeLessThanOrEqual(FAIR_ASKS);
    while (test.seen.asked.length < 20_001) await settle();
    expect(new Set(test.seen.asked).size).toBe(20_001);
    expect(test.seen.asked.filter((to) => to !== mac(7))).toEqual(
      Array.from({ length: 20_000 }, (_, number) => (far(number + 1) as { to: string }).to),
    );
    await test.hosts.stop();
  });
});
