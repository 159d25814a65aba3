// install.mjs in copies of the package: what it does without compiler, headers, sources or a prebuilt file that fits.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addonPath } from '../src/index.ts';

const packageDir = fileURLToPath(new URL('..', import.meta.url));
const FITS = 'packetio: fitting prebuild\n';
let folder = '';
let prebuild = '';
let keeper = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'packetio-install-'));
  prebuild = join(folder, 'prebuilds', `linux-${process.arch}`, 'packetio.node');
  keeper = join(dirname(prebuild), 'overlayd-keeper');
  copyFileSync(join(packageDir, 'install.mjs'), join(folder, 'install.mjs'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function givePrebuild(): void {
  mkdirSync(dirname(prebuild), { recursive: true });
  for (const name of ['packetio.node', 'packetio.node.sha256', 'overlayd-keeper', 'overlayd-keeper.sha256'])
    copyFileSync(join(dirname(addonPath()), name), join(dirname(prebuild), name));
}
const giveSources = (): void => cpSync(join(packageDir, 'src'), join(folder, 'src'), { recursive: true });
const giveHeaders = (): void => {
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(packageDir, '..', 'node_modules', 'node-api-headers'), join(folder, 'node_modules', 'node-api-headers'));
};

function install(words: string[] = [], env: Record<string, string> = {}): { status: number | null; stdout: string; stderr: string } {
  const result = spawnSync(process.execPath, [join(folder, 'install.mjs'), ...words], { encoding: 'utf8', env: { ...process.env, ...env } });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

test('a prebuilt file is kept, with the sources it came from or without any', () => {
  givePrebuild();
  expect(install([], { PATH: '/nowhere' })).toEqual({ status: 0, stdout: expect.stringMatching(/^packetio: fitting prebuild/), stderr: '' });
  giveSources();
  const before = statSync(prebuild).mtimeMs;
  expect(install()).toEqual({ status: 0, stdout: FITS, stderr: '' });
  expect(statSync(prebuild).mtimeMs).toBe(before);
});

test('changed sources or a broken file are compiled again, once', () => {
  givePrebuild();
  giveSources();
  giveHeaders();
  writeFileSync(join(folder, 'src', 'extra.cc'), '// changes the fingerprint\n');
  truncateSync(prebuild, 1000);
  expect(install()).toMatchObject({ status: 0, stdout: `packetio: compiled ${prebuild}\n${FITS}` });
  expect(install()).toMatchObject({ status: 0, stdout: FITS });
  expect(install(['--force']).stdout).toBe(`packetio: compiled ${prebuild}\npacketio: compiled ${keeper}\n`);
}, 30_000);

test('the keeper is compiled by itself, and can be executed', () => {
  givePrebuild();
  giveSources();
  writeFileSync(join(folder, 'src', 'keeper-extra.cc'), '// changes the fingerprint\n');
  expect(install()).toMatchObject({ status: 0, stdout: `${FITS}packetio: compiled ${keeper}\n` });
  expect(spawnSync(keeper, ['sh', '-c', 'exit 9']).status).toBe(9);
  rmSync(keeper);
  expect(install([], { PATH: '/nowhere' }).stderr).toContain('was not found');
  rmSync(join(folder, 'src'), { recursive: true });
  expect(install().stderr).toContain('no prebuilt overlayd-keeper fits');
}, 30_000);

test('no compiler, no headers, no sources: one line says what to do', () => {
  const oneLine = /^packetio: [^\n]+\n$/;
  expect(install()).toMatchObject({ status: 1, stderr: expect.stringContaining('no prebuilt packetio.node fits') });
  giveSources();
  expect(install([], { CXX: 'no-such-compiler' }).stderr).toContain('apt install g++');
  expect(install([], { PATH: '/nowhere', CXX: '' })).toMatchObject({ status: 1, stderr: expect.stringMatching(oneLine) });
  expect(install()).toMatchObject({ status: 1, stderr: expect.stringContaining('node-api-headers') });
  expect(existsSync(prebuild)).toBe(false);
});

test('a compiler that fails leaves the old file alone', () => {
  givePrebuild();
  giveSources();
  giveHeaders();
  writeFileSync(join(folder, 'src', 'extra.cc'), '#error planned\n');
  const { status, stderr } = install();
  expect(status).toBe(1);
  expect(stderr).toContain('planned');
  expect(readFileSync(prebuild)).toEqual(readFileSync(addonPath()));
}, 30_000);

test('an unknown option is refused', () => {
  expect(install(['--fast'])).toEqual({ status: 1, stdout: '', stderr: 'packetio: unknown option --fast; known: --force --sanitize\n' });
});
