// TAP devices of the real kernel, moved into a namespace of the test as soon as they are there.

import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FRAME_WORDS } from '../src/index.ts';
import { descriptorFlags, type Frame, frameAt, frameTable, hasTun, loadTested, run, testedAddon, thrownBy, until } from './support.ts';

const io = loadTested();
const { errno } = constants;
const EBADFD = 77;
const hasPython = spawnSync('python3', ['--version']).status === 0;
const namespace = `pio-tap-${process.pid}`;
const MAX_FRAME_BYTES = 1514;

const ip = (...words: string[]): string => run('ip', '-n', namespace, ...words);
const counter = (name: string, which: string): number =>
  Number(run('ip', 'netns', 'exec', namespace, 'cat', `/sys/class/net/${name}/statistics/${which}`));

/** A TAP that is up in the namespace, where the kernel says nothing by itself (no router solicitations, no MLD). */
function openMoved(name: string): number {
  const fd = io.openTap({ name, exclusive: true });
  run('ip', 'link', 'set', name, 'netns', namespace);
  run('ip', 'netns', 'exec', namespace, 'sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`);
  ip('link', 'set', name, 'up');
  return fd;
}

/** An ARP request of a stranger, 42 bytes. */
const arpFrame = (): Uint8Array =>
  Uint8Array.from(
    Buffer.from('ffffffffffff02000000aa010806' + '0001080006040001' + '02000000aa01' + '0a630002' + '000000000000' + '0a630001', 'hex'),
  );

describe.skipIf(!hasTun)('TAP (needs root and /dev/net/tun)', () => {
  beforeAll(() => {
    run('ip', 'netns', 'add', namespace);
  });
  afterAll(() => {
    run('ip', 'netns', 'delete', namespace);
  });

  test('frames written are received by the device, each row with its own errno', () => {
    const name = `pw${process.pid}`;
    const fd = openMoved(name);
    const arena = new Uint8Array(256);
    arena.set(arpFrame(), 64);
    const good = { offset: 64, length: 42, fd };
    const table = frameTable([good, { offset: 64, length: 5, fd }, { ...good, fd: 0x7fff_fff0 }, good, { offset: 256, length: 0, fd }]);
    const before = counter(name, 'rx_packets');
    expect(io.writeTaps(arena, table, 5)).toBe(2);
    expect([0, 1, 2, 3, 4].map((row) => frameAt(table, row).errno)).toEqual([0, errno.EINVAL, errno.EBADF, 0, errno.EINVAL]);
    expect(counter(name, 'rx_packets') - before).toBe(2);
    io.close(fd);
  });

  test('frames of the kernel are read: one after the other at multiples of 64, with headroom', () => {
    const name = `pr${process.pid}`;
    const fd = openMoved(name);
    const poll = io.openPoll();
    io.pollAdd(poll, fd, 3);
    ip('addr', 'add', '10.99.0.1/24', 'dev', name);
    // A neighbour that never answers but has an address, so that three pings go out as three frames.
    ip('neigh', 'add', '10.99.0.2', 'lladdr', '02:00:00:00:aa:02', 'dev', name);
    const arena = new Uint8Array(32768).fill(0xa5);
    const table = new Uint32Array(64 * FRAME_WORDS);
    run('ip', 'netns', 'exec', namespace, 'sh', '-c', 'ping -q -c 3 -i 0.002 -W 0.1 -s 100 10.99.0.2 || true');
    expect(io.wait(poll, new Uint32Array(1), 1000)).toBe(1);
    const count = io.readTap(fd, arena, table, 128, 32768, 50, MAX_FRAME_BYTES, 64);
    const frames = Array.from({ length: count }, (_, row) => frameAt(table, row));
    const isPing = ({ offset, length }: Frame): boolean =>
      length === 142 &&
      Buffer.from(arena.subarray(offset, offset + 14))
        .toString('hex')
        .startsWith('02000000aa02') &&
      arena[offset + 23] === 1;
    expect(frames.map(isPing)).toEqual([true, true, true]);
    let end = 128;
    for (const frame of frames) {
      expect(frame.offset).toBe(Math.ceil(end / 64) * 64 + 50);
      expect(frame).toMatchObject({ fd, errno: 0 });
      expect(arena.subarray(end, frame.offset).every((value) => value === 0xa5)).toBe(true);
      end = frame.offset + frame.length;
    }
    expect(arena.subarray(end).every((value) => value === 0xa5)).toBe(true);
    expect(io.wait(poll, new Uint32Array(1), 0)).toBe(0);
    io.close(poll);
    io.close(fd);
  });

  test('reading stops at max, and where the room ends', () => {
    const name = `pm${process.pid}`;
    const fd = openMoved(name);
    ip('addr', 'add', '10.98.0.1/24', 'dev', name);
    ip('neigh', 'add', '10.98.0.2', 'lladdr', '02:00:00:00:aa:02', 'dev', name);
    const arena = new Uint8Array(8192);
    const table = new Uint32Array(64 * FRAME_WORDS);
    run('ip', 'netns', 'exec', namespace, 'sh', '-c', 'ping -q -c 6 -i 0.002 -W 0.1 10.98.0.2 || true');
    expect(io.readTap(fd, arena, table, 0, 8192, 0, MAX_FRAME_BYTES, 2)).toBe(2);
    expect(io.readTap(fd, arena, table, 0, MAX_FRAME_BYTES + 63, 0, MAX_FRAME_BYTES, 64)).toBe(1);
    expect(io.readTap(fd, arena, table, 0, MAX_FRAME_BYTES - 1, 0, MAX_FRAME_BYTES, 64)).toBe(0);
    expect(io.readTap(fd, arena, table, 0, MAX_FRAME_BYTES, 1, MAX_FRAME_BYTES, 64)).toBe(0);
    expect(io.readTap(fd, arena, table, 0, 8192, 0, MAX_FRAME_BYTES, 64)).toBe(3);
    io.close(fd);
  });

  test('exclusive refuses a device that is there; the last close removes it', async () => {
    const name = `px${process.pid}`;
    const fd = io.openTap({ name, exclusive: true });
    expect(descriptorFlags(fd) & 0o2004000).toBe(0o2004000);
    expect(run('ip', '-d', 'link', 'show', 'dev', name)).toMatch(/tun type tap pi off vnet_hdr off .*multi_queue/);
    expect(thrownBy(() => io.openTap({ name, exclusive: true }))).toMatchObject({ code: 'EBUSY', errno: errno.EBUSY, syscall: 'TUNSETIFF' });
    const second = io.openTap({ name, exclusive: false });
    io.close(fd);
    expect(run('ip', 'link', 'show', 'dev', name)).toContain(name);
    io.close(second);
    await until('the end of the device', () => thrownBy(() => run('ip', 'link', 'show', 'dev', name)) !== undefined);
    expect(thrownBy(() => io.openTap({ name: 'lo', exclusive: false }))).toMatchObject({ code: 'EINVAL', syscall: 'TUNSETIFF' });
  });

  test('down and gone', () => {
    const name = `pg${process.pid}`;
    const fd = openMoved(name);
    const arena = new Uint8Array(4096);
    const table = frameTable([{ offset: 0, length: 42, fd }]);
    ip('link', 'set', name, 'down');
    while (io.readTap(fd, arena, new Uint32Array(4), 0, 4096, 0, MAX_FRAME_BYTES, 1) > 0);
    expect(io.readTap(fd, arena, new Uint32Array(4), 0, 4096, 0, MAX_FRAME_BYTES, 1)).toBe(0);
    expect(io.writeTaps(arena, table, 1)).toBe(0);
    expect(frameAt(table, 0).errno).toBe(errno.EIO);
    ip('link', 'delete', name);
    expect(io.readTap(fd, arena, new Uint32Array(4), 0, 4096, 0, MAX_FRAME_BYTES, 1)).toBe(-EBADFD);
    expect(io.writeTaps(arena, table, 1)).toBe(0);
    expect(frameAt(table, 0).errno).toBe(EBADFD);
    io.close(fd);
  });

  test('a persistent device waits without a descriptor, is attached again, and is taken over by descriptor', () => {
    const script = new URL('fixtures/persistent-tap.ts', import.meta.url).pathname;
    const facts = JSON.parse(run('unshare', '--net', process.execPath, script)) as Record<string, unknown>;
    expect(facts).toEqual({
      stays: true,
      attached: ['multi_queue', 'persist on', 'vnet_hdr off'],
      nameOfAdopted: 'renamed',
      flags: 0o2004000,
      reads: true,
      gone: true,
      refused: { udp: 'ENOTTY TUNGETIFF', file: 'ENOTTY TUNGETIFF', tun: 'EBADFD TUNGETIFF', persistUdp: 'ENOTTY TUNSETPERSIST' },
    });
  });

  test.skipIf(!hasPython).each([
    ['a TUN', 0x0001 | 0x1000],
    ['a TAP with a vnet header', 0x0002 | 0x1000 | 0x4000],
  ])('%s is not taken over (needs python3)', (_what, flags) => {
    const python = [
      'import fcntl, os, struct, sys',
      'fd = os.open("/dev/net/tun", os.O_RDWR)',
      'fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"wrong0", int(sys.argv[1])))',
      'os.dup2(fd, 0)',
      'os.execv(sys.argv[2], sys.argv[2:])',
    ].join('\n');
    const program = 'try { require(process.argv[1]).adoptTap(0) } catch (error) { process.stdout.write(error.code + error.syscall) }';
    const said = run('unshare', '--net', 'python3', '-c', python, String(flags), process.execPath, '-e', program, testedAddon);
    expect(said).toBe('EINVALTUNGETIFF');
  });

  test('a full socket is waited for, in all no longer than told, and holds up no other socket; nothing is fragmented', () => {
    const script = new URL('fixtures/full-socket.ts', import.meta.url).pathname;
    const facts = JSON.parse(run('unshare', '--net', process.execPath, script)) as Record<string, unknown>;
    const atMtu = [0, errno.EMSGSIZE];
    expect(facts).toEqual({
      atMtu4: atMtu,
      atMtu6: atMtu,
      sentOfFull: true,
      restIsEagain: true,
      othersSent: 8,
      waitedMs: true,
      sentWithoutWait: true,
    });
  });
});
