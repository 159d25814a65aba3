// Starting overlayd from a command: once, detached, with a clean environment, and with a reason when it fails.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AutostartOptions, connectOrStart } from '../../src/core/cli/autostart.ts';
import { mayCreateIn } from '../../src/core/cli/host.ts';
import { directoriesOf } from '../../src/core/util/directories.ts';

let run: string;
const script = fileURLToPath(new URL('fake-overlayd.ts', import.meta.url));

beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), `overlayadm-${process.pid}-`));
  const program = join(run, 'overlayd');
  writeFileSync(program, `#!/bin/sh\nexec "$OVERLAYADM_NODE" ${script}\n`);
  chmodSync(program, 0o755);
});

afterEach(() => {
  for (const pid of startedPids()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  rmSync(run, { recursive: true });
});

function startedPids(): number[] {
  const path = join(run, 'pids');
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').map(Number) : [];
}

/** A zombie is dead: whoever is pid 1 here may not reap. */
const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`) && /^\d+ \(.*\) [^ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

function options(mode: string, more: Partial<AutostartOptions> = {}): AutostartOptions {
  writeFileSync(join(run, 'mode'), mode);
  const environment = { ...process.env, OVERLAYADM_RUN_DIR: run, LANG: 'C.UTF-8', SECRET: 'x', NODE_OPTIONS: '' };
  return { version: '0.1.0', directories: directoriesOf(environment), environment, program: join(run, 'overlayd'), timeoutMs: 10_000, ...more };
}

describe('connectOrStart', () => {
  it('starts overlayd in a session of its own, in /, with a clean environment', async () => {
    await using client = await connectOrStart(options('serves'));
    const { cwd, environment, leader } = JSON.parse(readFileSync(join(run, 'seen.json'), 'utf8'));
    expect({ cwd, leader, pid: client.hello.pid }).toEqual({ cwd: '/', leader: true, pid: startedPids()[0] });
    // PWD is of the shell that is the program of this test.
    const names = Object.keys(environment).filter((name) => name !== 'PWD' && name !== '_' && name !== 'SHLVL' && name !== 'OLDPWD');
    expect(names.sort()).toEqual(['LANG', 'OVERLAYADM_NODE', 'OVERLAYADM_RUN_DIR', 'OVERLAYD_READY_FD', 'PATH']);
    expect(environment).toMatchObject({ OVERLAYADM_NODE: process.execPath, OVERLAYD_READY_FD: '3' });
  });

  it('connects to one that runs and starts no other', async () => {
    const first = await connectOrStart(options('serves'));
    first.close();
    await using second = await connectOrStart(options('serves', { program: '/nonexistent' }));
    expect(second.hello.pid).toBe(first.hello.pid);
  });

  it('lets two commands at once end up at one overlayd, also when it starts slowly', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => connectOrStart(options('slow'))));
    const [holder] = new Set(clients.map(({ hello }) => hello.pid));
    expect(clients.map(({ hello }) => hello.pid)).toEqual([holder, holder, holder]);
    for (const client of clients) client.close();
  });

  it('shows the end of the log of one that fails, and nothing older', async () => {
    writeFileSync(join(run, 'overlayd.log'), '{"msg":"of yesterday"}\n'.repeat(3));
    const log = join(run, 'overlayd.log');
    const tail = [...Array.from({ length: 9 }, (_, i) => `line ${i + 3}`), 'cannot start: no /dev/net/tun (Load tun.)'];
    await expect(connectOrStart(options('fails'))).rejects.toMatchObject({
      code: 'DAEMON_START_FAILED',
      message: 'overlayd did not start (it ended with status 1)',
      details: { log, lines: tail },
      advice: [`Its log ${log} ends with:`, ...tail].join('\n'),
    });
  });

  it('shows what one said that failed before it had a log', async () => {
    const advice = expect.stringMatching(/^It said:\n.*Error: before there is a log/s);
    await expect(connectOrStart(options('throws'))).rejects.toMatchObject({ code: 'DAEMON_START_FAILED', advice });
  });

  it('gives up after a time, and leaves no overlayd that would hold the lock', async () => {
    const message = 'overlayd did not start (it does not answer)';
    await expect(connectOrStart(options('hangs', { timeoutMs: 1500 }))).rejects.toMatchObject({ code: 'DAEMON_START_FAILED', message });
    await expect.poll(() => startedPids().filter(isAlive)).toEqual([]);
  });

  it('gives up on all that it started, when what serves is a child of the program', async () => {
    const program = join(run, 'keeper');
    writeFileSync(program, `#!/bin/sh\n"$OVERLAYADM_NODE" ${script} &\nwait\n`);
    chmodSync(program, 0o755);
    await expect(connectOrStart(options('hangs', { program, timeoutMs: 1500 }))).rejects.toMatchObject({ code: 'DAEMON_START_FAILED' });
    await expect.poll(() => startedPids().filter(isAlive)).toEqual([]);
    expect(startedPids()).toHaveLength(1);
  });

  it('says so when the program is not there', async () => {
    const message = expect.stringMatching(/^overlayd did not start \(spawn \/nonexistent ENOENT\)$/);
    await expect(connectOrStart(options('serves', { program: '/nonexistent' }))).rejects.toMatchObject({ code: 'DAEMON_START_FAILED', message });
  });

  it('waits past a lock that somebody holds without serving, and then gives up', async () => {
    writeFileSync(join(run, 'lock'), '');
    const started = Date.now();
    // Which try the end of the time cuts off, and so what the message says, is the machine's business.
    await expect(connectOrStart(options('serves', { timeoutMs: 6000 }))).rejects.toMatchObject({ code: 'DAEMON_START_FAILED' });
    expect(Date.now() - started).toBeGreaterThanOrEqual(5900);
    expect(startedPids().length).toBeGreaterThan(1);
  });

  it('is told how to start it when it may not', async () => {
    const started = connectOrStart(options('serves', { mayCreateIn: () => false }));
    await expect(started).rejects.toMatchObject({ code: 'DAEMON_NOT_RUNNING', message: 'overlayd is not running; start it with: sudo overlayd' });
    expect(startedPids()).toEqual([]);
  });
});

describe('mayCreateIn', () => {
  it('is true for a directory of ours, and for one that could be made in it', () => {
    expect([run, join(run, 'a/b')].map(mayCreateIn)).toEqual([true, true]);
  });

  it('is false below something that is no directory', () => {
    expect(mayCreateIn('/dev/null/overlayadm')).toBe(false);
  });
});
