// Routes as the kernel tells of them: what is read, what is made of it, what is asked.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { host } from '../../../src/core/linux/netlink/message.ts';
import { NETLINK, NetlinkSocket } from '../../../src/core/linux/netlink/socket.ts';
import { mtuOf, readRoute, routeTo } from '../../../src/core/linux/routes.ts';
import { ipOf } from '../../helpers/frames.ts';
import { answerError, FakeNetlink } from './fake-netlink.ts';

const NEW_ROUTE = 24;
const header = new Uint8Array(12);
const outLink = host.attribute(4, host.u32(7));
const metrics = (mtu: number): Uint8Array => host.nested(8, host.attribute(2, host.u32(mtu)));
const route = (...parts: Uint8Array[]) => readRoute({ type: NEW_ROUTE, flags: 0, sequence: 0, body: Buffer.concat([header, ...parts]) });
type Links = Parameters<typeof mtuOf>[1];
const links = [
  { index: 3, mtu: 9000 },
  { index: 7, mtu: 1500 },
] as unknown as Links;

describe('a route', () => {
  it('is its link, and the MTU it has of its own', () => {
    expect(route(outLink)).toEqual({ linkIndex: 7, mtu: undefined });
    expect(route(metrics(1280), outLink)).toEqual({ linkIndex: 7, mtu: 1280 });
    expect(route(metrics(0), outLink)).toEqual({ linkIndex: 7, mtu: undefined });
    expect(route(metrics(1280))).toBeUndefined();
    expect(readRoute({ type: 16, flags: 0, sequence: 0, body: Buffer.concat([header, outLink]) })).toBeUndefined();
  });

  it('carries what both carry; nothing is known without one', () => {
    expect(mtuOf({ linkIndex: 7, mtu: undefined }, links)).toBe(1500);
    expect(mtuOf({ linkIndex: 7, mtu: 1280 }, links)).toBe(1280);
    expect(mtuOf({ linkIndex: 7, mtu: 9000 }, links)).toBe(1500);
    expect(mtuOf({ linkIndex: 8, mtu: 1400 }, links)).toBe(1400);
    expect(mtuOf({ linkIndex: 8, mtu: undefined }, links)).toBeUndefined();
    expect(mtuOf(undefined, links)).toBeUndefined();
  });

  it('is read from any bytes without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
        readRoute({ type: NEW_ROUTE, flags: 0, sequence: 0, body });
      }),
    );
  });
});

it.each([
  ['with the source, which policy rules may look at', '192.0.2.1', '192.0.2.9', [2, 32, 32]],
  ['without one that says nothing', '0.0.0.0', '192.0.2.9', [2, 32, 0]],
  ['for IPv6', '2001:db8::1', '2001:db8::9', [10, 128, 128]],
])('is asked for %s', (_what, from, to, head) => {
  const netlink = new FakeNetlink(([asked]) => [
    host.message(NEW_ROUTE, 0, asked?.sequence ?? 0, header, outLink),
    ...(asked === undefined ? [] : [answerError(asked, 0)]),
  ]);
  const socket = new NetlinkSocket(netlink, { protocol: NETLINK.route });
  expect(routeTo(socket, ipOf(from), ipOf(to))).toEqual({ linkIndex: 7, mtu: undefined });
  const asked = netlink.sent[0]?.[0];
  if (asked === undefined) throw new Error('nothing was asked');
  expect([asked.type, ...asked.body.subarray(0, 3)]).toEqual([26, ...head]);
  const attributes = host.readAttributes(asked.body, 12);
  expect([...attributes.keys()]).toEqual(from === '0.0.0.0' ? [1] : [1, 2]);
  expect(attributes.get(1)?.at(-1)).toBe(9);
});
