// Taking over, peer credentials, the lock between processes, the parent's death, sd_notify, and many threads with the addon at once.
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addonPath, type PeerCredentials } from '../src/index.ts';
import { freePort, isAlive, isRoot, loadTested, openLoopback, run, testedAddon, thrownBy, until } from './support.ts';

const io = loadTested();
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'packetio-'));
  chmodSync(folder, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a program in a child of its own; `io` is the addon there. */
const child = (program: string, ...words: string[]): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, ['-e', `const io = require(process.argv[1]); ${program}`, testedAddon, ...words]);

const firstWords = async (from: ChildProcessWithoutNullStreams): Promise<string> => String((await once(from.stdout, 'data'))[0]).trim();

describe('peerCredentials', () => {
  /** Whom a server sees when `connect` has started a client. */
  async function seenBy(path: string, connect: () => ChildProcessWithoutNullStreams): Promise<{ seen: PeerCredentials; pid: number | undefined }> {
    const server = createServer();
    server.listen(path);
    await once(server, 'listening');
    chmodSync(path, 0o777);
    const client = connect();
    const [socket] = (await once(server, 'connection')) as [Socket & { _handle: { fd: number } }];
    try {
      return { seen: io.peerCredentials(socket._handle.fd), pid: client.pid };
    } finally {
      socket.destroy();
      server.close();
      client.kill();
      await once(client, 'exit');
    }
  }
  const connect = `require('net').connect(process.argv[2]);`;

  test('pid, uid, gid and groups of the process at the other end', async () => {
    const path = join(folder, 'same');
    const { seen, pid } = await seenBy(path, () => child(connect, path));
    // Not process.getgroups(), which adds the own group.
    const groups = /^Groups:(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]?.trim().split(' ').filter(Boolean).map(Number);
    expect(seen).toEqual({ pid, uid: process.getuid?.(), gid: process.getgid?.(), groups });
  });

  test.skipIf(!isRoot)('of another user, with groups (needs root)', async () => {
    const path = join(folder, 'other');
    const drop = 'process.setgroups([4001, 4002]); process.setgid(4000); process.setuid(4000);';
    const { seen, pid } = await seenBy(path, () => child(drop + connect, path));
    expect(seen).toEqual({ pid, uid: 4000, gid: 4000, groups: [4001, 4002] });
  });

  test('only of a connected Unix socket', async () => {
    const udp = openLoopback(io, 0);
    expect(thrownBy(() => io.peerCredentials(udp))).toMatchObject({ code: 'EOPNOTSUPP' });
    io.close(udp);
    const server = createServer().listen(join(folder, 'listening'));
    await once(server, 'listening');
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    expect(thrownBy(() => io.peerCredentials(fd))).toMatchObject({ code: 'ENOTCONN', syscall: 'getpeername' });
    server.close();
  });
});

describe('lockFile', () => {
  test('keeps another process out until the holder dies', async () => {
    const path = join(folder, 'lock');
    const holder = child('console.log(io.lockFile(process.argv[2])); setInterval(() => 0, 1000);', path);
    expect(Number(await firstWords(holder))).toBeGreaterThan(2);
    expect(io.lockFile(path)).toBeUndefined();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const fd = io.lockFile(path);
    expect(fd).toBeTypeOf('number');
    expect(io.lockFile(path)).toBeUndefined();
    if (fd !== undefined) io.close(fd);
    const again = io.lockFile(path);
    expect(again).toBeTypeOf('number');
    if (again !== undefined) io.close(again);
  });

  test('follows no symbolic link, names what failed', () => {
    const link = join(folder, 'link');
    symlinkSync(join(folder, 'target'), link);
    expect(thrownBy(() => io.lockFile(link))).toMatchObject({ code: 'ELOOP', syscall: 'open' });
    expect(thrownBy(() => io.lockFile(join(folder, 'no', 'lock')))).toMatchObject({ code: 'ENOENT', syscall: 'open' });
  });
});

test.skipIf(spawnSync('bash', ['--version']).status !== 0)('adopt: close-on-exec and non-blocking (needs bash)', () => {
  // Node.js makes what it inherits close-on-exec, but looks no further than a gap behind 15.
  const flags = `Number.parseInt(/flags:\\s+(\\d+)/.exec(require('fs').readFileSync('/proc/self/fdinfo/50', 'utf8'))[1], 8) & 0o2004000`;
  const program = `const before = ${flags}; require(process.argv[1]).adopt(50); console.log([before, ${flags}].join());`;
  const said = run('bash', '-c', 'exec 50</dev/null; exec "$@"', 'bash', process.execPath, '-e', program, testedAddon);
  expect(said).toBe(`0,${0o2004000}\n`);
  expect(thrownBy(() => io.adopt(0x7fff_fff0))).toMatchObject({ code: 'EBADF', syscall: 'fcntl' });
});

test.skipIf(spawnSync('bash', ['--version']).status !== 0)('passOn: what was close-on-exec is not any more (needs bash)', () => {
  const become = `process.execve('/bin/sh', ['sh', '-c', 'test -e /proc/self/fd/50 && echo there'], {})`;
  const program = `const io = require(process.argv[1]); io.adopt(50); io.passOn(50); ${become}`;
  expect(run('bash', '-c', 'exec 50</dev/null; exec "$@"', 'bash', process.execPath, '-e', program, testedAddon)).toBe('there\n');
  expect(thrownBy(() => io.passOn(0x7fff_fff0))).toMatchObject({ code: 'EBADF', syscall: 'fcntl' });
});

test('setParentDeathSignal: the child dies with its parent', async () => {
  const inner = 'require(process.argv[1]).setParentDeathSignal(9); console.log(process.pid); setInterval(() => 0, 1000);';
  const outer = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(inner)}, process.argv[1]], { stdio: ['ignore', 'inherit', 'ignore'] });`;
  const parent = child(outer);
  const pid = Number(await firstWords(parent));
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until('the end of the child', () => !isAlive(pid));
  io.setParentDeathSignal(0);
});

describe('notify', () => {
  const python = [
    'import os, socket, sys',
    's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
    's.bind(sys.argv[1].replace("@", "\\0"))',
    'print("ready", flush=True)',
    'text, fds, flags, peer = socket.recv_fds(s, 4096, 253)',
    'print(text.decode(), [os.readlink("/proc/self/fd/%d" % fd) for fd in fds])',
  ].join('\n');

  test.skipIf(spawnSync('python3', ['--version']).status !== 0).each(['path', 'abstract name'])(
    'one datagram to a socket with a %s (needs python3)',
    async (kind) => {
      const name = kind === 'path' ? join(folder, 'notify') : `@packetio-${process.pid}`;
      const listener = spawn('python3', ['-c', python, name]);
      let printed = '';
      listener.stdout.on('data', (chunk) => (printed += String(chunk)));
      await until('the listener', () => printed === 'ready\n');
      const fd = openSync('/dev/null', 'r');
      io.notify(name, 'READY=1\nSTATUS=up', kind === 'path' ? [fd, fd] : undefined);
      closeSync(fd);
      await once(listener, 'close');
      expect(printed).toBe(`ready\nREADY=1\nSTATUS=up ${kind === 'path' ? "['/dev/null', '/dev/null']" : '[]'}\n`);
    },
  );

  test('a descriptor that is not open, a socket that is none', () => {
    const fd = openLoopback(io, 0);
    expect(thrownBy(() => io.notifyOver(fd, 'FDSTORE=1', [0x7fff_fff0]))).toBeInstanceOf(Error);
    expect(thrownBy(() => io.notifyOver(0x7fff_fff0, 'READY=1'))).toMatchObject({ code: 'EBADF', syscall: 'sendmsg' });
    io.close(fd);
    const file = openSync('/dev/null', 'r');
    expect(thrownBy(() => io.notifyOver(file, 'READY=1'))).toMatchObject({ code: 'ENOTSOCK', syscall: 'sendmsg' });
    closeSync(file);
  });

  test('nobody there', () => {
    expect(thrownBy(() => io.notify(join(folder, 'nobody'), 'READY=1'))).toMatchObject({ code: 'ENOENT', syscall: 'connect' });
    expect(thrownBy(() => io.notify('@packetio-nobody', 'READY=1'))).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
  });
});

test('several threads use the addon at once, and one more time after the others have ended', async () => {
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    const io = require(workerData.addon);
    const options = { family: 4, address: Uint8Array.of(127, 0, 0, 1), receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20, sendOnly: false };
    const fd = io.openUdp({ ...options, port: workerData.port });
    const arena = new Uint8Array(64 * 128).fill(workerData.mark);
    const row = [0, 100, 0, 0, 4, workerData.port, new Uint32Array(Uint8Array.of(127, 0, 0, 1).buffer)[0], 0, 0, 0, 0, 0];
    const table = Uint32Array.from(Array.from({ length: 64 }, () => row).flat());
    const got = new Uint32Array(64 * 4);
    let foreign = 0, total = 0;
    for (let turn = 0; turn < 300; turn++) {
      io.send(Int32Array.of(fd), arena, table, 64, 100);
      const inbox = new Uint8Array(64 * 128);
      const count = io.receive(fd, inbox, got, 0, 128, 64);
      total += count;
      for (let i = 0; i < count; i++) if (got[i * 4 + 1] !== 100 || inbox[i * 128 + 99] !== workerData.mark) foreign++;
    }
    io.close(fd);
    parentPort.postMessage({ total, foreign });`;
  const start = async (mark: number): Promise<unknown> => {
    const worker = new Worker(program, { eval: true, workerData: { addon: testedAddon, port: await freePort(), mark } });
    const [result] = await once(worker, 'message');
    await worker.terminate();
    return result;
  };
  const wanted = { total: 300 * 64, foreign: 0 };
  expect(await Promise.all([1, 2, 3, 4].map(start))).toEqual([wanted, wanted, wanted, wanted]);
  expect(await start(5)).toEqual(wanted);
});

test.skipIf(testedAddon !== addonPath())('the addon needs no library but libc (not for a sanitized one)', () => {
  expect(run('sh', '-c', `ldd ${testedAddon} | grep -c -e libstdc -e "not found" || true`).trim()).toBe('0');
});
