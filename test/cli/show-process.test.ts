// What a show command does as a process of its own: colours, going on until it is interrupted, what it loads.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Handlers } from '../../src/core/rpc/server.ts';
import { schemaOf, violations } from '../helpers/json-schema.ts';
import { type FakeDaemon, fakeDaemon } from './fake-daemon.ts';
import { type Outcome, overlayadm } from './overlayadm.ts';
import { showHandlers } from './show-daemon.ts';

const ESC = '\u001b';
const green = (text: string): string => `${ESC}[32m${text}${ESC}[39m`;
const red = (text: string): string => `${ESC}[31m${text}${ESC}[39m`;
const yellow = (text: string): string => `${ESC}[33m${text}${ESC}[39m`;

describe('colours', () => {
  const run = (daemon: FakeDaemon, args: readonly string[], environment: Record<string, string>): Promise<Outcome> =>
    overlayadm(args, { OVERLAYADM_RUN_DIR: daemon.run, ...environment });

  it('show what is well, what is not, and what drops, when they are forced through a pipe', async () => {
    await using daemon = await fakeDaemon({ handlers: showHandlers() });
    const health = await run(daemon, ['show-overlay', '-f', 'overlay0', 'overlay1', 'x'], { FORCE_COLOR: '1' });
    expect(health.stdout.split('\n').slice(1, 3)).toEqual([
      `overlay0            ${green('ONLINE')}  -`,
      `overlay1            ${red('DEGRADED')} no ?[31mroute, 2 times (since 2026-11-20T15:20:11Z; mend it)`,
    ]);
    expect(health.stderr).toBe(`${yellow('overlayadm: warning:')} failed to find x: object not found\n`);
    const targets = await run(daemon, ['show-overlay', '-t', 'overlay0'], { FORCE_COLOR: '1' });
    expect(targets.stdout).toContain(`2:8:20:0:0:2      ${yellow('drop')}\n`);
    const wrong = await run(daemon, ['show-link', 'x0'], { FORCE_COLOR: '1' });
    expect(wrong.stderr).toBe(`${red('overlayadm:')} link x0 is not valid: object not found\n  See overlayadm show-link.\n`);
  });

  it.each([
    { args: ['-f'], environment: {} },
    { args: ['-f'], environment: { FORCE_COLOR: '0' } },
    { args: ['-f'], environment: { FORCE_COLOR: '1', NO_COLOR: '1' } },
    { args: ['-f', '--no-color'], environment: { FORCE_COLOR: '1' } },
    { args: ['-f', '--json'], environment: { FORCE_COLOR: '1' } },
    { args: ['-fpo', 'status,details'], environment: { FORCE_COLOR: '1' } },
  ])('are left out with $args and $environment', async ({ args, environment }) => {
    await using daemon = await fakeDaemon({ handlers: showHandlers() });
    const { stdout, stderr } = await run(daemon, ['show-overlay', ...args, 'overlay0', 'x'], environment);
    expect(stdout).toContain('ONLINE');
    expect(stderr).toContain('warning');
    expect(`${stdout}${stderr}`).not.toContain(ESC);
  });
});

const launcher = fileURLToPath(new URL('launch.mjs', import.meta.url));

/** The first lines of a command that goes on; it is interrupted then. */
async function firstLines(daemon: FakeDaemon, args: readonly string[], count: number): Promise<{ lines: string[]; signal: unknown }> {
  const env = { PATH: process.env.PATH, NODE_ENV: 'production', OVERLAYADM_RUN_DIR: daemon.run };
  const child = spawn(process.execPath, [launcher, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  try {
    for await (const line of createInterface({ input: child.stdout })) if (lines.push(line) === count) break;
  } finally {
    child.kill('SIGINT');
  }
  const [, signal] = child.signalCode === null && child.exitCode === null ? await once(child, 'exit') : [null, child.signalCode];
  return { lines, signal };
}

describe('show-link -s -i', () => {
  const fields = ['-o', 'link,ipackets,rbytes,drops'];

  it('shows all once, then what was added, with one header, until it is interrupted', async () => {
    await using daemon = await fakeDaemon({ handlers: showHandlers() });
    expect(await firstLines(daemon, ['show-link', '-s', '-i', '1', ...fields, 'overlay0'], 5)).toEqual({
      lines: [
        'LINK        IPACKETS   RBYTES       DROPS',
        'overlay0    1          100          target.refused=1,',
        '                                    target.queue-full=3',
        'overlay0    1          100          target.refused=1',
        'overlay0    1          100          target.refused=1',
      ],
      signal: 'SIGINT',
    });
  });

  it('gives an array a line under --json', async () => {
    await using daemon = await fakeDaemon({ handlers: showHandlers() });
    const { lines } = await firstLines(daemon, ['show-link', '-s', '-i1', '--json', 'vnic0'], 2);
    const rounds = lines.map((line) => JSON.parse(line) as readonly { readonly receivedFrames: string }[]);
    for (const round of rounds) expect(violations(round, schemaOf('show-link-s'))).toEqual([]);
    expect(rounds.map(([row]) => row?.receivedFrames)).toEqual(['1', '1']);
  });
});

describe('show-overlay -t', () => {
  it.each([
    { args: [], shown: ['LINK                TARGET            DESTINATION', 'o0                  2:8:20:0:0:1      drop'] },
    { args: ['-po', 'target'], shown: ['2:8:20:0:0:1'] },
    { args: ['--json'], shown: ['[', '  {', '    "overlay": "o0",', '    "target": "2:8:20:0:0:1",', '    "destination": "drop"'] },
  ])('prints a page before it has the next one ($args)', async ({ args, shown }) => {
    const first = { rows: [{ overlay: 'o0', target: '2:8:20:0:0:1', destination: 'drop' }], next: 'second' };
    const handlers: Partial<Handlers> = { 'overlay.targets': ({ after }) => (after === null ? Promise.resolve(first) : new Promise(() => {})) };
    await using daemon = await fakeDaemon({ handlers });
    expect((await firstLines(daemon, ['show-overlay', '-t', ...args, 'o0'], shown.length)).lines).toEqual(shown);
  });
});

describe('as it is built', () => {
  const program = fileURLToPath(new URL('../../bin/overlayadm.cjs', import.meta.url));
  const built = (args: readonly string[], run: string): { status: number | null; stdout: string; stderr: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', env: { OVERLAYADM_RUN_DIR: run } });
    return { status, stdout, stderr };
  };

  it('the bundle of the thin path finds what it loads when nobody answers', () => {
    // No file can be made below a file, by root neither, so that nothing is started.
    const { status, stdout, stderr } = built(['show-overlay'], program);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe(`overlayadm: overlayd: cannot be reached at ${program}/overlayd.sock (ENOTDIR)\n`);
  });

  it('leaves to oclif what it does not take', () => {
    expect(built(['show-link', 'a', 'b'], '/nonexistent')).toEqual({
      status: 2,
      stdout: '',
      stderr: 'overlayadm: unexpected operand: b\nusage: overlayadm show-link [-s [-i INTERVAL]] [[-p] -o FIELD,...] [LINK]\n',
    });
  });
});

it('the thin path loads nothing but what is ours and of Node.js, and no file of it starts overlayd', () => {
  const record = `import { registerHooks } from 'node:module';
    const seen = [];
    registerHooks({ resolve(name, context, next) { const found = next(name, context); seen.push(found.url); return found; } });
    await import(${JSON.stringify(new URL('../../src/core/cli/thin.ts', import.meta.url).href)});
    console.log(JSON.stringify(seen));`;
  const urls: string[] = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', record], { encoding: 'utf8' }));
  const ours = urls.filter((url) => url.startsWith('file:'));
  expect(ours.filter((url) => url.includes('node_modules/') || /autostart|start-program|schemas|oclif/.test(url))).toEqual([]);
  const builtins = new Set(urls.filter((url) => url.startsWith('node:')));
  expect([...builtins].toSorted()).toEqual(['node:fs', 'node:module', 'node:net', 'node:path']);
});
