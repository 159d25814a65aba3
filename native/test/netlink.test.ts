// Netlink: a dump of the links, here and in another namespace, notifications, and what is refused.
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { descriptorFlags, isRoot, loadTested, run, thrownBy, until } from './support.ts';

const io = loadTested();
const [RTM_NEWLINK, RTM_GETLINK, NLMSG_DONE, NLM_F_REQUEST_DUMP] = [16, 18, 3, 0x301] as const;
const HEADER_BYTES = 16;
const IFINFO_BYTES = 16;
const IFLA_IFNAME = 3;
const RTNLGRP_LINK = 1;

/** struct nlmsghdr and struct ifinfomsg of a request for all links. */
function linkRequest(): Uint8Array {
  const message = new DataView(new ArrayBuffer(HEADER_BYTES + IFINFO_BYTES));
  message.setUint32(0, message.byteLength, true);
  message.setUint16(4, RTM_GETLINK, true);
  message.setUint16(6, NLM_F_REQUEST_DUMP, true);
  message.setUint32(8, 77, true);
  return new Uint8Array(message.buffer);
}

function nameOf(link: DataView): string {
  for (let at = IFINFO_BYTES; at + 4 <= link.byteLength; ) {
    const length = link.getUint16(at, true);
    if (link.getUint16(at + 2, true) === IFLA_IFNAME) {
      return Buffer.from(link.buffer, link.byteOffset + at + 4, length - 5).toString();
    }
    at += Math.max(4, (length + 3) & ~3);
  }
  return '';
}

async function linkNames(fd: number): Promise<string[]> {
  const names: string[] = [];
  const buffer = new Uint8Array(65536);
  io.netlinkSend(fd, linkRequest());
  for (let isDone = false; !isDone; ) {
    let length = 0;
    await until('an answer', () => {
      length = io.netlinkReceive(fd, buffer);
      return length > 0;
    });
    for (let at = 0; at < length; ) {
      const message = new DataView(buffer.buffer, at, length - at);
      const bytes = message.getUint32(0, true);
      const type = message.getUint16(4, true);
      if (type === RTM_NEWLINK) names.push(nameOf(new DataView(buffer.buffer, at + HEADER_BYTES, bytes - HEADER_BYTES)));
      isDone ||= type === NLMSG_DONE;
      at += (bytes + 3) & ~3;
    }
  }
  return names;
}

test('a dump of the links names lo', async () => {
  const fd = io.openNetlink({ protocol: 0 });
  try {
    expect(await linkNames(fd)).toContain('lo');
    expect(io.netlinkReceive(fd, new Uint8Array(64))).toBe(0);
    expect(descriptorFlags(fd) & 0o2004000).toBe(0o2004000);
  } finally {
    io.close(fd);
  }
});

test('a message larger than the buffer is an error, not a part of it', async () => {
  const fd = io.openNetlink({ protocol: 0 });
  try {
    io.netlinkSend(fd, linkRequest());
    expect(thrownBy(() => io.netlinkReceive(fd, new Uint8Array(20)))).toMatchObject({ code: 'EMSGSIZE', syscall: 'recvfrom' });
    expect(thrownBy(() => io.netlinkReceive(fd, new Uint8Array(0)))).toBeInstanceOf(RangeError);
  } finally {
    io.close(fd);
  }
});

test('refusals name the call and leave no descriptor open', () => {
  const folder = mkdtempSync(join(tmpdir(), 'packetio-'));
  const file = join(folder, 'file');
  closeSync(openSync(file, 'w'));
  const before = readdirSync('/proc/self/fd').length;
  expect(thrownBy(() => io.openNetlink({ protocol: 0, namespace: join(folder, 'none') }))).toMatchObject({ code: 'ENOENT', syscall: 'open' });
  expect(thrownBy(() => io.openNetlink({ protocol: 0, namespace: file }))).toMatchObject({ syscall: 'setns' });
  expect(thrownBy(() => io.openNetlink({ protocol: 200 }))).toMatchObject({ code: 'EPROTONOSUPPORT', syscall: 'socket' });
  expect(thrownBy(() => io.openNetlink({ protocol: 0, groups: [2 ** 31 - 1] }))).toMatchObject({ code: 'EINVAL', syscall: 'setsockopt' });
  expect(readdirSync('/proc/self/fd').length).toBe(before);
  rmSync(folder, { recursive: true });
});

describe.skipIf(!isRoot)('in another namespace (needs root)', () => {
  const namespace = `pio-${process.pid}`;
  const veth = `pv${process.pid}`;
  beforeAll(() => {
    run('ip', 'netns', 'add', namespace);
    run('ip', '-n', namespace, 'link', 'add', `${veth}a`, 'type', 'veth', 'peer', 'name', `${veth}b`);
  });
  afterAll(() => {
    run('ip', 'netns', 'delete', namespace);
  });

  test('the socket is there, this thread stays here', async () => {
    const there = io.openNetlink({ protocol: 0, namespace: `/run/netns/${namespace}` });
    const here = io.openNetlink({ protocol: 0 });
    try {
      expect(await linkNames(there)).toEqual(expect.arrayContaining(['lo', `${veth}a`, `${veth}b`]));
      expect(await linkNames(here)).not.toContain(`${veth}a`);
    } finally {
      io.close(there);
      io.close(here);
    }
  });

  test('notifications of a group come', async () => {
    const fd = io.openNetlink({ protocol: 0, namespace: `/run/netns/${namespace}`, groups: [RTNLGRP_LINK] });
    const buffer = new Uint8Array(65536);
    try {
      expect(io.netlinkReceive(fd, buffer)).toBe(0);
      run('ip', '-n', namespace, 'link', 'set', `${veth}a`, 'mtu', '1400');
      await until('a notification', () => io.netlinkReceive(fd, buffer) > 0);
      expect(new DataView(buffer.buffer).getUint16(4, true)).toBe(RTM_NEWLINK);
    } finally {
      io.close(fd);
    }
  });
});
