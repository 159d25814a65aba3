// The way to an address of the underlay, by rtnetlink: how large a packet may be on it.
import { type IpAddress, ipFamily, ipScope, ipToBytes } from '@overlayadm/api';
import { concat, host, type NetlinkMessage } from './netlink/message.ts';
import { AF, RTA, RTAX_MTU, RTM, RTMSG_BYTES, rtmsg } from './netlink/rtnetlink.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import type { LinkInfo } from './types.ts';

export interface RouteFacts {
  /** Index of the link it leaves by. */
  readonly linkIndex: number;
  /** The route's own MTU: configured, or what routers on the path have said (RFC 1191, RFC 8201). Bytes. */
  readonly mtu: number | undefined;
}

/** Reads an RTM_NEWROUTE message; undefined when it is not one, or names no link. */
export function readRoute({ type, body }: NetlinkMessage): RouteFacts | undefined {
  if (type !== RTM.newRoute || body.length < RTMSG_BYTES) return undefined;
  const attributes = host.readAttributes(body, RTMSG_BYTES);
  const linkIndex = host.readU32(attributes.get(RTA.oif));
  if (linkIndex === undefined) return undefined;
  const mtu = host.readU32(host.readAttributes(attributes.get(RTA.metrics)).get(RTAX_MTU));
  return { linkIndex, mtu: mtu === 0 ? undefined : mtu };
}

/** The route that a packet from `from` (unspecified: any address) to `to` takes now. @throws OverlayError when there is none. */
export function routeTo(socket: NetlinkSocket, from: IpAddress, to: IpAddress): RouteFacts | undefined {
  const [bytes, source] = [ipToBytes(to), ipToBytes(from)];
  const family = ipFamily(to) === 4 ? AF.inet : AF.inet6;
  const hasSource = ipScope(from) !== 'unspecified';
  const attributes = [host.attribute(RTA.destination, bytes), ...(hasSource ? [host.attribute(RTA.source, source)] : [])];
  const header = rtmsg(family, bytes.length * 8, hasSource ? source.length * 8 : 0);
  const answers = socket.request({ subject: `route to ${to}`, action: 'be read' }, RTM.getRoute, 0, header, concat(attributes));
  return answers.map(readRoute).find((route) => route !== undefined);
}

/** See KernelNetwork.mtuTo(). */
export function mtuOf(route: RouteFacts | undefined, links: readonly LinkInfo[]): number | undefined {
  const known = [links.find((link) => link.index === route?.linkIndex)?.mtu, route?.mtu].filter((mtu) => mtu !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
