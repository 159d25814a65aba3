// Which plugins there are: bundled, linked, broken; and what is left when nobody can be asked.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundledProviders, discoverProviders, systemDiscovery } from '../../../src/core/lookup/discovery.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const SLOW = resolve('test/fixtures/plugins/slow-lookup');
const BUNDLED = ['encap vxlan', 'lookup direct', 'lookup files'];

/** A plugin directory as `overlayadm plugins link` leaves it. */
function dataDir(...plugins: readonly object[]): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, oclif: { schema: 1, plugins }, dependencies: {} }));
  return folder;
}
const link = (root: string, name = 'overlayadm-test-slow-lookup') => ({ type: 'link', name, root });

async function namesOf(folder: string) {
  const { providers, problems } = await discoverProviders(systemDiscovery(folder));
  return { names: providers.map(({ kind, name }) => `${kind} ${name}`), providers, problems };
}

describe('bundledProviders', () => {
  it('are found without oclif', () => {
    const { providers, problems } = bundledProviders(resolve('.'));
    expect([providers.map(({ kind, name }) => `${kind} ${name}`), problems]).toEqual([BUNDLED, []]);
  });

  it('that are not installed are named', () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'package.json'), JSON.stringify({ dependencies: { '@overlayadm/plugin-vxlan': '*', other: '*' } }));
    expect(bundledProviders(root)).toEqual({ providers: [], problems: ['plugin @overlayadm/plugin-vxlan: left out, it is not installed'] });
  });
});

skipUnless({ commands: ['setpriv'] })('discoverProviders', () => {
  it('finds bundled and linked plugins', async () => {
    const { names, providers, problems } = await namesOf(dataDir(link(SLOW)));
    expect([names, problems]).toEqual([[...BUNDLED, 'lookup slow'], []]);
    expect(providers.at(-1)).toMatchObject({ package: 'overlayadm-test-slow-lookup', version: '1.0.0', root: SLOW, module: './index.js' });
  });

  it('needs no plugin directory', async () => {
    const { names, problems } = await namesOf(join(temporaryFolder(), 'absent'));
    expect([names, problems]).toEqual([BUNDLED, []]);
  });

  it('names what is broken, and offers the rest', async () => {
    const copy = join(temporaryFolder(), 'overlayadm-test-copy');
    cpSync(SLOW, copy, { recursive: true });
    writeFileSync(
      join(copy, 'package.json'),
      JSON.stringify({ name: 'overlayadm-test-copy', version: '1.0.0', oclif: {}, overlayadm: { api: 99, providers: [] } }),
    );
    const folder = dataDir(link(SLOW), link(copy, 'overlayadm-test-copy'), link('/nowhere/at/all', 'moved'), {
      type: 'user',
      name: 'absent',
      tag: 'latest',
    });
    const { names, problems } = await namesOf(folder);
    expect(names).toEqual([...BUNDLED, 'lookup slow']);
    expect(problems.join('\n')).toMatch(/overlayadm-test-copy .*plugin api 99/);
    expect(problems.join('\n')).toMatch(/\/nowhere\/at\/all/);
    expect(problems.join('\n')).toMatch(/plugin absent: left out, it is not installed/);
  });

  it('says that the plugin directory cannot be read', async () => {
    const folder = dataDir(link(SLOW));
    writeFileSync(join(folder, 'package.json'), '{ this is no JSON');
    const { names, problems } = await namesOf(folder);
    expect(names).toEqual(BUNDLED);
    expect(problems).toEqual([expect.stringMatching(/JSON/)]);
  });

  it('reads what is installed and linked when the list takes too long, and says what is wrong', async () => {
    const folder = dataDir(
      link(SLOW),
      { type: 'user', name: 'overlayadm-test-evil', tag: 'latest' },
      { type: 'user', name: 'absent', tag: 'latest' },
    );
    cpSync(resolve('test/fixtures/plugins/evil'), join(folder, 'node_modules', 'overlayadm-test-evil'), { recursive: true });
    const { providers, problems } = await discoverProviders({ ...systemDiscovery(folder), timeout: 1 });
    expect(providers.map(({ kind, name }) => `${kind} ${name}`).sort()).toEqual([...BUNDLED, 'lookup evil', 'lookup slow'].sort());
    expect(problems).toEqual([
      expect.stringContaining(`plugins in ${folder}: listing them failed: ended by SIGKILL`),
      'plugin absent: left out, it is not installed',
    ]);
  });

  it('offers the bundled plugins when nothing can be read, and says what was left out', async () => {
    const folder = dataDir(link(SLOW));
    writeFileSync(join(folder, 'package.json'), '{ this is no JSON');
    const { providers, problems } = await discoverProviders({ ...systemDiscovery(folder), timeout: 1 });
    expect(providers.map(({ kind, name }) => `${kind} ${name}`)).toEqual(BUNDLED);
    expect(problems).toEqual([
      expect.stringContaining('listing them failed: ended by SIGKILL'),
      expect.stringContaining(`plugins in ${folder}: all left out`),
    ]);
  });

  it('loads nothing of a package: neither commands without a manifest nor hooks', async () => {
    const root = join(temporaryFolder(), 'overlayadm-test-loop');
    mkdirSync(join(root, 'commands'), { recursive: true });
    const hooks = { init: './commands/x.js', prerun: './commands/x.js' };
    const manifest = { name: 'overlayadm-test-loop', version: '1.0.0', type: 'module', oclif: { commands: './commands', hooks } };
    writeFileSync(join(root, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(root, 'commands', 'x.js'), 'for (;;);');
    const { names, problems } = await namesOf(dataDir(link(root, 'overlayadm-test-loop'), link(SLOW)));
    expect([names, problems]).toEqual([[...BUNDLED, 'lookup slow'], []]);
  });

  it('waits for nothing that lies in the place of a package.json', async () => {
    const root = temporaryFolder();
    execFileSync('mkfifo', [join(root, 'package.json')]);
    const { names, problems } = await namesOf(dataDir(link(root, 'overlayadm-test-fifo'), link('/dev', 'dev'), link(SLOW)));
    expect(names).toEqual([...BUNDLED, 'lookup slow']);
    expect(problems).toEqual([
      `plugin overlayadm-test-fifo (${root}): left out, ${root}/package.json: not a regular file`,
      'plugin dev: left out, it is not installed (no package.json in /dev); remove it or install it again',
    ]);
  });

  it('keeps bundled packages and their providers in their places', async () => {
    const impostor = join(temporaryFolder(), 'impostor');
    cpSync(SLOW, impostor, { recursive: true });
    const brings = (name: string, provider: string): string =>
      JSON.stringify({
        name,
        version: '9.0.0',
        oclif: {},
        overlayadm: { api: 1, providers: [{ kind: 'lookup', name: provider, module: './index.js' }] },
      });
    writeFileSync(join(impostor, 'package.json'), brings('@overlayadm/plugin-files', 'other'));
    const rival = join(temporaryFolder(), 'rival');
    cpSync(SLOW, rival, { recursive: true });
    writeFileSync(join(rival, 'package.json'), brings('rival', 'direct'));
    for (const timeout of [undefined, 1]) {
      const found = await discoverProviders({
        ...systemDiscovery(dataDir(link(impostor, '@overlayadm/plugin-files'), link(rival, 'rival'), link(SLOW))),
        ...(timeout === undefined ? {} : { timeout }),
      });
      expect(found.providers.map(({ kind, name, root }) => [`${kind} ${name}`, root])).toEqual([
        ...['vxlan', 'direct', 'files'].map((name, at) => [BUNDLED[at], resolve('plugins', name)]),
        ['lookup slow', SLOW],
      ]);
      expect(found.problems.slice(-2)).toEqual([
        `plugin @overlayadm/plugin-files (${impostor}): left out, the package of that name that comes with overlayadm is used; uninstall it`,
        `lookup direct of rival (${rival}): left out, that of @overlayadm/plugin-direct, which comes with overlayadm, is used`,
      ]);
    }
  });
});
