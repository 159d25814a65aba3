// What is published: one file that installs into an empty folder without a compiler, and makes an overlay.
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { daemonsOf, isKeeper } from '../../tools/sweep.mjs';
import { type Namespace, namespace, waitFor } from '../helpers/netns.ts';
import { PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { must, type Result, run } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const base = temporaryFolder();
const prefix = join(base, 'prefix');
const home = join(prefix, 'lib/node_modules/overlayadm');

/** npm, as a person would call it; `npm test` and nested scripts must not steer it. */
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))) as Record<string, string>;

/** A PATH with node, npm and a shell, and without a compiler. */
function pathWithoutCompiler(): string {
  const folder = join(base, 'path');
  mkdirSync(folder);
  for (const name of ['sh', 'env', 'uname', 'readlink', 'sed', 'dirname', 'basename']) {
    const found = ['/usr/bin', '/bin'].map((at) => join(at, name)).find(existsSync);
    if (found !== undefined) symlinkSync(found, join(folder, name));
  }
  symlinkSync(process.execPath, join(folder, 'node'));
  return folder;
}

/** The npm program in PATH, as a script for node. */
async function npmScript(): Promise<string> {
  return (await must('sh', ['-c', 'readlink -f "$(command -v npm)"'], { env: clean })).stdout.trim();
}

const list = async (file: string): Promise<string[]> => (await must('tar', ['tzf', file])).stdout.trim().split('\n');

/** Packs a package of the checkout without building again, and gives the file's path. */
async function pack(npm: string, folder: string): Promise<string> {
  const target = join(base, `pack-${folder.replaceAll('/', '-')}`);
  mkdirSync(target);
  await must(process.execPath, [npm, 'pack', '--ignore-scripts', '--pack-destination', target], { cwd: join(checkout, folder), env: clean });
  const [file] = readdirSync(target);
  return join(target, file ?? 'nothing was packed');
}

const NPM_MS = 240_000;

describe('npm pack and npm install -g', () => {
  let npm = '';
  let file = '';
  let installed: Result;

  beforeAll(async () => {
    npm = await npmScript();
    file = await pack(npm, '.');
    const env = {
      PATH: pathWithoutCompiler(),
      HOME: base,
      npm_config_cache: (await must('npm', ['config', 'get', 'cache'], { env: clean })).stdout.trim(),
    };
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const registry = (await must('npm', ['config', 'get', 'registry'], { env: clean })).stdout.trim();
    const passed = ['NODE_EXTRA_CA_CERTS', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy']
      .filter((name) => clean[name])
      .map((name) => `${name}=${clean[name]}`);
    const args = [npm, 'install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund', '--registry', registry, file];
    installed = await run('env', ['-i', ...variables, ...passed, process.execPath, ...args], { cwd: base, timeoutMs: NPM_MS });
  });

  it('is one file with everything in it, and nothing of the build', async () => {
    const names = await list(file);
    const manifest = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { man: string[]; bundleDependencies: string[] };
    const wanted = [
      ...['bin/overlayadm', 'bin/overlayd', 'bin/launch.sh', 'oclif.manifest.json', 'LICENSE', ...manifest.man.map((page) => page.replace('./', ''))],
      ...['dist/thin.cjs', 'dist/cli.cjs', 'dist/cli-licences.txt'],
      ...manifest.bundleDependencies.map((name) => `node_modules/${name}/dist/index.js`),
      ...['packetio.node', 'overlayd-keeper'].map((name) => `node_modules/@overlayadm/packetio/prebuilds/linux-${process.arch}/${name}`),
    ];
    expect(wanted.filter((name) => !names.includes(`package/${name}`))).toEqual([]);
    expect(
      names.filter((name) => /^package\/(src|test|tools|\.ci|node_modules\/(?!@overlayadm\/))|^package\/dist\/.*\.(map|tsbuildinfo)$/.test(name)),
    ).toEqual([]);
  });

  it('installs without a compiler', () => {
    expect(installed, installed.stderr).toMatchObject({ status: 0 });
    expect(existsSync(join(home, 'node_modules/@overlayadm/packetio/prebuilds'))).toBe(true);
  });

  it('runs with an empty environment', async () => {
    const result = await run('env', ['-i', `OVERLAYADM_NODE=${process.execPath}`, join(prefix, 'bin/overlayadm'), '--version'], { cwd: '/' });
    expect(result, result.stderr).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain(`overlayadm/`);
  });

  it('loads its addon', async () => {
    const text = `import('@overlayadm/packetio').then((m) => console.log(typeof m.loadPacketIo().openTap))`;
    const result = await run(process.execPath, ['--input-type=module', '-e', text], { cwd: home });
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: 'function\n' });
  });

  it.each(['native', 'plugins/api', 'plugins/compliance', 'plugins/vxlan', 'plugins/direct', 'plugins/files'])(
    '%s is a package of its own',
    async (folder) => {
      const names = await list(await pack(npm, folder));
      expect(names).toContain('package/dist/index.js');
      expect(names).toContain('package/package.json');
      expect(names.filter((name) => name.startsWith('package/test'))).toEqual([]);
      if (folder !== 'native') return;
      for (const name of ['packetio.node', 'overlayd-keeper']) expect(names).toContain(`package/prebuilds/linux-${process.arch}/${name}`);
    },
  );

  skipUnless({ root: true, tun: true })('what was installed', () => {
    const dirs = Object.fromEntries(['RUN', 'STATE', 'DATA', 'CONFIG'].map((name) => [`OVERLAYADM_${name}_DIR`, join(base, name.toLowerCase())]));
    // The installed program has to find its own folder from a bare environment, as under sudo.
    const variables = Object.entries({ ...dirs, OVERLAYADM_NODE: process.execPath, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
    const overlayadm = (host: Namespace, ...args: string[]): Promise<Result> =>
      host.run('env', ['-i', ...variables.map(([name, value]) => `${name}=${value}`), join(prefix, 'bin/overlayadm'), ...args]);

    it('makes an overlay, shows it, has it again when overlayd was killed, and takes it away', async () => {
      for (const folder of Object.values(dirs)) mkdirSync(folder, { recursive: true });
      expect(dirname(Object.values(dirs)[0] ?? '')).toBe(base);
      const host = await namespace('p');
      const properties = 'vxlan/listen_ip=127.0.0.1,direct/dest_ip=192.0.2.9,direct/dest_port=4789';
      const created = await overlayadm(host, 'create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', '7', '-p', properties);
      expect(created, created.stderr).toMatchObject({ status: 0 });
      expect(created.stdout).toContain('overlay0');
      const shown = await overlayadm(host, 'show-overlay', 'overlay0');
      expect(shown, shown.stderr).toMatchObject({ status: 0 });
      expect(shown.stdout).toMatch(/direct\/dest_ip.*192\.0\.2\.9/);
      const run = join(base, 'run');
      const pid = (): number => Number(readFileSync(join(run, 'overlayd.pid'), 'utf8'));
      const [keeper, killed] = daemonsOf(run);
      expect([isKeeper(keeper), killed]).toEqual([true, pid()]);
      process.kill(pid(), 'SIGKILL');
      await waitFor(() => pid() !== killed, PATIENCE_MS, 'the next overlayd');
      const again = await overlayadm(host, 'show-overlay', 'overlay0');
      expect(again).toMatchObject({ status: 0, stdout: shown.stdout });
      expect(daemonsOf(run)).toEqual([keeper, pid()]);
      const deleted = await overlayadm(host, 'delete-overlay', 'overlay0');
      expect(deleted, deleted.stderr).toMatchObject({ status: 0 });
      expect((await host.must('ip', ['-o', 'link'])).stdout).not.toContain('overlay0');
    });
  });
});
