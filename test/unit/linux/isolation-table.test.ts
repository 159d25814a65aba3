// The isolation table against a scripted kernel: one transaction a change, and refusals that say what is missing.
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { NFT } from '../../../src/core/linux/netlink/nfnetlink.ts';
import { IsolationTable } from '../../../src/core/linux/nftables.ts';
import { answerError, FakeNetlink } from './fake-netlink.ts';

const accept = (): FakeNetlink => new FakeNetlink((messages) => messages.slice(1, -1).map((to) => answerError(to, 0)));
const refuse = (errno: number): FakeNetlink => new FakeNetlink((messages) => messages.slice(0, 1).map((to) => answerError(to, errno)));
const typesOf = (io: FakeNetlink): number[][] => io.sent.map((batch) => batch.map((message) => message.type));

test('table and first name are one transaction, every further change one of its own', () => {
  const io = accept();
  const table = new IsolationTable(io, 's1');
  table.remove('overlay0');
  expect(io.sent).toEqual([]);
  table.add('overlay0');
  table.add('overlay0');
  table.add('overlay1');
  table.remove('overlay0');
  table.remove('overlay0');
  expect(typesOf(io)).toEqual([
    [0x10, NFT.newTable, NFT.newChain, NFT.newSet, NFT.newRule, NFT.newSetElement, 0x11],
    [0x10, NFT.newSetElement, 0x11],
    [0x10, NFT.delSetElement, 0x11],
  ]);
  expect([table.has('overlay0'), table.has('overlay1')]).toEqual([false, true]);
  table.close();
  expect(io.closed).toEqual([42]);
});

describe('a refused transaction', () => {
  test.each([
    ['EOPNOTSUPP', 'NFTABLES_MISSING', 'modprobe nf_tables'],
    ['EINVAL', 'NFTABLES_MISSING', 'modprobe nf_tables'],
    ['EEXIST', 'NETLINK_REFUSED', 'another overlayd'],
  ] as const)('%s is %s, and the socket is closed', (errno, code, advice) => {
    const io = refuse(constants.errno[errno]);
    const table = new IsolationTable(io, 's1');
    expect(() => table.add('overlay0')).toThrow(expect.objectContaining({ code, advice: expect.stringContaining(advice) }));
    expect(io.closed).toEqual([42]);
    expect(table.has('overlay0')).toBe(false);
  });

  test('a kernel without NETLINK_NETFILTER does not even give a socket', () => {
    const io = accept();
    io.openNetlink = () => {
      throw Object.assign(new Error('socket'), { code: 'EPROTONOSUPPORT', errno: constants.errno.EPROTONOSUPPORT, syscall: 'socket' });
    };
    expect(() => new IsolationTable(io, 's1').add('overlay0')).toThrow(expect.objectContaining({ code: 'NFTABLES_MISSING' }));
  });

  test('of a further name leaves the others isolated', () => {
    let errno = 0;
    const io = new FakeNetlink((messages) => messages.slice(1, -1).map((to) => answerError(to, errno)));
    const table = new IsolationTable(io, 's1');
    table.add('overlay0');
    errno = constants.errno.ENOMEM;
    expect(() => table.add('overlay1')).toThrow(expect.objectContaining({ code: 'NETLINK_REFUSED' }));
    expect([table.has('overlay0'), table.has('overlay1'), io.closed]).toEqual([true, false, []]);
  });
});
