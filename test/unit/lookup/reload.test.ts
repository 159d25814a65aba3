// Plugins that are installed anew while they are in use: a new host beside the old one, swapped with all instances or not at all.
import type { LookupHost } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { LookupInstance, PluginHosts } from '../../../src/core/lookup/types.ts';
import { HOST_CALL_TIMEOUT_MS, HOST_REPLACE_MS, HOST_RESTART_MS, HOST_WARM_MS } from '../../../src/core/util/limits.ts';
import { settle } from '../../helpers/fake-clock.ts';
import { drop, fakeFiles, found, lookup, mac, OWNER, pastOf, readConfig, rig, specOf, Told } from './rig.ts';

const TEST = { kind: 'lookup', name: 'test' } as const;
const PACKAGE = 'test-plugin-test';

async function create(
  hosts: PluginHosts,
  overlay = 'overlay0',
  ...rest: [object?, object?, string?]
): Promise<{ told: Told; instance: LookupInstance }> {
  const told = new Told();
  const [values, setters, plugin] = rest;
  return { told, instance: await hosts.createInstance(specOf(overlay, values as never, setters as never, plugin), told.events) };
}

describe('reload', () => {
  it('puts the new code in the place of the old: what is out is asked there and answered once', async () => {
    const { plugin, make, running, clock } = rig();
    const { hosts, install, started } = make([plugin(1, { answers: false })]);
    const made = [await create(hosts, 'overlay0', { text: 'a' }), await create(hosts, 'overlay1', { text: 'b' })] as const;
    for (const { instance } of made) instance.ask([lookup(1), lookup(2)]);
    await settle();
    made[0].instance.abort([2]);
    install(plugin(2), { version: '1.1.0' });
    expect(await hosts.reload()).toEqual({ replaced: [PACKAGE], kept: [], problems: [] });
    await settle();
    expect(made.map(({ told }) => told.take())).toEqual([
      ['up', found(1, 2)],
      ['up', found(1, 2), found(2, 2)],
    ]);
    await clock.advance(HOST_WARM_MS);
    expect(started.map(({ gone }) => gone)).toEqual([true, false]);
    expect(running.map(({ version, values, stopped }) => [version, values.text, stopped])).toEqual([
      [1, 'a', true],
      [1, 'b', true],
      [2, 'a', false],
      [2, 'b', false],
    ]);
    made[0].instance.ask([lookup(3)]);
    await settle();
    expect(made[0].told.take()).toEqual([found(3, 2)]);
  });

  it('leaves alone what has not changed, and replaces what was installed again in the same version', async () => {
    const { plugin, make } = rig();
    const { hosts, install, started } = make([plugin(1), plugin(1, {}, 'other')]);
    await create(hosts);
    await create(hosts, 'overlay1', {}, {}, 'other');
    expect(await hosts.reload()).toEqual({ replaced: [], kept: [], problems: [] });
    expect(started.length).toBe(2);
    install(plugin(1, {}, 'other'));
    expect((await hosts.reload()).replaced).toEqual(['test-plugin-other']);
    expect(started.length).toBe(3);
  });

  it('starts nothing for a package that nobody uses; the next use has the new code', async () => {
    const { plugin, make } = rig();
    const { hosts, install, started } = make([plugin(1)]);
    await hosts.describeLookup('test');
    install(plugin(2), { version: '2.0.0' });
    expect(await hosts.reload()).toEqual({ replaced: [], kept: [], problems: [] });
    expect(started.length).toBe(1);
    const { instance, told } = await create(hosts);
    instance.ask([lookup(1)]);
    await settle();
    expect([told.take(), started.length]).toEqual([[found(1, 2)], 2]);
  });

  it.each<[string, (kit: ReturnType<typeof rig>) => [ReturnType<ReturnType<typeof rig>['plugin']>, object], RegExp]>([
    [
      'cannot be imported',
      ({ plugin }) => [plugin(2), { broken: 'Unexpected token' }],
      /version 1.0.0 goes on, 2.0.0 did not come up: .*Unexpected token/,
    ],
    ['is of another api', ({ plugin }) => [plugin(2), { api: 2 }], /version 1.0.0 goes on: plugin test-plugin-test .*written for plugin api 2/],
    ['does not start', ({ plugin }) => [plugin(2, { start: () => Promise.reject(new Error('no server')) }), {}], /did not come up: no server/],
    [
      'never starts',
      ({ plugin }) => [plugin(2, { start: () => new Promise(() => {}) }), {}],
      /did not come up: .*no answer to create within 20000 ms/,
    ],
    ['starts one after the other too slowly', ({ plugin }) => [plugin(2, slowly()), {}], /did not come up: it was not all there after 30000 ms/],
    ['is of another mode', ({ plugin }) => [plugin(2, { mode: 'point' }), {}], /mode point now, and was dynamic/],
    ['is another plugin', ({ plugin }) => [{ ...plugin(2), kind: 'lookup', properties: undefined as never }, {}], /did not come up: /],
  ])('keeps the old host when the new one %s, and says so until the next reload', async (_, next, reason) => {
    const kit = rig();
    const { hosts, install, started } = kit.make([kit.plugin(1)]);
    const { told, instance } = await create(hosts, 'overlay0', { text: 'a' });
    for (let number = 1; number < 70; number++) await create(hosts, `overlay${number}`);
    const [plugin, facts] = next(kit);
    install(plugin, { version: '2.0.0', ...facts });
    const reloading = hosts.reload();
    await kit.clock.advance(HOST_REPLACE_MS);
    const { replaced, kept } = await reloading;
    expect([replaced, kept]).toEqual([[], [{ package: PACKAGE, reason: expect.stringMatching(reason) }]]);
    instance.ask([lookup(1)]);
    await settle();
    expect(told.take()).toEqual([found(1)]);
    await kit.clock.advance(2 * HOST_CALL_TIMEOUT_MS);
    expect(started.map(({ gone }) => gone)).toEqual([false, ...started.slice(1).map(() => true)]);
    const listing = hosts.list();
    await kit.clock.advance(1);
    const { problems } = await listing;
    expect(problems.at(-1)).toMatch(new RegExp(`^plugin ${PACKAGE}: .*${reason.source}`));
    install(kit.plugin(3), { version: '3.0.0' });
    expect(await hosts.reload()).toMatchObject({ replaced: [PACKAGE], kept: [] });
    expect((await hosts.list()).problems).toEqual([]);
  });

  it('keeps the host of a package that was removed, until it is there again', async () => {
    const { plugin, make } = rig();
    const { hosts, install, uninstall } = make([plugin(1)]);
    const { told, instance } = await create(hosts);
    uninstall(TEST);
    const reason = 'version 1.0.0 goes on: it is not installed any more';
    expect(await hosts.reload()).toEqual({ replaced: [], kept: [{ package: PACKAGE, reason }], problems: [] });
    instance.ask([lookup(1)]);
    await settle();
    expect(told.take()).toEqual([found(1)]);
    await expect(create(hosts)).rejects.toMatchObject({ code: 'PLUGIN_UNKNOWN' });
    expect(await hosts.list()).toMatchObject({
      plugins: [{ provider: { name: 'test' }, problem: reason }],
      problems: [`plugin ${PACKAGE}: ${reason}`],
    });
    install(plugin(2));
    expect(await hosts.reload()).toMatchObject({ replaced: [PACKAGE], kept: [] });
    await settle();
    expect(told.take()).toEqual(['up']);
  });

  it('brings up instances that the old code could not start, and is not kept back by one that no code can', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, install } = make([plugin(1, { start: async ({ text }) => (text === 'good' ? undefined : Promise.reject(new Error('bad'))) })]);
    const good = await create(hosts, 'overlay0', { text: 'good' });
    const [bad, worse] = [new Told(), new Told()];
    hosts.restoreInstance(specOf('overlay1', { text: 'bad' }), pastOf(), bad.events);
    hosts.restoreInstance(specOf('overlay2', { text: 'worse' }), pastOf(), worse.events);
    await settle();
    bad.take();
    worse.take();
    install(plugin(2, { start: async ({ text }) => (text === 'worse' ? Promise.reject(new Error('worse')) : undefined) }));
    expect((await hosts.reload()).replaced).toEqual([PACKAGE]);
    await settle();
    expect([good.told.take(), bad.take(), worse.take()]).toEqual([['up'], ['up'], ['down: worse']]);
    await clock.advance(10 * HOST_RESTART_MS.max);
    expect(worse.take()).toEqual([]);
  });

  it('twice at once is once after the other', async () => {
    const { plugin, make } = rig();
    const { hosts, install, started } = make([plugin(1)]);
    await create(hosts);
    install(plugin(2));
    const first = hosts.reload();
    const second = hosts.reload();
    expect([(await first).replaced, (await second).replaced]).toEqual([[PACKAGE], []]);
    expect(started.length).toBe(2);
  });

  it('lets what is created meanwhile wait for the code that stays', async () => {
    for (const fails of [false, true]) {
      const { plugin, make, clock } = rig();
      const { hosts, install } = make([plugin(1)]);
      await create(hosts);
      const slow = (_: unknown, host: LookupHost): Promise<void> =>
        host.clock.sleep(1000).then(() => (fails ? Promise.reject(new Error('no')) : undefined));
      install(plugin(2, { start: slow }));
      const reloading = hosts.reload();
      await settle();
      const creating = create(hosts, 'overlay1');
      await clock.advance(3000);
      await reloading;
      const { told, instance } = await creating;
      instance.ask([lookup(1)]);
      await settle();
      expect(told.take()).toEqual([found(1, fails ? 1 : 2)]);
    }
  });

  it('goes on when the old host dies meanwhile, and what is out is answered', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, install, started } = make([plugin(1, { answers: false })]);
    const { told, instance } = await create(hosts);
    instance.ask([lookup(1)]);
    install(plugin(2, { start: (_, host) => host.clock.sleep(50) }));
    const reloading = hosts.reload();
    await settle();
    started[0]?.die();
    await clock.advance(50);
    expect((await reloading).replaced).toEqual([PACKAGE]);
    await clock.advance(10 * HOST_RESTART_MS.first);
    expect(told.take()).toEqual([`down: plugin host of ${PACKAGE} failed: signal SIGKILL`, 'up', found(1, 2)]);
    expect(started.map(({ gone }) => gone)).toEqual([true, false]);
  });

  it('that swaps is no crash: a lookup is given up only after the new host died twice under it', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, install, started } = make([plugin(1, { answers: false })]);
    const { told, instance } = await create(hosts);
    instance.ask([lookup(1)]);
    await settle();
    install(plugin(2, { answers: false }));
    await hosts.reload();
    await settle();
    started[1]?.die();
    await clock.advance(HOST_RESTART_MS.first);
    expect(told.take().filter((event) => typeof event === 'object')).toEqual([]);
    started[2]?.die();
    await settle();
    expect(told.take().filter((event) => typeof event === 'object')).toEqual([drop(1, 'lookup.crashed')]);
  });

  it('keeps what the new code says until it takes over, and forgets it when it does not', async () => {
    const says = (fails: boolean) => async (_: unknown, host: LookupHost) => {
      host.setTarget(mac(7), { ip: '192.0.2.77' as never });
      host.degrade('no server yet');
      await host.clock.sleep(10);
      if (fails) throw new Error('no');
    };
    const { plugin, make, clock, running } = rig();
    const { hosts, install } = make([plugin(1)]);
    const { told } = await create(hosts);
    running[0]?.host.degrade('of the old');
    await settle();
    expect(told.take()).toEqual(['degraded: of the old']);
    for (const fails of [true, false]) {
      install(plugin(2, { start: says(fails) }));
      const reloading = hosts.reload();
      await settle();
      expect(told.take()).toEqual([]);
      await clock.advance(10);
      await reloading;
    }
    expect(told.take()).toEqual(['up', 'restored', `target ${mac(7)} 192.0.2.77`, 'degraded: no server yet']);
  });

  it('compares the files of the new instance with what the old one had', async () => {
    const { state, files } = fakeFiles();
    const { plugin, make } = rig(files);
    const version = (number: number) => plugin(number, { start: (_values, host) => readConfig(host) });
    const { hosts, install } = make([version(1)]);
    const { told } = await create(hosts, 'overlay0', { config: '/a/file' }, OWNER);
    install(version(2));
    await hosts.reload();
    expect(told.take()).toEqual(['up']);
    state.contents = 'second';
    install(version(3));
    await hosts.reload();
    expect(told.take()).toEqual(['up', 'outdated']);
    expect(state.reads).toEqual(new Array(3).fill('/a/file 1000'));
  });

  it('lets go of an instance that is closed meanwhile, in both hosts', async () => {
    const { plugin, make, clock, running } = rig();
    const { hosts, install, started } = make([plugin(1)]);
    const { instance, told } = await create(hosts);
    await create(hosts, 'overlay1');
    install(plugin(2, { start: (_, host, signal) => host.clock.sleep(50, signal) }));
    const reloading = hosts.reload();
    await settle();
    instance.close();
    await clock.advance(50);
    expect((await reloading).replaced).toEqual([PACKAGE]);
    await clock.advance(HOST_WARM_MS);
    expect([told.take(), running.map(({ stopped }) => stopped), started.map(({ gone }) => gone)]).toEqual([
      [],
      [true, true, true, false],
      [true, false],
    ]);
  });

  it('ends with stop(), with every host', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, install, started } = make([plugin(1)]);
    await create(hosts);
    install(plugin(2, { start: (_, host, signal) => host.clock.sleep(50_000, signal) }));
    const reloading = hosts.reload();
    await settle();
    const stopping = hosts.stop();
    await clock.advance(5000);
    await stopping;
    await reloading;
    await clock.advance(5000);
    expect([started.map(({ gone }) => gone), clock.timers]).toEqual([[true, true], 0]);
  });
});

/** Each of 70 instances takes 16 s, and 64 start at a time. */
const slowly = () => ({ start: (_: unknown, host: LookupHost): Promise<void> => host.clock.sleep(16_000) });
