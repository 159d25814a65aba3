// Installing other people's packages: from a tarball without a registry, nothing of them run here, overlayd told.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from '@oclif/core';
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import Plugins from '../../src/commands/plugins/index.ts';
import PluginsInspect from '../../src/commands/plugins/inspect.ts';
import PluginsInstall from '../../src/commands/plugins/install.ts';
import PluginsLink from '../../src/commands/plugins/link.ts';
import PluginsUninstall from '../../src/commands/plugins/uninstall.ts';
import PluginsUpdate from '../../src/commands/plugins/update.ts';
import type { PluginReload } from '../../src/core/rpc/protocol.ts';
import { schemaOf, violations } from '../helpers/json-schema.ts';
import { temporaryFolder } from '../helpers/temporary.ts';
import { fakeDaemon } from './fake-daemon.ts';
import { runHere } from './in-process.ts';
import { type Outcome, overlayadm } from './overlayadm.ts';

const base = temporaryFolder();
const data = join(base, 'data');
const npmCache = join(base, 'npm-cache');
/** What code of the package makes when it runs. */
const ran = join(base, 'ran');
const program = fileURLToPath(new URL('../../bin/overlayadm.js', import.meta.url));

const ENVIRONMENT = {
  HOME: base,
  OVERLAYADM_DATA_DIR: data,
  OVERLAYADM_RUN_DIR: join(base, 'run'),
  npm_config_cache: npmCache,
  // A registry that answers nobody, at once.
  npm_config_registry: 'http://127.0.0.1:9/',
  npm_config_fetch_retries: '0',
};

const plugins = (words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
  overlayadm(['plugins', ...words], { ...ENVIRONMENT, ...environment });

/** For what gets no further than reading, or is refused before: npm is not run. */
const here = (command: unknown, words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
  runHere(command as typeof Command, words, { ...ENVIRONMENT, ...environment });

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

const EVIL = `import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(ran)}, 'x'); process.exit(77);`;
const HOOKS = Object.fromEntries(
  ['init', 'prerun', 'postrun', 'finally', 'plugins:preinstall', 'plugins:postinstall'].map((name) => [name, './evil.js']),
);

/** A package that runs something at every occasion that npm and oclif give. */
function hostile(version: string): string {
  const folder = join(base, `hostile-${version}`);
  const script = `echo x >> ${ran}`;
  const manifest = {
    name: 'outside-plugin',
    version,
    type: 'module',
    main: './evil.js',
    // Programs that npm itself calls.
    bin: { git: './evil.js', node: './evil.js' },
    oclif: { commands: './commands', hooks: HOOKS },
    overlayadm: { api: 1, providers: [{ kind: 'lookup', name: 'ring', module: './evil.js' }] },
    scripts: { preinstall: script, install: script, postinstall: script, prepare: '', preuninstall: script },
  };
  write(folder, { 'package.json': JSON.stringify(manifest), 'evil.js': EVIL, 'commands/show-overlay.js': EVIL, 'commands/ring/loop.js': EVIL });
  return folder;
}

/** The path of what `npm pack` made of a folder. */
function pack(folder: string): string {
  const environment = { PATH: process.env.PATH, ...ENVIRONMENT };
  const [made] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', base, folder], {
      env: environment,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  ) as { filename: string }[];
  return join(base, made?.filename ?? 'nothing was packed');
}

const NOTHING: PluginReload = { replaced: [], kept: [], problems: [] };
const listed = async (): Promise<unknown> => JSON.parse((await here(Plugins, ['--json'])).stdout);

// The tests of this block follow each other: what one installs the next removes.
describe('a hostile package', () => {
  const first = pack(hostile('1.0.0'));

  it('is installed from a path for everybody, while none of its code runs, and overlayd looks for plugins', async () => {
    const ring = { kind: 'lookup', name: 'ring', version: '1.0.0', api: 1, properties: null, uid: 998, pid: null, problem: 'it hangs' } as const;
    // Of other packages nothing is said.
    const list = async () => ({ plugins: ['outside-plugin', 'other'].map((name) => ({ ...ring, package: name })), problems: [] });
    const reload = async () => ({ ...NOTHING, problems: ['other: left out'] });
    await using daemon = await fakeDaemon({ handlers: { 'plugin.reload': reload, 'plugin.list': list } });
    const outcome = await plugins(['install', first], { OVERLAYADM_RUN_DIR: daemon.run });
    const stdout = 'outside-plugin 1.0.0: brings ring (lookup)\n';
    const stderr = 'overlayadm: warning: other: left out\noverlayadm: warning: lookup plugin ring: it hangs\n';
    expect(outcome).toEqual({ status: 0, stdout, stderr });
    expect(daemon.asked.map(({ method }) => method)).toEqual(['plugin.reload', 'plugin.list']);
    expect([existsSync(ran), existsSync(join(data, 'node_modules/.bin'))]).toEqual([false, false]);
    const modeOf = (path: string): number => statSync(join(data, path)).mode & 0o777;
    const folder = 'node_modules/outside-plugin';
    expect(['.', 'node_modules', folder, `${folder}/package.json`].map(modeOf)).toEqual([0o755, 0o755, 0o755, 0o644]);
  });

  it('is listed and inspected', async () => {
    const folder = join(data, 'node_modules/outside-plugin');
    const row = { name: 'outside-plugin', version: '1.0.0', kind: 'installed', folder, source: `file:${first}`, providers: ['ring (lookup)'] };
    expect(await listed()).toEqual([row]);
    expect(violations(await listed(), schemaOf('plugins'))).toEqual([]);
    const { stdout } = await here(PluginsInspect, ['outside-plugin', '--json']);
    expect(JSON.parse(stdout)).toEqual({ ...row, api: 1, description: null, license: null, homepage: null, dependencies: [] });
    expect(violations(JSON.parse(stdout), schemaOf('plugins-inspect'))).toEqual([]);
    const table = await here(Plugins, []);
    expect(table.stdout.split('\n').map((line) => line.split(/ +/).slice(0, 3))).toEqual([
      ['PACKAGE', 'VERSION', 'KIND'],
      ['outside-plugin', '1.0.0', 'installed'],
      [''],
    ]);
  });

  it('is upgraded, and a new version that does not come up is an error', async () => {
    const kept = [{ package: 'outside-plugin', reason: 'it ended with status 77' }];
    const nothingWrong = async () => ({ plugins: [], problems: [] });
    const answers: PluginReload[] = [
      { ...NOTHING, replaced: ['outside-plugin'] },
      { ...NOTHING, kept },
    ];
    await using daemon = await fakeDaemon({ handlers: { 'plugin.reload': async () => answers.shift() ?? NOTHING, 'plugin.list': nothingWrong } });
    // The file is another one under the same name.
    copyFileSync(pack(hostile('1.0.1')), first);
    expect(await plugins(['install', `file:${first}`], { OVERLAYADM_RUN_DIR: daemon.run })).toEqual({
      status: 0,
      stdout: 'outside-plugin 1.0.1: brings ring (lookup)\noutside-plugin: overlayd uses the new code\n',
      stderr: '',
    });
    const second = await plugins(['install', pack(hostile('1.0.2')), '--json'], { OVERLAYADM_RUN_DIR: daemon.run });
    expect({ ...second, stdout: JSON.parse(second.stdout) }).toEqual({
      status: 1,
      stdout: { packages: [{ name: 'outside-plugin', version: '1.0.2' }], reload: { ...NOTHING, kept } },
      stderr:
        'overlayadm: outside-plugin: the new code did not come up, the old one goes on (it ended with status 77)\n  Install a version that works, or uninstall it.\n',
    });
    expect(violations(JSON.parse(second.stdout), schemaOf('plugins-change'))).toEqual([]);
    expect(existsSync(ran)).toBe(false);
  });

  it('is installed also when overlayd looks for plugins and then does not say how they are', async () => {
    const silent = () => Promise.reject(new OverlayError('INTERNAL', 'no idea'));
    await using daemon = await fakeDaemon({ handlers: { 'plugin.reload': async () => NOTHING, 'plugin.list': silent } });
    expect(await plugins(['install', pack(hostile('1.0.3'))], { OVERLAYADM_RUN_DIR: daemon.run })).toEqual({
      status: 0,
      stdout: 'outside-plugin 1.0.3: brings ring (lookup)\n',
      stderr: 'overlayadm: warning: overlayd was told, but whether the plugins can be used is not known: no idea\n',
    });
  });

  it('runs nothing on help and on words that are no commands', () => {
    const run = (...words: string[]) => {
      const env = { PATH: process.env.PATH, NODE_ENV: 'production', ...ENVIRONMENT };
      return execFileSync(process.execPath, [program, ...words], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    };
    expect(run('help')).toContain('show-overlay');
    expect(() => run('ring')).toThrow(expect.objectContaining({ status: 2, stderr: expect.stringContaining("unknown subcommand 'ring'") }));
    expect(existsSync(ran)).toBe(false);
  });

  it('is uninstalled', async () => {
    const removed = await plugins(['uninstall', 'outside-plugin', '--json']);
    expect(removed).toMatchObject({ status: 0, stderr: '' });
    expect(violations(JSON.parse(removed.stdout), schemaOf('plugins-change'))).toEqual([]);
    expect(await listed()).toEqual([]);
    expect([existsSync(join(data, 'node_modules/outside-plugin')), existsSync(ran)]).toEqual([false, false]);
    const again = await here(PluginsUninstall, ['outside-plugin']);
    expect(again).toEqual({ status: 1, stdout: '', stderr: 'overlayadm: outside-plugin: not installed\n  overlayadm plugins lists them.\n' });
  });

  it('is linked, and nothing is done in its folder', async () => {
    const folder = hostile('2.0.0');
    write(folder, { 'package-lock.json': '{}', 'yarn.lock': '' });
    const before = readdirSync(folder);
    const { status, stdout, stderr } = await plugins(['link', folder]);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'outside-plugin 2.0.0: brings ring (lookup)\n', stderr: '' });
    expect(await listed()).toMatchObject([{ name: 'outside-plugin', kind: 'linked', folder }]);
    expect([readdirSync(folder), existsSync(ran)]).toEqual([before, false]);
    expect((await plugins(['unlink', 'outside-plugin'])).status).toBe(0);
    expect(await listed()).toEqual([]);
  });
});

describe('commands of an outside package', () => {
  it('are there by its manifest, and are the only code of it that runs', async () => {
    const folder = join(base, 'friendly');
    const command = {
      id: 'ring:show',
      aliases: [],
      hiddenAliases: [],
      args: {},
      flags: {},
      isESM: true,
      relativePath: ['commands', 'ring', 'show.js'],
      pluginName: 'friendly',
      // oclif would run this.
      summary: `Show the ring.<% process.getBuiltinModule('fs').writeFileSync('${ran}', 'x') %>`,
    };
    write(folder, {
      'package.json': JSON.stringify({ name: 'friendly', version: '1.0.0', type: 'module', oclif: { commands: './commands', hooks: HOOKS } }),
      'evil.js': EVIL,
      'oclif.manifest.json': JSON.stringify({ version: '1.0.0', commands: { 'ring:show': command, help: { ...command, id: 'help' } } }),
      'commands/ring/show.js': "export default class { static run() { console.log('ring'); } }",
    });
    const linked = await plugins(['link', folder]);
    const warning = 'friendly: brings no encapsulation or lookup (its package.json has no providers under the key "overlayadm")';
    expect(linked).toEqual({ status: 0, stdout: '', stderr: `overlayadm: warning: ${warning}\n` });
    const env = { PATH: process.env.PATH, NODE_ENV: 'production', ...ENVIRONMENT };
    const run = (...words: string[]) => execFileSync(process.execPath, [program, ...words], { env, encoding: 'utf8' });
    expect(run('ring', 'show')).toBe('ring\n');
    expect(run('help')).toContain('Show the ring.');
    const rubbish = { rubbish: { id: 'rubbish', aliases: 7, summary: {}, flags: null, args: 3 }, 'show-overlay:x': command };
    write(folder, { 'oclif.manifest.json': JSON.stringify({ version: '1.0.0', commands: rubbish }) });
    expect(run('help')).toContain('rubbish');
    expect(existsSync(ran)).toBe(false);
  });
});

describe('is refused', () => {
  it('for who may not write the plugin directory, before anything is done', async () => {
    const commands: readonly (readonly [unknown, string, readonly string[]])[] = [
      [PluginsInstall, 'install', ['x']],
      [PluginsLink, 'link', ['/x']],
      [PluginsUninstall, 'uninstall', ['x']],
      [PluginsUpdate, 'update', []],
    ];
    for (const [command, word, operands] of commands) {
      expect(await here(command, operands, { OVERLAYADM_DATA_DIR: '/dev/null/plugins' })).toEqual({
        status: 1,
        stdout: '',
        stderr: `overlayadm: /dev/null/plugins: permission denied\n  Plugins are installed for the whole host, by root: sudo overlayadm plugins ${[word, ...operands].join(' ')}\n`,
      });
    }
  });

  it('a file that is not there, a folder without a package, and a package that is none', async () => {
    const absent = await here(PluginsInstall, [join(base, 'absent.tgz')]);
    expect(absent).toEqual({ status: 1, stdout: '', stderr: `overlayadm: ${base}/absent.tgz: no such file\n` });
    expect((await here(PluginsLink, [base])).stderr).toBe(`overlayadm: ${base}: no package there (no package.json)\n`);
    write(join(base, 'plain'), { 'package.json': '{"name": "plain", "version": "1.0.0"}' });
    const file = pack(join(base, 'plain'));
    expect(await plugins(['install', file])).toEqual({
      status: 1,
      stdout: '',
      stderr: `overlayadm: file:${file}: not a plugin (its package.json has no key "oclif")\n  The package.json of a plugin has "oclif": {} and the key "overlayadm"; see overlay_plugin(7).\n`,
    });
    expect(existsSync(join(data, 'node_modules/plain'))).toBe(false);
  });

  it('a package of a registry that cannot be asked, with the reason', async () => {
    const { status, stdout } = await plugins(['install', 'some-plugin', '--json']);
    const { error } = JSON.parse(stdout);
    expect({ status, ...error }).toMatchObject({ status: 1, code: 'PLUGIN_FAILED', message: 'some-plugin: the registry cannot be asked' });
    expect(error.advice).toContain('ECONNREFUSED');
  });

  it('a list that cannot be read is told, and kept', async () => {
    const directory = join(base, 'broken');
    write(directory, { 'package.json': '{' });
    const { status, stderr } = await here(Plugins, [], { OVERLAYADM_DATA_DIR: directory });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining(`${directory}/package.json: the list of installed plugins cannot be read`),
    });
    expect(readFileSync(join(directory, 'package.json'), 'utf8')).toBe('{');
  });
});
