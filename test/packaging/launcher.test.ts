// The launcher finds a Node.js that is new enough, from anywhere, or says in one line that there is none; and what it starts
// is the same from one file as from many.
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fakeDaemon } from '../cli/fake-daemon.ts';
import { type Result, run } from '../helpers/process.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** Runs with exactly this environment. */
const bare = (variables: Readonly<Record<string, string>>, ...command: readonly string[]): Promise<Result> =>
  run('env', ['-i', ...Object.entries(variables).map(([name, value]) => `${name}=${value}`), ...command]);

function script(path: string, text: string): string {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A program that says it is this version of Node.js, and when it is started for good says what it was started with. */
const fakeNode = (path: string, version: string): string => script(path, `[ "$1" = --version ] && echo ${version} || printf '%s|' ${version} "$@"`);

/** An installed copy, without the Node.js of a checkout: PREFIX/bin links to PREFIX/lib/.../bin. */
function prefix(): string {
  const base = join(temporaryFolder(), 'with space');
  const home = join(base, 'lib/node_modules/overlayadm/bin');
  mkdirSync(join(base, 'bin'), { recursive: true });
  cpSync(join(checkout, 'bin'), home, { recursive: true });
  for (const name of ['overlayadm', 'overlayd']) symlinkSync(`../lib/node_modules/overlayadm/bin/${name}`, join(base, 'bin', name));
  return base;
}

describe('the launcher', () => {
  it.each([
    { name: 'overlayadm', flags: '', file: 'overlayadm.cjs' },
    { name: 'overlayd', flags: '--disable-sigusr1|', file: 'overlayd.js' },
  ])('$name hands its own script and the arguments over, word by word', async ({ name, flags, file }) => {
    const base = prefix();
    const node = fakeNode(join(base, 'bin/node'), 'v22.18.0');
    const result = await bare({}, join(base, 'bin', name), 'a b', '', '-x', '*');
    expect(result.stdout).toBe(`v22.18.0|${flags}${join(realpathSync(base), 'lib/node_modules/overlayadm/bin', file)}|a b||-x|*|`);
    expect(node).toContain('with space');
  });

  it('takes the first that is new enough: beside itself, then PATH in its order', async () => {
    const base = prefix();
    const [first, second, third] = ['one', 'two', 'three'].map((name) => {
      mkdirSync(join(base, name));
      return join(base, name);
    }) as [string, string, string];
    fakeNode(join(base, 'bin/node'), 'v20.20.2');
    fakeNode(join(first, 'node'), 'v22.17.9');
    fakeNode(join(second, 'node'), 'v23.0.0');
    fakeNode(join(third, 'node'), 'v24.0.0');
    const result = await bare({ PATH: `${first}:relative::${second}:${third}:/usr/bin:/bin` }, join(base, 'bin/overlayadm'));
    expect(result.stdout.split('|')[0]).toBe('v23.0.0');
  });

  it('obeys OVERLAYADM_NODE, and does not go on when that is too old, broken or not there', async () => {
    const base = prefix();
    fakeNode(join(base, 'bin/node'), 'v24.0.0');
    const set = (path: string): Promise<Result> => bare({ OVERLAYADM_NODE: path }, join(base, 'bin/overlayadm'));
    expect((await set(fakeNode(join(base, 'new'), 'v26.1.0'))).stdout).toMatch(/^v26\.1\.0\|/);
    const old = await set(fakeNode(join(base, 'old'), 'v20.20.2'));
    expect(old).toMatchObject({ status: 1, stdout: '' });
    expect(old.stderr).toBe(`overlayadm: needs Node.js 22.18 or newer; OVERLAYADM_NODE names v20.20.2 at ${base}/old\n`);
    expect((await set(script(join(base, 'broken'), 'exit 3'))).stderr).toMatch(/names something else at .*broken\n$/);
    expect((await set(join(base, 'missing'))).stderr).toMatch(/missing, which is no program\n$/);
  });

  it('says in one line what it found when all are too old', async () => {
    const base = prefix();
    const old = fakeNode(join(base, 'bin/node'), 'v20.20.2');
    // A root of its own, so that the places of the machine (/usr/bin) are empty of any Node.js.
    const launcher = join(base, 'lib/node_modules/overlayadm/bin/launch.sh');
    const result = await run('sh', [
      '-c',
      `sed 's|/usr/local/bin /usr/bin /opt/node/bin|/nonexistent|' "$1" > "$1.new" && mv "$1.new" "$1"`,
      'sh',
      launcher,
    ]);
    expect(result.status).toBe(0);
    const refused = await bare({ PATH: '/nonexistent' }, '/bin/sh', join(base, 'bin/overlayadm'));
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toBe(`overlayadm: needs Node.js 22.18 or newer; found v20.20.2 at ${old}; set OVERLAYADM_NODE to one\n`);
  });

  it('becomes node: signals and the pid are those of the program', async () => {
    const base = prefix();
    script(join(base, 'bin/node'), '[ "$1" = --version ] && echo v24.0.0 || echo $$');
    const result = await run('sh', ['-c', 'echo $$; exec "$1"', 'sh', join(base, 'bin/overlayd')]);
    const [before, after] = result.stdout.trim().split('\n');
    expect(after).toBe(before);
  });

  it('works in the checkout from another folder, with an empty environment and through a link', async () => {
    const link = join(temporaryFolder(), 'a link');
    symlinkSync(join(checkout, 'bin/overlayadm'), link);
    const result = await run('env', ['-i', link, '--version'], { cwd: '/' });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toMatch(/^overlayadm\/\S+ linux-\S+ node-v2[2-9]\./);
  });
});

describe('without the launcher', () => {
  it.each(['overlayadm.cjs', 'overlayadm.js'])('an old Node.js is refused by %s itself', async (file) => {
    const preload = join(temporaryFolder(), 'old.cjs');
    writeFileSync(preload, `Object.defineProperty(process.versions, 'node', { value: '20.20.2' });`);
    const result = await run(process.execPath, ['--require', preload, join(checkout, 'bin', file), '--version']);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/^overlayadm: needs Node\.js 22\.18 or newer; this is \S+ at \S+\n$/);
  });
});

describe('one file instead of many', () => {
  /** Runs bin/FILE of a checkout, and tells which CommonJS modules were loaded, from its root. */
  async function loading(home: string, file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const folder = temporaryFolder();
    const preload = join(folder, 'list.cjs');
    const list = join(folder, 'list');
    writeFileSync(preload, `process.on('exit', () => require('fs').writeFileSync(${JSON.stringify(list)}, Object.keys(require.cache).join('\\n')));`);
    const result = await bare({ ...env, HOME: folder }, process.execPath, '--require', preload, join(home, 'bin', file), ...args);
    const loaded = readFileSync(list, 'utf8').split('\n');
    return { result, loaded: loaded.map((path) => path.replace(realpathSync(checkout), '').replace(realpathSync(home), '').replace(/^\//, '')) };
  }

  const create = ['create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', '7'];
  const isOclif = (path: string): boolean => path.startsWith('node_modules/@oclif/core/');

  const lines: readonly (readonly string[])[] = [
    [],
    ['--help'],
    ['--version'],
    ['--bogus'],
    ['create-overlay', '-?'],
    ['create-overlay', '--bogus', '--json'],
    ['create-overlay', '-v', 'x'],
    create,
    [...create, '--json'],
    ['show-overlay', '--bogus'],
  ];

  it.each(lines.map((args) => ({ args, line: ['overlayadm', ...args].join(' ') })))('$line: the same from both', async ({ args }) => {
    await using daemon = await fakeDaemon({ handlers: { 'overlay.create': async () => ({ name: 'overlay0', warnings: ['so it is'] }) } });
    const env = { OVERLAYADM_RUN_DIR: daemon.run };
    const [one, many] = await Promise.all(['overlayadm.cjs', 'overlayadm.js'].map((file) => loading(checkout, file, args, env)));
    expect(one?.result).toEqual(many?.result);
    expect(`${one?.result.stdout}${one?.result.stderr}`).not.toBe('');
    expect(one?.loaded).toContain('dist/cli.cjs');
    expect(one?.loaded.filter((path) => path.startsWith('node_modules/'))).toEqual([]);
    expect(many?.loaded.some(isOclif)).toBe(true);
    expect(many?.loaded).not.toContain('dist/cli.cjs');
  });

  it.each(['plugins', 'help', 'nonsense', '../commands/create-overlay'])('%s is left to the many', async (word) => {
    const { loaded } = await loading(checkout, 'overlayadm.cjs', [word], { OVERLAYADM_DATA_DIR: temporaryFolder() });
    expect(loaded).not.toContain('dist/cli.cjs');
    expect(loaded.some(isOclif)).toBe(true);
  });

  it('names what is in it, with the licences', () => {
    const text = readFileSync(join(checkout, 'dist/cli-licences.txt'), 'utf8');
    const there = [...readFileSync(join(checkout, 'dist/cli.cjs'), 'utf8').matchAll(/^\/\/ node_modules\/((?:@[^/]+\/)?[^/]+)/gm)];
    const names = [...new Set(there.map(([, name]) => name))];
    expect(names).toContain('@oclif/core');
    expect(names.filter((name) => !text.includes(`\n${name} `))).toEqual([]);
    // Slow to load, or of the build.
    expect(names.filter((name) => /^(chalk|cosmiconfig|npm|pino|valibot|typescript|@oclif\/plugin-.*)$/.test(name ?? ''))).toEqual([]);
  });

  it('works where neither file is', async () => {
    const home = temporaryFolder();
    for (const name of ['bin', 'dist', 'package.json', 'oclif.manifest.json'])
      cpSync(join(checkout, name), join(home, name), { recursive: true, filter: (path) => !/\/dist\/[^/]+\.cjs$/.test(path) });
    symlinkSync(join(checkout, 'node_modules'), join(home, 'node_modules'));
    expect(readdirSync(join(home, 'dist'))).not.toContain('cli.cjs');
    for (const args of [
      ['create-overlay', '--help'],
      ['show-overlay', '--bogus'],
    ]) {
      const { result, loaded } = await loading(home, 'overlayadm.cjs', args);
      expect(result).toEqual((await loading(checkout, 'overlayadm.cjs', args)).result);
      expect(loaded.some(isOclif)).toBe(true);
    }
  });
});
