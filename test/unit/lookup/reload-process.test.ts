// A real package in a folder that is being worked on: what was written is what runs after reload(), or the old code goes on.
import { chmodSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { systemFiles } from '../../../src/core/lookup/files.ts';
import { systemRights, systemSpawn, uidOf } from '../../../src/core/lookup/host-process.ts';
import { createPluginHosts } from '../../../src/core/lookup/hosts.ts';
import { stampOf } from '../../../src/core/lookup/stamp.ts';
import type { PluginHosts } from '../../../src/core/lookup/types.ts';
import { systemClock } from '../../../src/core/util/clock.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { collectProviders } from '../../../src/core/varpd/protocol.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';
import { waitFor } from '../../helpers/wait.ts';
import { lookup, specOf, Told } from './rig.ts';

const PATIENCE_MS = 30_000;
const NAME = 'overlayadm-test-slow-lookup';

const open: PluginHosts[] = [];
afterEach(() => Promise.all(open.splice(0).map((hosts) => hosts.stop())));

function rig() {
  const folder = temporaryFolder();
  const root = join(folder, 'slow');
  chmodSync(folder, 0o755);
  cpSync(resolve('test/fixtures/plugins/slow-lookup'), root, { recursive: true });
  const manifest = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const hosts = createPluginHosts({
    runtime: {
      discover: async () => collectProviders([{ root, manifest: manifest() }]),
      spawn: systemSpawn(),
      stamp: stampOf,
      describeRights: () => undefined,
      uidOf: (launch) => uidOf(systemRights(), launch),
      files: systemFiles,
    },
    clock: systemClock,
    log: silentLog,
  });
  open.push(hosts);
  const change = (file: string, from: string, to: string): void => {
    const text = readFileSync(join(root, file), 'utf8');
    expect(text).toContain(from);
    writeFileSync(join(root, file), text.replace(from, to));
  };
  return { hosts, change };
}

skipUnless({ commands: ['setpriv'] })('a package', () => {
  it('that is edited in place runs its new code with reload(), and its old code while the new one is broken', { timeout: PATIENCE_MS }, async () => {
    const { hosts, change } = rig();
    const told = new Told();
    const instance = await hosts.createInstance(specOf('overlay0', { dest_ip: '192.0.2.1', delay_ms: 0, unknown_ms: 0 }, {}, 'slow'), told.events);
    let id = 0;
    const answer = async (): Promise<unknown> => {
      instance.ask([lookup(++id)]);
      return waitFor(() => told.all.splice(0).find((event) => typeof event === 'object'), PATIENCE_MS, 'an answer');
    };
    const pid = async (): Promise<number | undefined> => (await hosts.list()).plugins[0]?.pid;
    const before = await pid();
    expect(await answer()).toMatchObject({ kind: 'found', destination: { ip: '192.0.2.1' } });
    expect(await hosts.reload()).toEqual({ replaced: [], kept: [], problems: [] });
    expect(await pid()).toBe(before);

    change('index.js', "{ kind: 'found', destination: this.#destination }", "{ kind: 'drop', reason: 'is new' }");
    expect(await hosts.reload()).toEqual({ replaced: [NAME], kept: [], problems: [] });
    expect(await answer()).toMatchObject({ kind: 'drop', reason: 'is new' });
    expect(await pid()).not.toBe(before);

    change('index.js', 'export default {', "throw new Error('half written');\nexport default {");
    const { replaced, kept } = await hosts.reload();
    const reason = expect.stringMatching(/^version 1\.0\.0 goes on, 1\.0\.0 did not come up: .*half written/);
    expect([replaced, kept]).toEqual([[], [{ package: NAME, reason }]]);
    expect(await answer()).toMatchObject({ kind: 'drop', reason: 'is new' });

    change('package.json', '"api": 1', '"api": 2');
    expect((await hosts.reload()).kept).toEqual([
      { package: NAME, reason: expect.stringContaining('written for plugin api 2, this overlayadm has 1') },
    ]);
    expect(await answer()).toMatchObject({ kind: 'drop', reason: 'is new' });
    const { plugins } = await hosts.list();
    expect(plugins.map(({ provider, problem, uid }) => [provider.name, typeof problem, uid])).toEqual([
      ['slow', 'string', process.getuid?.() === 0 ? systemRights().user.uid : process.getuid?.()],
    ]);

    change('package.json', '"api": 2', '"api": 1');
    change('index.js', "throw new Error('half written');\n", '');
    expect(await hosts.reload()).toMatchObject({ replaced: [NAME], kept: [] });
    expect(await answer()).toMatchObject({ kind: 'drop', reason: 'is new' });
    expect((await hosts.list()).problems).toEqual([]);
  });
});
