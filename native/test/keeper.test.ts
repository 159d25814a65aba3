// overlayd-keeper with a child that stores sockets, dies in all ways, and has them again.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Duplex, Readable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { keeperPath } from '../src/index.ts';
import { isAlive, run, until } from './support.ts';

const keeper = process.env.PACKETIO_TEST_KEEPER ?? keeperPath() ?? '';
const fixture = new URL('fixtures/kept.ts', import.meta.url).pathname;
const hasPython = spawnSync('python3', ['--version']).status === 0;

interface Hello {
  readonly pid: number;
  readonly keeper: number;
  readonly kept: readonly { name: string; port: number }[];
  readonly restarts: string;
  readonly lastEnd?: string;
  readonly readyFd?: string;
}

/** A keeper with its child; lines of both are read one by one. */
class Kept {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly exit: Promise<unknown>;
  errors = '';

  constructor(words: readonly string[], options: { before?: readonly string[]; extra?: number; env?: Record<string, string> } = {}) {
    const [command = '', ...rest] = [...(options.before ?? []), keeper, ...words];
    const extra = Array.from({ length: options.extra ?? 0 }, () => 'pipe' as const);
    this.process = spawn(command, rest, { stdio: ['pipe', 'pipe', 'pipe', ...extra], env: { ...process.env, ...options.env } });
    this.exit = once(this.process, 'exit').then(([status, signal]) => signal ?? status);
    this.#lines = createInterface({ input: this.process.stdout as Readable })[Symbol.asyncIterator]();
    this.process.stderr?.on('data', (chunk) => (this.errors += String(chunk)));
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }
  async line(): Promise<string> {
    return ((await this.#lines.next()).value as string | undefined) ?? `no line: ${this.errors}`;
  }
  async hello(): Promise<Hello> {
    const line = await this.line();
    return JSON.parse(line.startsWith('{') ? line : JSON.stringify(line)) as Hello;
  }
  tell(command: object): void {
    this.process.stdin?.write(`${JSON.stringify(command)}\n`);
  }
  async ask(command: object): Promise<{ ports: number[]; sent: string; received: string }> {
    this.tell(command);
    return JSON.parse(await this.line()) as { ports: number[]; sent: string; received: string };
  }
  /** Descriptors of the keeper itself. */
  open(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }
}

const started: Kept[] = [];
const alive: number[] = [];
function start(...given: ConstructorParameters<typeof Kept>): Kept {
  const kept = new Kept(...given);
  started.push(kept);
  return kept;
}
const startFixture = (words: readonly string[] = [], options: ConstructorParameters<typeof Kept>[1] = {}): Kept =>
  start([process.execPath, fixture, ...words], options);
const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
/** 0 to 2, signalfd, the child's socket. */
const OWN = 5;

afterEach(() => {
  for (const { process: child } of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    alive.push(childOf(child.pid ?? -1));
    child.kill('SIGKILL');
  }
  for (const pid of alive.splice(0)) if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
});

describe('the child is killed', () => {
  test('and has its sockets again, with what waits in them', async () => {
    const kept = startFixture();
    const first = await kept.hello();
    expect(first).toMatchObject({ keeper: 3, kept: [], restarts: '0' });
    expect(first.lastEnd).toBeUndefined();
    const { ports } = await kept.ask({ store: ['mux-192.0.2.1-4789', 'punt'] });
    const sender = dgram.createSocket('udp4');
    await new Promise((resolve) => sender.send('waiting', ports[1], '127.0.0.1', resolve));
    sender.close();
    process.kill(first.pid, 'SIGKILL');
    const second = await kept.hello();
    expect(second).toEqual({
      pid: expect.any(Number),
      keeper: 5,
      kept: [
        { name: 'mux-192.0.2.1-4789', port: ports[0] },
        { name: 'punt', port: ports[1] },
      ],
      restarts: '1',
      lastEnd: 'signal 9',
    });
    expect((await kept.ask({ receive: 4 })).received).toBe('waiting');
    expect(kept.open()).toBe(OWN + 2);
    expect(kept.errors).toContain('ended with signal 9, starting it again in 100 ms\n');
  });

  test('in the moment in which it stores', async () => {
    const kept = startFixture();
    await kept.hello();
    kept.process.kill('SIGSTOP');
    kept.tell({ store: ['a', 'b', 'c'], die: true });
    await until('the end of the child', () => readFileSync(`/proc/${childOf(kept.pid)}/stat`, 'utf8').includes(') Z'));
    kept.process.kill('SIGCONT');
    expect((await kept.hello()).kept.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  test('names are replaced and removed, several descriptors may have one, and they may stand where others belong', async () => {
    const kept = startFixture();
    const { pid } = await kept.hello();
    const { ports } = await kept.ask({ store: ['a', 'b', 'c', 'd', 'e', 'f'] });
    for (const name of ['a', 'b', 'c', 'none']) await kept.ask({ state: `FDSTOREREMOVE=1\nFDNAME=${name}` });
    await until('the removal', () => kept.open() === OWN + 3);
    // They take the numbers that have become free, which others have in the child.
    const more = await kept.ask({ store: ['x', 'y', 'd'] });
    const two = await kept.ask({ store: ['', ''], name: 'two' });
    const again = await kept.ask({ store: ['', '', ''], name: 'two' });
    await kept.ask({ state: 'FDSTORE=1', descriptors: 1 });
    expect(two.ports).not.toEqual(again.ports);
    process.kill(pid, 'SIGKILL');
    const second = await kept.hello();
    expect(second.kept.map(({ name }) => name)).toEqual(['e', 'f', 'x', 'y', 'd', 'two', 'two', 'two', 'stored']);
    expect(second.kept.slice(0, 8).map(({ port }) => port)).toEqual([...ports.slice(4), ...more.ports, ...again.ports]);
    expect(kept.open()).toBe(OWN + 9);
  });

  test('with 1,000 descriptors', async () => {
    const kept = startFixture();
    const { pid } = await kept.hello();
    const names = Array.from({ length: 1000 }, (_, index) => `mux-192.0.2.1-${index}`);
    const { ports } = await kept.ask({ store: names });
    process.kill(pid, 'SIGKILL');
    const { kept: list, keeper: socket } = await kept.hello();
    expect(list).toEqual(names.map((name, index) => ({ name, port: ports[index] })));
    expect(socket).toBe(1003);
  });

  test('there is a bound for names', async () => {
    const kept = startFixture();
    const { pid } = await kept.hello();
    const name = (index: number): string => `${index}-`.padEnd(255, 'x');
    // 128 KiB for the variable: 511 names of 256 bytes.
    await kept.ask({ store: Array.from({ length: 513 }, (_, index) => name(index)) });
    await until('the refusal', () => kept.errors.includes(`${name(512).slice(0, 100)}`));
    expect(kept.open()).toBe(OWN + 511);
    process.kill(pid, 'SIGKILL');
    expect((await kept.hello()).kept).toHaveLength(511);
  });
});

describe('how it ends', () => {
  test.each([
    ['exit 0', 0],
    ['exit 1', 1],
    ['exit 4', 4],
    ['kill -9 $$', 137],
  ])('before READY=1 it is the end of the keeper: %s', async (script, status) => {
    expect(await start(['sh', '-c', script]).exit).toBe(status);
  });

  test('a program that is not there, and none', async () => {
    const kept = start(['/nowhere/overlayd']);
    expect(await kept.exit).toBe(127);
    await until('its words', () => kept.errors !== '');
    expect(kept.errors).toBe('overlayd-keeper: /nowhere/overlayd: cannot be started (No such file or directory)\n');
    expect(await start([]).exit).toBe(2);
    expect(await start(['true'], { env: { OVERLAYD_READY_FD: '77' } }).exit).toBe(2);
  });

  test('4 is a restart at once, 3 one after a wait that grows, 0 is the end', async () => {
    const kept = startFixture();
    for (const [exit, lastEnd, wait] of [
      [4, 'exit status 4', 0],
      [3, 'exit status 3', 100],
      [4, 'exit status 4', 0],
      [1, 'exit status 1', 200],
    ] as const) {
      await kept.hello();
      kept.errors = '';
      kept.tell({ exit });
      await until('the end', () => kept.errors.includes(`ended with ${lastEnd}, starting it again in ${wait} ms\n`));
    }
    expect(await kept.hello()).toMatchObject({ restarts: '4', lastEnd: 'exit status 1' });
    kept.tell({ exit: 0 });
    expect(await kept.exit).toBe(0);
  });

  test('TERM while no child runs', async () => {
    const kept = startFixture();
    for (const wait of [100, 200]) {
      await kept.hello();
      kept.tell({ exit: 1 });
      await until('the end', () => kept.errors.includes(`in ${wait} ms\n`));
    }
    kept.process.kill('SIGTERM');
    expect(await kept.exit).toBe(0);
  });

  test('TERM is passed on, and what it ends is not started again', async () => {
    const kept = startFixture();
    await kept.hello();
    kept.process.kill('SIGTERM');
    expect(await kept.exit).toBe(0);
    expect(kept.errors).toBe('');
  });
});

test('signals are passed on, none is blocked or ignored in the child', async () => {
  const traps = ['HUP', 'INT', 'USR1'].map((name) => `trap "echo ${name}" ${name}`).join('; ');
  const program = `${traps}; trap "exit 5" TERM; echo up; while :; do sleep 0.02; done`;
  const plain = start(['grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']);
  expect(await plain.line()).toMatch(/^SigBlk:\s+0+$/);
  expect(await plain.line()).toMatch(/^SigIgn:\s+0+$/);
  const kept = start(['sh', '-c', program]);
  expect(await kept.line()).toBe('up');
  for (const name of ['HUP', 'INT', 'USR1']) {
    kept.process.kill(`SIG${name}` as NodeJS.Signals);
    expect(await kept.line()).toBe(name);
  }
  kept.process.kill('SIGTERM');
  expect(await kept.exit).toBe(5);
});

test('the ready descriptor is told once, and closed', async () => {
  const kept = startFixture([], { extra: 1, env: { OVERLAYD_READY_FD: '3' } });
  const pipe = kept.process.stdio[3] as Duplex;
  let told = '';
  pipe.on('data', (chunk) => (told += String(chunk)));
  const end = once(pipe, 'end');
  expect((await kept.hello()).readyFd).toBeUndefined();
  await end;
  expect(told).toBe('ready\n');
  const silent = startFixture(['silent'], { extra: 1, env: { OVERLAYD_READY_FD: '3' } });
  const second = silent.process.stdio[3] as Duplex;
  second.on('data', (chunk) => (told += String(chunk)));
  const { pid } = await silent.hello();
  process.kill(pid, 'SIGKILL');
  await once(second, 'end');
  expect(told).toBe('ready\n');
  expect(await silent.exit).toBe(137);
});

test('the child gets what is stored and its socket, and nothing that the keeper or its starter have', async () => {
  const list = 'exec ls -v /proc/self/fd';
  const script = `if [ $OVERLAYD_RESTARTS = 0 ]; then exec "$0" "$1"; else echo $LISTEN_FDNAMES; ${list}; fi`;
  const kept = start(['sh', '-c', script, process.execPath, fixture], { extra: 5, env: { LISTEN_FDS: '7', LISTEN_FDNAMES: 'foreign' } });
  await kept.hello();
  expect(kept.open()).toBe(OWN);
  await kept.ask({ store: ['a', 'b'] });
  kept.tell({ exit: 4 });
  const lines = [];
  for (let i = 0; i < 8; i++) lines.push(await kept.line());
  // The last is the folder that ls reads.
  expect(lines).toEqual(['a:b', '0', '1', '2', '3', '4', '5', '6']);
  expect(await kept.exit).toBe(0);
});

test('it is shown by its name, and sleeps', async () => {
  const kept = start(['sh', '-c', 'eval "exec $OVERLAYD_KEEPER_FD>&-"; echo "$1"; exec sleep 30', 'sh', 'word']);
  expect(await kept.line()).toBe('word');
  expect(readFileSync(`/proc/${kept.pid}/cmdline`, 'utf8')).toMatch(/^overlayd-keeper\0sh\0-c\0eval [^\0]+\0sh\0word\0+$/);
  const switches = (): string | undefined => /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${kept.pid}/status`, 'utf8'))?.[1];
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = switches();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(switches()).toBe(before);
  kept.process.kill('SIGTERM');
  expect(await kept.exit).toBe(143);
});

describe('what is no order', () => {
  test('is ignored, and its descriptors are closed', async () => {
    const kept = startFixture();
    const { pid } = await kept.hello();
    const bad = ['', '\n\n', 'STATUS=x', 'FDSTORE=1\nFDNAME=', 'FDSTORE=1\nFDNAME=a:b', 'FDSTORE=1\nFDNAME=a\tb', 'FDSTORE=0', 'FDNAME=a'];
    for (const state of [...bad, `FDSTORE=1\nFDNAME=${'x'.repeat(256)}`, 'x'.repeat(4095), '\u007f\u00ff=1'])
      expect((await kept.ask({ state, descriptors: 3 })).sent).toBe('sent');
    await kept.ask({ store: ['ü'] });
    await until('the last', () => kept.open() === OWN + 1);
    process.kill(pid, 'SIGKILL');
    expect((await kept.hello()).kept.map(({ name }) => name)).toEqual(['ü']);
  });

  test.skipIf(!hasPython)('bytes that nobody of ours would send (needs python3)', async () => {
    const program = [
      'import os, random, socket, sys',
      's = socket.socket(fileno=int(os.environ["OVERLAYD_KEEPER_FD"]))',
      'random.seed(4)',
      'for i in range(300):',
      '    words = [b"FDSTORE=1", b"FDNAME=", b"FDSTOREREMOVE=1", b"a:b", b"\\n", b"\\0", random.randbytes(20), b"READY=2"]',
      '    socket.send_fds(s, [b"".join(random.choices(words, k=random.randrange(12)))], [0] * random.randrange(4))',
      'socket.send_fds(s, [b"FDSTORE=1\\nFDNAME=long\\n" + b"x" * 9000], [0, 0])',
      's.send(b"")',
      's.send(b"\\nREADY=1")',
      'print("done", flush=True)',
      'sys.stdin.readline()',
    ].join('\n');
    const kept = start(['python3', '-c', program], { extra: 1, env: { OVERLAYD_READY_FD: '3' } });
    const ready = once((kept.process.stdio[3] as Duplex).resume(), 'end');
    expect(await kept.line()).toBe('done');
    await ready;
    expect(kept.errors).toContain('was cut off and is ignored: 4096 bytes and 2 descriptors came\n');
    // Some of the random ones were orders with a name of their own.
    expect(kept.open()).toBeLessThan(OWN + 60);
    kept.process.stdin?.end('\n');
    expect(await kept.exit).toBe(0);
  });

  test('descriptors for which there is no room', async () => {
    const kept = startFixture([], { before: ['prlimit', '--nofile=64:64'] });
    const { pid } = await kept.hello();
    await kept.ask({ state: 'FDSTORE=1\nFDNAME=many', descriptors: 100 });
    await until('the refusal', () => kept.errors.includes('was cut off and is ignored'));
    expect(kept.open()).toBe(OWN);
    await kept.ask({ store: ['one'] });
    process.kill(pid, 'SIGKILL');
    expect((await kept.hello()).kept.map(({ name }) => name)).toEqual(['one']);
  });
});

describe('the keeper is killed', () => {
  test('and its child goes on, and is told so', async () => {
    const kept = startFixture();
    const { pid } = await kept.hello();
    await kept.ask({ store: ['a'] });
    alive.push(pid);
    kept.process.kill('SIGKILL');
    await kept.exit;
    expect(JSON.parse(await kept.line())).toEqual({ sent: ['ECONNREFUSED', 'ENOTCONN'] });
    expect(isAlive(pid)).toBe(true);
  });

  test('and does not read: its child waits for it, but not for ever', async () => {
    const kept = startFixture();
    await kept.hello();
    kept.process.kill('SIGSTOP');
    const begin = performance.now();
    let sent = 'sent';
    for (let i = 0; sent === 'sent' && i < 5000; i++) sent = (await kept.ask({ state: 'STATUS=x' })).sent;
    expect(sent).toBe('EAGAIN');
    expect(performance.now() - begin).toBeGreaterThan(1900);
    kept.process.kill('SIGCONT');
    expect((await kept.ask({ state: 'STATUS=x' })).sent).toBe('sent');
  });

  test('and its child with it, where the keeper has a parent death signal (needs setpriv)', async () => {
    run('setpriv', '--version');
    const kept = start(['sh', '-c', 'echo $$; exec sleep 30'], { before: ['setpriv', '--pdeathsig=KILL'] });
    const pid = Number(await kept.line());
    alive.push(pid);
    expect(isAlive(pid)).toBe(true);
    kept.process.kill('SIGKILL');
    await until('the end of the child', () => !isAlive(pid));
  });
});

test('a port is free again when keeper and child have ended', async () => {
  const kept = startFixture();
  await kept.hello();
  const { ports } = await kept.ask({ store: ['a'] });
  kept.tell({ exit: 0 });
  expect(await kept.exit).toBe(0);
  const socket = dgram.createSocket('udp4');
  socket.bind(ports[0], '127.0.0.1');
  await once(socket, 'listening');
  socket.close();
});
