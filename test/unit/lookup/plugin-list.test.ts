// show-plugins: every provider has a row, and none of them keeps the others waiting.
import { describe, expect, it } from 'vitest';
import { HOST_WARM_MS, MAX_STARTING_HOSTS, PLUGIN_LIST_MS } from '../../../src/core/util/limits.ts';
import { rig, specOf, Told } from './rig.ts';

describe('list', () => {
  it('has properties, user and process of every provider, and starts no host twice', async () => {
    const { plugin, make, clock } = rig();
    const { hosts, started } = make([plugin(1), plugin(1, {}, 'other')]);
    await hosts.createInstance(specOf('overlay0'), new Told().events);
    const { plugins, problems } = await hosts.list();
    expect(plugins.map(({ provider, properties, problem, uid }) => [provider.name, properties, problem, uid])).toEqual([
      ['test', ['config', 'text'], undefined, 65_534],
      ['other', ['config', 'text'], undefined, 65_534],
    ]);
    expect([problems, started.length]).toEqual([[], 2]);
    await clock.advance(HOST_WARM_MS);
    expect(started.map(({ gone }) => gone)).toEqual([false, true]);
    await hosts.list();
    expect(started.length).toBe(2);
  });

  it('says what is wrong with a plugin that cannot be loaded, and of one that was left out', async () => {
    const { plugin, make } = rig();
    const { hosts, install } = make([plugin(1)]);
    install(plugin(1, {}, 'broken'), { broken: 'Unexpected token' });
    install(plugin(1, {}, 'newer'), { api: 7 });
    const { plugins, problems } = await hosts.list();
    expect(plugins.map(({ provider, properties, problem }) => [provider.name, properties?.length, problem])).toEqual([
      ['test', 2, undefined],
      ['broken', undefined, 'lookup broken: the plugin cannot be used (./index.js: Unexpected token)'],
    ]);
    expect(problems).toEqual(['plugin test-plugin-newer (/test/lookup-newer): left out, it is written for plugin api 7']);
  });

  it('waits a few seconds at most, and starts only some hosts at a time', async () => {
    const { plugin, make, clock } = rig();
    const names = Array.from({ length: 6 }, (_, number) => `test${number}`);
    const process = make(names.map((name) => plugin(1, {}, name)));
    const { runtime, hosts, started } = process;
    const { spawn } = runtime;
    const hung = new Set(['/test/lookup-test1', '/test/lookup-test2']);
    Object.assign(runtime, {
      spawn: (...args: Parameters<typeof spawn>) => {
        const host = spawn(...args);
        if (hung.has(args[0].root)) host.stream.pause();
        return host;
      },
    });
    let rows: Awaited<ReturnType<typeof hosts.list>> | undefined;
    void hosts.list().then((list) => {
      rows = list;
    });
    await clock.advance(PLUGIN_LIST_MS - 1);
    expect([rows, started.length]).toEqual([undefined, 6]);
    await clock.advance(1);
    const late = `it did not say what properties it has within ${PLUGIN_LIST_MS} ms`;
    expect(rows?.plugins.map(({ problem }) => problem)).toEqual([undefined, late, late, undefined, undefined, undefined]);
    for (const name of names) hung.add(`/test/lookup-${name}`);
    const again = process.renew();
    const before = started.length;
    void again.list();
    await clock.advance(PLUGIN_LIST_MS);
    expect(started.length - before).toBe(MAX_STARTING_HOSTS);
  });
});
