// Instances that were there before overlayd was started again: at once, with or without their plugin, and with what they had read.
import { describe, expect, it } from 'vitest';
import type { InstancePast, InstanceSpec, PluginHosts } from '../../../src/core/lookup/types.ts';
import { HOST_CALL_TIMEOUT_MS, HOST_RESTART_MS, LOOKUP_SWEEP_MS, LOOKUP_TIMEOUT_MS, MAX_STARTING_INSTANCES } from '../../../src/core/util/limits.ts';
import { settle } from '../../helpers/fake-clock.ts';
import { drop, fakeFiles, found, lookup, OWNER, pastOf, readConfig, rig, specOf, Told } from './rig.ts';

function restore(hosts: PluginHosts, spec: InstanceSpec = specOf('overlay0'), past: InstancePast = pastOf()) {
  const told = new Told();
  return { told, instance: hosts.restoreInstance(spec, past, told.events) };
}
const STARTING = 'down: test: the plugin is being started';
const UNKNOWN = 'down: test: no such lookup plugin (known: none)';

describe('an instance of before', () => {
  it('is there at once as it was, says what is missing, comes up, and is asked what waited', async () => {
    const { plugin, make } = rig();
    const { hosts } = make([plugin(1)]);
    const { told, instance } = restore(hosts, specOf('overlay0'), pastOf({ resolves: true }));
    instance.ask([lookup(1)]);
    expect([instance.mode, instance.resolves, told.take()]).toEqual(['dynamic', true, []]);
    await settle();
    expect(told.take()).toEqual([STARTING, 'up', found(1)]);
    expect(instance.resolves).toBe(false);
  });

  it('says once what is wrong while its plugin is not there, and is found by looking again, less and less often', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, install, runtime } = make([]);
    let looked = 0;
    const discover = runtime.discover;
    Object.assign(runtime, {
      discover: () => {
        looked++;
        return discover();
      },
    });
    const [one, two] = [restore(hosts), restore(hosts)];
    await settle();
    expect([one.told.take(), two.told.take()]).toEqual([
      [STARTING, UNKNOWN],
      [STARTING, UNKNOWN],
    ]);
    await clock.advance(7 * HOST_RESTART_MS.first);
    expect([looked, one.told.take()]).toEqual([4, []]);
    install(plugin(1));
    await clock.advance(8 * HOST_RESTART_MS.first);
    expect([one.told.take(), two.told.take()]).toEqual([['up'], ['up']]);
    await clock.advance(10 * HOST_RESTART_MS.max);
    expect(looked).toBe(5);
  });

  it('comes up with reload() when its plugin was installed', async () => {
    const { plugin, make } = rig();
    const { hosts, install } = make([]);
    const { told } = restore(hosts);
    await settle();
    told.take();
    install(plugin(1));
    expect(await hosts.reload()).toEqual({ replaced: [], kept: [], problems: [] });
    await settle();
    expect(told.take()).toEqual(['up']);
  });

  it('says that its plugin was left out, and why', async () => {
    const { plugin, make } = rig();
    const { hosts, install } = make([]);
    install(plugin(1), { api: 2 });
    const { told } = restore(hosts);
    await settle();
    expect(told.take()).toEqual([STARTING, `${UNKNOWN}; plugin test-plugin-test (/test/lookup-test): left out, it is written for plugin api 2`]);
  });

  it('answers what it is asked in time, also without a plugin', async () => {
    const { make, clock } = rig();
    const { told, instance } = restore(make([]).hosts);
    await settle();
    told.take();
    instance.ask([lookup(1)]);
    await clock.advance(LOOKUP_TIMEOUT_MS + LOOKUP_SWEEP_MS);
    expect(told.take()).toEqual([drop(1, 'lookup.timeout')]);
  });

  it.each(['at once', 'while its plugin is missing', 'while it starts', 'when it runs'])('can be closed %s, and then says nothing', async (when) => {
    const { plugin, make, clock, running } = rig();
    const forEver = (_values: unknown, { clock: time }: { clock: { sleep(ms: number, signal: AbortSignal): Promise<void> } }, signal: AbortSignal) =>
      time.sleep(HOST_CALL_TIMEOUT_MS, signal);
    const starts = plugin(1, when === 'while it starts' ? { start: forEver } : {});
    const { hosts, started } = make(when === 'while its plugin is missing' ? [] : [starts]);
    const { told, instance } = restore(hosts);
    if (when !== 'at once') await settle();
    told.take();
    instance.close();
    await clock.advance(10 * HOST_RESTART_MS.max);
    expect([told.take(), clock.timers, started.every(({ gone }) => gone), running.every(({ stopped }) => stopped)]).toEqual([[], 0, true, true]);
  });

  it('that cannot start says so with the words of the plugin, and is tried again', async () => {
    let broken = true;
    const { plugin, make, clock } = rig();
    const { hosts } = make([plugin(1, { start: () => (broken ? Promise.reject(new Error('line 3 is wrong')) : Promise.resolve()) })]);
    const { told } = restore(hosts);
    await settle();
    expect(told.take()).toEqual([STARTING, 'down: line 3 is wrong']);
    await clock.advance(3 * HOST_RESTART_MS.first);
    expect(told.take()).toEqual([]);
    broken = false;
    await clock.advance(4 * HOST_RESTART_MS.first);
    expect(told.take()).toEqual(['up']);
  });

  it('whose package cannot be imported says why', async () => {
    const { plugin, make } = rig();
    const { hosts, install } = make([]);
    install(plugin(1), { broken: 'Unexpected token' });
    const { told } = restore(hosts);
    await settle();
    expect(told.take()).toEqual([STARTING, 'down: lookup test: the plugin cannot be used (./index.js: Unexpected token)']);
  });

  it('whose host never becomes ready says so after a bounded time', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, started } = make([plugin(1)]);
    const { told } = restore(hosts);
    while (started.length === 0) await new Promise((resolve) => setImmediate(resolve));
    started[0]?.stream.pause();
    await clock.advance(HOST_CALL_TIMEOUT_MS);
    expect(told.take()).toEqual([STARTING, `down: plugin host of test-plugin-test failed: it was not ready after ${HOST_CALL_TIMEOUT_MS} ms`]);
    await clock.advance(HOST_RESTART_MS.first);
    expect([started.map(({ gone }) => gone), told.take()]).toEqual([[true, false], ['up']]);
  });

  it('of another mode than before does not come up, and says so', async () => {
    const { plugin, make } = rig();
    const { told, instance } = restore(make([plugin(1, { mode: 'point' })]).hosts);
    await settle();
    expect(told.take()).toEqual([STARTING, 'down: test: its instance is of mode point now, and was dynamic']);
    expect(instance.mode).toBe('dynamic');
  });

  it('of mode point with another point has the new one when it is up', async () => {
    const { plugin, make } = rig();
    const past = pastOf({ mode: 'point', point: { ip: '192.0.2.9' as never }, group: true });
    const { told, instance } = restore(make([plugin(1, { mode: 'point' })]).hosts, specOf('overlay0'), past);
    expect(instance.point).toEqual({ ip: '192.0.2.9' });
    await settle();
    expect([told.take(), instance.point]).toEqual([[STARTING, 'up'], { ip: '192.0.2.1' }]);
  });

  it('is one of a thousand of one package: one host, and few start at a time', async () => {
    let starting = 0;
    let most = 0;
    const { plugin, make, clock } = rig();
    const start = async (_: unknown, { clock: time }: { clock: { sleep(ms: number): Promise<void> } }): Promise<void> => {
      most = Math.max(most, ++starting);
      await time.sleep(10);
      starting--;
    };
    const { hosts, started } = make([plugin(1, { start })]);
    const all = Array.from({ length: 1000 }, (_, number) => restore(hosts, specOf(`overlay${number}`)));
    await clock.advance(200);
    expect([started.length, most]).toEqual([1, MAX_STARTING_INSTANCES]);
    expect(all.every(({ told }) => told.all.at(-1) === 'up')).toBe(true);
  });
});

describe('files of an instance of before', () => {
  it.each([
    ['that changed meanwhile make what was answered outdated, once it is up', 'second', [STARTING, 'up', 'outdated']],
    ['that did not change leave what was answered', 'first', [STARTING, 'up']],
  ])('%s', async (_, contents, expected) => {
    const { state, files } = fakeFiles();
    const { plugin, make } = rig(files);
    const process = make([plugin(1, { start: (_values, host) => readConfig(host) })]);
    const spec = specOf('overlay0', { config: '/a/file' }, OWNER);
    const before = await process.hosts.createInstance(spec, new Told().events);
    expect(Object.keys(before.digests)).toEqual(['config']);
    const { digests } = before;
    await process.hosts.stop();
    state.contents = contents;
    const { told, instance } = restore(process.renew(), spec, pastOf({}, digests));
    expect(instance.digests).toEqual(digests);
    await settle();
    expect(told.take()).toEqual(expected);
    expect(instance.digests.config === digests.config).toBe(contents === 'first');
  });

  it('that the plugin refuses do not make what was answered outdated', async () => {
    const { files } = fakeFiles();
    const { plugin, make } = rig(files);
    const start = async (_: unknown, host: Parameters<typeof readConfig>[0]): Promise<void> => {
      await readConfig(host);
      throw new Error('line 1 is wrong');
    };
    const spec = specOf('overlay0', { config: '/a/file' }, OWNER);
    const { told, instance } = restore(make([plugin(1, { start })]).hosts, spec, pastOf({}, { config: 'another' }));
    await settle();
    expect([told.take(), instance.digests]).toEqual([[STARTING, 'down: line 1 is wrong'], { config: 'another' }]);
  });

  it('are read with the rights of who set that very property, and not when nobody did', async () => {
    const { state, files } = fakeFiles();
    const { plugin, make } = rig(files);
    const { hosts } = make([plugin(1, { start: (_values, host) => readConfig(host) })]);
    await hosts.createInstance(specOf('overlay0', { config: '/a/file', text: '/b' }, OWNER), new Told().events);
    expect(state.reads).toEqual(['/a/file 1000']);
    for (const setters of [{}, { text: { uid: 0, gid: 0, groups: [] } }]) {
      await expect(hosts.createInstance(specOf('overlay1', { config: '/a/file' }, setters), new Told().events)).rejects.toMatchObject({
        message: 'config: is no property of type path that somebody has set',
      });
    }
    expect(state.reads).toEqual(['/a/file 1000']);
  });
});

it('a second instance of one overlay runs beside the first, with other values', async () => {
  const { plugin, make, running } = rig();
  const { hosts } = make([plugin(1)]);
  const [one, two] = [new Told(), new Told()];
  const first = await hosts.createInstance(specOf('overlay0', { text: 'a' }), one.events);
  const second = await hosts.createInstance(specOf('overlay0', { text: 'b' }), two.events);
  first.ask([lookup(1)]);
  second.ask([lookup(1)]);
  await settle();
  expect([one.take(), two.take()]).toEqual([[found(1)], [found(1)]]);
  first.close();
  second.ask([lookup(2)]);
  await settle();
  expect([one.take(), two.take(), running.map(({ values, stopped }) => [values, stopped])]).toEqual([
    [],
    [found(2)],
    [
      [{ text: 'a' }, true],
      [{ text: 'b' }, false],
    ],
  ]);
});
