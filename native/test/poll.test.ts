// Waiting: wakes, tokens, timeouts, level triggering.
import { afterEach, expect, test } from 'vitest';
import { descriptorFlags, freePort, loadTested, openLoopback, sendTable, thrownBy } from './support.ts';

const io = loadTested();
const open: number[] = [];
const opened = (fd: number): number => {
  open.push(fd);
  return fd;
};
afterEach(() => {
  for (const fd of open.splice(0)) io.close(fd);
});

test('a wake is seen until it is drained, with its token', () => {
  const poll = opened(io.openPoll());
  const wake = opened(io.openWake());
  const tokens = new Uint32Array(4);
  io.pollAdd(poll, wake, 0xffff_fffe);
  expect(io.wait(poll, tokens, 0)).toBe(0);
  io.wake(wake);
  io.wake(wake);
  expect(io.wait(poll, tokens, 1000)).toBe(1);
  expect(tokens[0]).toBe(0xffff_fffe);
  expect(io.wait(poll, tokens, 0)).toBe(1);
  io.drainWake(wake);
  expect(io.wait(poll, tokens, 0)).toBe(0);
  io.drainWake(wake);
  io.wake(wake);
  io.pollRemove(poll, wake);
  expect(io.wait(poll, tokens, 0)).toBe(0);
});

test('waits as long as it was told', () => {
  const poll = opened(io.openPoll());
  const begin = performance.now();
  expect(io.wait(poll, new Uint32Array(1), 30)).toBe(0);
  const took = performance.now() - begin;
  expect(took).toBeGreaterThanOrEqual(29);
});

test('many ready descriptors: never more tokens than there is room', async () => {
  const poll = opened(io.openPoll());
  for (let token = 0; token < 100; token++) {
    const wake = opened(io.openWake());
    io.wake(wake);
    io.pollAdd(poll, wake, token);
  }
  const tokens = new Uint32Array(200).fill(9999);
  expect(io.wait(poll, tokens.subarray(0, 3), 0)).toBe(3);
  expect(tokens[3]).toBe(9999);
  expect(io.wait(poll, tokens, 0)).toBe(64);
  expect(thrownBy(() => io.wait(poll, new Uint32Array(0), 0))).toBeInstanceOf(RangeError);
});

test('a datagram wakes', async () => {
  const port = await freePort();
  const poll = opened(io.openPoll());
  const socket = opened(openLoopback(io, port));
  io.pollAdd(poll, socket, 7);
  io.send(Int32Array.of(socket), new Uint8Array(1), sendTable([{ offset: 0, length: 1, port }]), 1, 0);
  const tokens = new Uint32Array(1);
  expect(io.wait(poll, tokens, 1000)).toBe(1);
  expect(tokens[0]).toBe(7);
});

test('refusals, and close-on-exec', () => {
  const poll = opened(io.openPoll());
  const wake = opened(io.openWake());
  io.pollAdd(poll, wake, 1);
  expect(thrownBy(() => io.pollAdd(poll, wake, 1))).toMatchObject({ code: 'EEXIST', syscall: 'epoll_ctl' });
  expect(thrownBy(() => io.pollRemove(poll, poll))).toMatchObject({ syscall: 'epoll_ctl' });
  expect(thrownBy(() => io.wait(wake, new Uint32Array(1), 0))).toMatchObject({ code: 'EINVAL', syscall: 'epoll_wait' });
  expect(descriptorFlags(poll) & 0o2000000).toBe(0o2000000);
  expect(descriptorFlags(wake) & 0o2004000).toBe(0o2004000);
});
