// Question and answer over a netlink socket: acknowledgements, refusals, interrupted dumps, and a kernel that says nothing.
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { host, NLM_F } from '../../../src/core/linux/netlink/message.ts';
import { NetlinkSocket } from '../../../src/core/linux/netlink/socket.ts';
import { MAX_DUMP_ATTEMPTS } from '../../../src/core/util/limits.ts';
import { type Answer, answerDone, answerError, FakeNetlink } from './fake-netlink.ts';

const purpose = { subject: 'vnic0', action: 'be made' };

function socketWith(answer: Answer): { socket: NetlinkSocket; io: FakeNetlink } {
  const io = new FakeNetlink(answer);
  return { socket: new NetlinkSocket(io, { protocol: 0 }), io };
}

describe('request', () => {
  test('asks for an acknowledgement and gives back what came before it', () => {
    const { socket, io } = socketWith(([to]) => (to ? [host.message(16, 0, to.sequence, host.u32(5)), answerError(to, 0)] : []));
    expect(socket.request(purpose, 18, 0, host.u32(1)).map((message) => message.type)).toEqual([16]);
    expect(io.sent[0]?.[0]).toMatchObject({ type: 18, flags: NLM_F.request | NLM_F.ack });
  });

  test('answers to earlier questions are passed over', () => {
    const { socket } = socketWith(([to]) => (to ? [answerError({ ...to, sequence: to.sequence - 1 }, 1), answerError(to, 0)] : []));
    expect(socket.request(purpose, 18, 0)).toEqual([]);
  });

  test('one empty read is no silence, only empty reads are', () => {
    const { socket } = socketWith(([to]) => (to && to.sequence < 2 ? [new Uint8Array(0), answerError(to, 0)] : []));
    expect(socket.request(purpose, 18, 0)).toEqual([]);
    expect(() => socket.request(purpose, 18, 0)).toThrow(expect.objectContaining({ code: 'NETLINK_NO_ANSWER' }));
  });

  test.each([
    ['EPERM', 'NOT_PERMITTED', 'vnic0: cannot be made, this needs CAP_NET_ADMIN (EPERM)'],
    ['EEXIST', 'LINK_EXISTS', 'vnic0: exists already'],
    ['EBUSY', 'LINK_BUSY', 'vnic0: cannot be made, it is in use (EBUSY)'],
    ['ENODEV', 'LINK_NOT_FOUND', 'vnic0: does not exist'],
    ['EINVAL', 'NETLINK_REFUSED', 'vnic0: cannot be made (EINVAL: invalid argument)'],
  ] as const)('%s is %s', (name, code, message) => {
    const { socket } = socketWith(([to]) => (to ? [answerError(to, constants.errno[name])] : []));
    const details = { errno: constants.errno[name], code: name };
    expect(() => socket.request(purpose, 16, 0)).toThrow(expect.objectContaining({ code, message, details }));
  });
});

describe('dump', () => {
  const link = (to: { sequence: number }, n: number, flags = 2): Uint8Array => host.message(16, flags, to.sequence, host.u32(n));

  test('collects the messages of all parts', () => {
    const { socket, io } = socketWith(([to]) =>
      to ? [Buffer.concat([link(to, 1), link(to, 2)]), Buffer.concat([link(to, 3), answerDone(to)])] : [],
    );
    expect(socket.dump(purpose, 18).map((message) => host.readU32(message.body))).toEqual([1, 2, 3]);
    expect(io.sent[0]?.[0]?.flags).toBe(NLM_F.request | NLM_F.dump);
  });

  test('is begun anew when the table changed under it', () => {
    const { socket, io } = socketWith(([to]) => (to ? [link(to, to.sequence, to.sequence === 1 ? 0x12 : 2), answerDone(to)] : []));
    expect(socket.dump(purpose, 18).map((message) => host.readU32(message.body))).toEqual([2]);
    expect(io.sent).toHaveLength(2);
  });

  test('gives up on a table that never stands still', () => {
    const { socket, io } = socketWith(([to]) => (to ? [answerDone(to, 0x12)] : []));
    expect(() => socket.dump(purpose, 18)).toThrow(expect.objectContaining({ code: 'NETLINK_NO_ANSWER' }));
    expect(io.sent).toHaveLength(MAX_DUMP_ATTEMPTS);
  });

  test('an error at its end is an error', () => {
    const { socket } = socketWith(([to]) => (to ? [answerDone(to, 2, constants.errno.EPERM)] : []));
    expect(() => socket.dump(purpose, 18)).toThrow(expect.objectContaining({ code: 'NOT_PERMITTED' }));
  });
});

describe('batch', () => {
  const batch = [
    { type: 16, flags: 0, body: [] },
    { type: 1, flags: NLM_F.ack, body: [] },
    { type: 2, flags: NLM_F.ack, body: [] },
  ];

  test('goes as one datagram, and waits for every acknowledgement asked for', () => {
    const { socket, io } = socketWith((messages) => messages.slice(1).map((to) => answerError(to, 0)));
    expect(socket.batch(purpose, batch)).toBeUndefined();
    expect(io.sent).toHaveLength(1);
    expect(io.sent[0]).toHaveLength(3);
  });

  test.each([0, 1, 2])('names message %i as the one that was refused', (index) => {
    const { socket } = socketWith((messages) => messages.slice(index, index + 1).map((to) => answerError(to, constants.errno.EOPNOTSUPP)));
    expect(socket.batch(purpose, batch)).toEqual({ index, errno: constants.errno.EOPNOTSUPP });
  });

  test('a missing acknowledgement is an error', () => {
    const { socket } = socketWith((messages) => messages.slice(1, 2).map((to) => answerError(to, 0)));
    expect(() => socket.batch(purpose, batch)).toThrow(expect.objectContaining({ code: 'NETLINK_NO_ANSWER' }));
  });
});

test('closes its descriptor', () => {
  const { socket, io } = socketWith(() => []);
  socket.close();
  expect(io.closed).toEqual([42]);
});
