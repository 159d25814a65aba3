// UDP over loopback: round trips, order, what one bad row does to the others, and refusals of the kernel.
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { FRAME, FRAME_WORDS, SOURCE, SOURCE_WORDS, TRUNCATED } from '../src/index.ts';
import {
  column,
  descriptorFlags,
  frameAt,
  freePort,
  LOOPBACK_4,
  LOOPBACK_6,
  loadTested,
  openLoopback,
  sendErrors,
  sendTable,
  thrownBy,
} from './support.ts';

const io = loadTested();
const { errno } = constants;
const open: number[] = [];
const opened = (fd: number): number => {
  open.push(fd);
  return fd;
};
afterEach(() => {
  for (const fd of open.splice(0)) io.close(fd);
});

const family6 = thrownBy(() => io.close(openLoopback(io, 0, { family: 6 }))) === undefined;

describe.each([4, 6] as const)('IPv%i', (family) => {
  const address = family === 4 ? LOOPBACK_4 : LOOPBACK_6;

  test('round trip, with a datagram that is larger than its slot', async (context) => {
    context.skip(family === 6 && !family6, 'no IPv6 loopback on this machine');
    const port = await freePort(family === 4 ? '127.0.0.1' : '::1');
    const receiver = opened(openLoopback(io, port, { family }));
    const sender = opened(openLoopback(io, 0, { family, sendOnly: true }));
    const arena = Uint8Array.from({ length: 4096 }, (_, index) => index % 251);
    const rows = [
      { offset: 10, length: 60, port, address },
      { offset: 0, length: 129, port, address },
      { offset: 7, length: 0, port, address },
      { offset: 100, length: 128, port, address },
    ];
    const table = sendTable(rows);
    expect(io.send(Int32Array.of(sender), arena, table, 4, 0)).toBe(4);
    expect(sendErrors(table)).toEqual([0, 0, 0, 0]);

    const inbox = new Uint8Array(2048).fill(255);
    const got = new Uint32Array(8 * FRAME_WORDS);
    expect(io.receive(receiver, inbox, got, 256, 128, 8)).toBe(4);
    expect(frameAt(got, 0)).toEqual({ offset: 256, length: 60, fd: receiver, errno: 0 });
    expect(frameAt(got, 1)).toEqual({ offset: 384, length: TRUNCATED, fd: receiver, errno: 0 });
    expect(frameAt(got, 2)).toEqual({ offset: 512, length: 0, fd: receiver, errno: 0 });
    expect(frameAt(got, 3)).toEqual({ offset: 640, length: 128, fd: receiver, errno: 0 });
    expect(inbox.subarray(256, 316)).toEqual(arena.subarray(10, 70));
    expect(inbox.subarray(640, 768)).toEqual(arena.subarray(100, 228));
    expect(io.receive(receiver, inbox, got, 0, 128, 8)).toBe(0);
  });

  test('says who sent each datagram, and how many there was no room for', async (context) => {
    context.skip(family === 6 && !family6, 'no IPv6 loopback on this machine');
    const port = await freePort(family === 4 ? '127.0.0.1' : '::1');
    const receiver = opened(io.openUdp({ family, address, port, receiveBufferBytes: 4096, sendBufferBytes: 0, sendOnly: false }));
    const sender = opened(openLoopback(io, 0, { family, sendOnly: true }));
    const own = io.udpAddress(sender);
    const one = { offset: 0, length: 60, port, address };
    expect(io.socketDrops(receiver)).toBe(0);
    expect(io.send(Int32Array.of(sender), new Uint8Array(64), sendTable([one, one]), 2, 0)).toBe(2);
    const sources = new Uint32Array(8 * SOURCE_WORDS).fill(7);
    const got = new Uint32Array(8 * FRAME_WORDS);
    expect(io.receive(receiver, new Uint8Array(2048), got, 0, 128, 8, sources)).toBe(2);
    for (const row of [0, SOURCE_WORDS]) {
      expect([sources[row + SOURCE.family], sources[row + SOURCE.port]]).toEqual([family, own.port]);
      const at = 4 * (row + SOURCE.address);
      expect(new Uint8Array(sources.buffer, at, address.length)).toEqual(address);
      expect(new Uint8Array(sources.buffer, at + address.length, 16 - address.length)).toEqual(new Uint8Array(16 - address.length));
    }
    expect(sources[2 * SOURCE_WORDS]).toBe(7);
    const many = sendTable(Array.from({ length: 200 }, () => one));
    io.send(Int32Array.of(sender), new Uint8Array(64), many, 200, 0);
    let left = 0;
    for (let count = 1; count > 0; left += count) count = io.receive(receiver, new Uint8Array(2048), got, 0, 128, 8);
    expect(io.socketDrops(receiver)).toBe(200 - left);
    expect(left).toBeLessThan(200);
  });

  test('refuses sources that have no row for every datagram, and touches nothing', () => {
    const receiver = opened(openLoopback(io, 0, { family: 4 }));
    const few = new Uint32Array(2 * SOURCE_WORDS - 1);
    expect(thrownBy(() => io.receive(receiver, new Uint8Array(256), new Uint32Array(8), 0, 64, 2, few))).toBeInstanceOf(RangeError);
  });

  test('EMSGSIZE stays in its row', async (context) => {
    context.skip(family === 6 && !family6, 'no IPv6 loopback on this machine');
    const port = await freePort(family === 4 ? '127.0.0.1' : '::1');
    const receiver = opened(openLoopback(io, port, { family }));
    const sender = opened(openLoopback(io, 0, { family }));
    const small = { offset: 0, length: 32, port, address };
    const large = { offset: 0, length: 65536, port, address };
    const table = sendTable([large, small, large, large, small, large]);
    expect(io.send(Int32Array.of(sender), new Uint8Array(65536), table, 6, 0)).toBe(2);
    const e = errno.EMSGSIZE;
    expect(sendErrors(table)).toEqual([e, 0, e, e, 0, e]);
    expect(io.receive(receiver, new Uint8Array(1024), new Uint32Array(32), 0, 128, 8)).toBe(2);
  });
});

test('many rows over many sockets: each socket keeps its order, a bad one fails alone', async () => {
  const sockets = 16;
  const rows = 2500;
  const ports = await Promise.all(Array.from({ length: sockets }, () => freePort()));
  const receivers = ports.map((port) => opened(openLoopback(io, port)));
  const senders = Int32Array.from([...ports.map(() => opened(openLoopback(io, 0, { sendOnly: true }))), 0x7fff_fff0]);
  const arena = new Uint8Array(rows * 4);
  const view = new DataView(arena.buffer);
  const wanted: number[][] = ports.map(() => []);
  const list = Array.from({ length: rows }, (_, index) => {
    view.setUint32(index * 4, index);
    const socket = (index * 7919) % (sockets + 1);
    wanted[socket]?.push(index);
    return { offset: index * 4, length: 4, socket, port: ports[socket] ?? 9 };
  });
  const table = sendTable(list);
  const failing = list.filter(({ socket }) => socket === sockets).length;
  expect(io.send(senders, arena, table, rows, 100)).toBe(rows - failing);
  expect(sendErrors(table)).toEqual(list.map(({ socket }) => (socket === sockets ? errno.EBADF : 0)));

  const inbox = new Uint8Array(512 * 64);
  const got = new Uint32Array(512 * FRAME_WORDS);
  receivers.forEach((receiver, index) => {
    const count = io.receive(receiver, inbox, got, 0, 64, 512);
    const offsets = column(got, FRAME_WORDS, FRAME.offset).slice(0, count);
    expect(offsets.map((offset) => new DataView(inbox.buffer).getUint32(offset))).toEqual(wanted[index]);
  });
});

test('receive takes more than one kernel batch, and no more than asked', async () => {
  const port = await freePort();
  const receiver = opened(openLoopback(io, port));
  const sender = opened(openLoopback(io, 0));
  const arena = new Uint8Array(600 * 16);
  const table = sendTable(Array.from({ length: 600 }, (_, index) => ({ offset: index * 16, length: 16, port })));
  for (let index = 0; index < 600; index++) new DataView(arena.buffer).setUint32(index * 16, index);
  expect(io.send(Int32Array.of(sender), arena, table, 600, 100)).toBe(600);
  const inbox = new Uint8Array(600 * 16);
  const got = new Uint32Array(600 * FRAME_WORDS);
  expect(io.receive(receiver, inbox, got, 0, 16, 500)).toBe(500);
  expect(column(got, FRAME_WORDS, FRAME.offset).slice(0, 500)).toEqual(Array.from({ length: 500 }, (_, index) => index * 16));
  expect(inbox.subarray(0, 8000)).toEqual(arena.subarray(0, 8000));
  expect(io.receive(receiver, inbox, got, 0, 16, 600)).toBe(100);
});

test('a send-only socket receives nothing', async () => {
  const port = await freePort();
  const deaf = opened(openLoopback(io, port, { sendOnly: true }));
  const sender = opened(openLoopback(io, 0));
  const table = sendTable([{ offset: 0, length: 64, port }]);
  expect(io.send(Int32Array.of(sender), new Uint8Array(64), table, 1, 0)).toBe(1);
  expect(io.receive(deaf, new Uint8Array(1024), new Uint32Array(32), 0, 128, 8)).toBe(0);
});

test('a row of the other address family fails alone', async () => {
  const port = await freePort();
  const sender = opened(openLoopback(io, 0));
  const table = sendTable([
    { offset: 0, length: 1, port, address: LOOPBACK_6 },
    { offset: 0, length: 1, port },
  ]);
  expect(io.send(Int32Array.of(sender), new Uint8Array(1), table, 2, 0)).toBe(1);
  const errors = sendErrors(table);
  expect(errors[0]).toBeGreaterThan(0);
  expect(errors[1]).toBe(0);
});

test('what the kernel refuses', async () => {
  const port = await freePort();
  opened(openLoopback(io, port));
  const used = thrownBy(() => openLoopback(io, port));
  expect(used).toMatchObject({ code: 'EADDRINUSE', errno: errno.EADDRINUSE, syscall: 'bind', message: 'EADDRINUSE: Address already in use, bind' });
  const options = { family: 4, port: 0, receiveBufferBytes: 4096, sendBufferBytes: 4096, sendOnly: false } as const;
  const foreign = thrownBy(() => io.openUdp({ ...options, address: Uint8Array.of(192, 0, 2, 1) }));
  expect(foreign).toMatchObject({ code: 'EADDRNOTAVAIL', errno: errno.EADDRNOTAVAIL, syscall: 'bind' });
  expect(foreign).toBeInstanceOf(Error);
  expect(io.receive(0x7fff_fff0, new Uint8Array(64), new Uint32Array(4), 0, 64, 1)).toBe(-errno.EBADF);
  expect(thrownBy(() => io.close(0x7fff_fff0))).toMatchObject({ code: 'EBADF', syscall: 'close' });
});

test('an IPv6 socket leaves the port to IPv4', async (context) => {
  context.skip(!family6, 'no IPv6 loopback on this machine');
  const port = await freePort();
  const options = { port, receiveBufferBytes: 4096, sendBufferBytes: 4096, sendOnly: true } as const;
  opened(io.openUdp({ ...options, family: 6, address: new Uint8Array(16) }));
  const both = thrownBy(() => opened(io.openUdp({ ...options, family: 4, address: new Uint8Array(4) })));
  expect(both).toBeUndefined();
});

test('sockets are non-blocking and close-on-exec', () => {
  const flags = descriptorFlags(opened(openLoopback(io, 0)));
  expect(flags & 0o2004000).toBe(0o2004000);
});

describe('udpAddress', () => {
  test.each(family6 ? ([4, 6] as const) : ([4] as const))('what an IPv%i socket is bound to', async (family) => {
    const port = await freePort(family === 6 ? '::1' : '127.0.0.1');
    const fd = openLoopback(io, port, { family });
    expect(io.udpAddress(fd)).toEqual({ family, address: family === 4 ? LOOPBACK_4 : LOOPBACK_6, port });
    io.close(fd);
  });

  test('of nothing but a UDP socket', async () => {
    const code = (fd: number): string | undefined => thrownBy(() => io.udpAddress(fd))?.code;
    const file = openSync('/dev/null', 'r');
    const netlink = io.openNetlink({ protocol: 0 });
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const tcp = (server as unknown as { _handle: { fd: number } })._handle.fd;
    expect([file, netlink, tcp, 0x7fff_fff0].map(code)).toEqual(['ENOTSOCK', 'EOPNOTSUPP', 'EOPNOTSUPP', 'EBADF']);
    server.close();
    io.close(netlink);
    closeSync(file);
  });
});
