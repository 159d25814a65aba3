// Links by rtnetlink: read, change, make and delete, within the network namespace of the socket that is handed in.
import { constants } from 'node:os';
import { type MacAddress, macFromBytes, macToBytes, OverlayError } from '@overlayadm/api';
import { MAX_LINK_NAME_BYTES } from '../util/limits.ts';
import { parseMark } from './marks.ts';
import { cString, host, type NetlinkMessage, NLM_F, readText } from './netlink/message.ts';
import {
  AF,
  ARPHRD_ETHER,
  IFF,
  IFINFO_BYTES,
  IFLA,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INFO,
  IFLA_MACVLAN_MODE,
  IN6_ADDR_GEN_MODE_NONE,
  ifinfomsg,
  LINK_STATISTICS,
  MACVLAN_MODE_BRIDGE,
  RTEXT_FILTER_SKIP_STATS,
  RTM,
} from './netlink/rtnetlink.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { encodeNoQueue, RTM_TC } from './netlink/traffic-control.ts';
import type { LinkInfo, LinkStatistics } from './types.ts';
import { vxlanOf } from './vxlan.ts';

const skipStatistics = (): Uint8Array => host.attribute(IFLA.extMask, host.u32(RTEXT_FILTER_SKIP_STATS));

/** Reads an RTM_NEWLINK message; undefined when it is not one, or names no link. `stateId` decides what is ours. */
export function readLink(message: NetlinkMessage, stateId: string): LinkInfo | undefined {
  const { body } = message;
  const index = host.readI32(body, 4);
  const flags = host.readU32(body, 8);
  if (message.type !== RTM.newLink || index === undefined || flags === undefined || body.length < IFINFO_BYTES) return undefined;
  const attributes = host.readAttributes(body, IFINFO_BYTES);
  const name = readText(attributes.get(IFLA.ifName));
  if (name === undefined) return undefined;
  const info = host.readAttributes(attributes.get(IFLA.linkInfo));
  const kind = readText(info.get(IFLA_INFO.kind));
  const address = attributes.get(IFLA.address);
  const alias = readText(attributes.get(IFLA.alias));
  const mark = parseMark(alias);
  return {
    name,
    index,
    mac: host.readU16(body, 2) === ARPHRD_ETHER && address?.length === 6 ? macFromBytes(address) : undefined,
    mtu: host.readU32(attributes.get(IFLA.mtu)) ?? 0,
    up: (flags & IFF.up) !== 0,
    carrier: (flags & IFF.lowerUp) !== 0,
    noarp: (flags & IFF.noarp) !== 0,
    loopback: (flags & IFF.loopback) !== 0,
    kind,
    alias,
    mark,
    ours: mark?.stateId === stateId,
    lowerIndex: host.readU32(attributes.get(IFLA.link)),
    lowerNetnsId: host.readI32(attributes.get(IFLA.linkNetnsId)),
    ...(kind === 'vxlan' ? { vxlan: vxlanOf(host.readAttributes(info.get(IFLA_INFO.data))) } : {}),
  };
}

/** The link of this index; undefined when there is none. */
export function getLinkAt(socket: NetlinkSocket, index: number, stateId: string): LinkInfo | undefined {
  try {
    const answers = socket.request({ subject: `link ${index}`, action: 'be read' }, RTM.getLink, 0, ifinfomsg({ index }), skipStatistics());
    return answers.map((answer) => readLink(answer, stateId)).find((link) => link !== undefined);
  } catch (error) {
    if (OverlayError.is(error) && error.code === 'LINK_NOT_FOUND') return undefined;
    throw error;
  }
}

/** The link of this name or other name (IFLA_ALT_IFNAME); undefined when there is none. */
export function getLink(socket: NetlinkSocket, name: string, stateId: string): LinkInfo | undefined {
  if (name === '' || Buffer.byteLength(name) > MAX_LINK_NAME_BYTES) return undefined;
  try {
    const answers = socket.request(
      { subject: name, action: 'be read' },
      RTM.getLink,
      0,
      ifinfomsg({}),
      skipStatistics(),
      host.attribute(IFLA.ifName, cString(name)),
    );
    return answers.map((answer) => readLink(answer, stateId)).find((link) => link !== undefined);
  } catch (error) {
    if (OverlayError.is(error) && error.code === 'LINK_NOT_FOUND') return undefined;
    throw error;
  }
}

export function listLinks(socket: NetlinkSocket, stateId: string): LinkInfo[] {
  const messages = socket.dump({ subject: 'links', action: 'be listed' }, RTM.getLink, ifinfomsg({}), skipStatistics());
  return messages.map((message) => readLink(message, stateId)).filter((link) => link !== undefined);
}

/** Reads the counters of an RTM_NEWLINK message; undefined when it has none, or not all. */
export function readStatistics({ type, body }: NetlinkMessage): LinkStatistics | undefined {
  if (type !== RTM.newLink || body.length < IFINFO_BYTES) return undefined;
  const bytes = host.readAttributes(body, IFINFO_BYTES).get(IFLA.statistics64);
  const values = Object.entries(LINK_STATISTICS).map(([name, place]) => [name, host.readU64(bytes, 8 * place)] as const);
  return values.every(([, value]) => value !== undefined) ? (Object.fromEntries(values) as unknown as LinkStatistics) : undefined;
}

/** @throws OverlayError LINK_NOT_FOUND */
export function getStatistics(socket: NetlinkSocket, index: number): LinkStatistics {
  const subject = `link ${index}`;
  const answers = socket.request({ subject, action: 'be read' }, RTM.getLink, 0, ifinfomsg({ index }));
  const statistics = answers.map(readStatistics).find((each) => each !== undefined);
  if (statistics !== undefined) return statistics;
  throw new OverlayError('NETLINK_NO_ANSWER', `${subject}: the kernel gave no statistics`);
}

/** Only what is given changes. */
export interface LinkChanges {
  readonly up?: boolean;
  readonly noarp?: boolean;
  /** Bytes. */
  readonly mtu?: number;
  readonly alias?: string;
  readonly mac?: MacAddress;
  /** Frames. */
  readonly txQueueLength?: number;
  /** No IPv6 link-local address when the link goes up (IN6_ADDR_GEN_MODE_NONE). */
  readonly ip6AddrGenNone?: true;
}

function changedFlags(changes: LinkChanges): { flags: number; change: number } {
  const wanted: readonly (readonly [number, boolean | undefined])[] = [
    [IFF.up, changes.up],
    [IFF.noarp, changes.noarp],
  ];
  const bits = (keep: (on: boolean | undefined) => boolean): number => wanted.reduce((sum, [bit, on]) => (keep(on) ? sum | bit : sum), 0);
  return { flags: bits((on) => on === true), change: bits((on) => on !== undefined) };
}

/** The attributes of a change; exported for its golden bytes. */
export function encodeChanges(changes: LinkChanges): Uint8Array[] {
  const parts: Uint8Array[] = [];
  if (changes.mtu !== undefined) parts.push(host.attribute(IFLA.mtu, host.u32(changes.mtu)));
  if (changes.mac !== undefined) parts.push(host.attribute(IFLA.address, macToBytes(changes.mac)));
  if (changes.txQueueLength !== undefined) parts.push(host.attribute(IFLA.txQueueLength, host.u32(changes.txQueueLength)));
  if (changes.alias !== undefined) parts.push(host.attribute(IFLA.alias, cString(changes.alias)));
  if (changes.ip6AddrGenNone) {
    const mode = host.attribute(IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(IN6_ADDR_GEN_MODE_NONE));
    parts.push(host.nested(IFLA.afSpec, host.nested(AF.inet6, mode)));
  }
  return parts;
}

/** All changes in one message, but not as a transaction: the kernel applies them one after the other. */
export function setLink(socket: NetlinkSocket, link: Pick<LinkInfo, 'name' | 'index'>, changes: LinkChanges): void {
  const header = ifinfomsg({ index: link.index, ...changedFlags(changes) });
  socket.request({ subject: link.name, action: 'be changed' }, RTM.setLink, 0, header, ...encodeChanges(changes));
}

/**
 * The queue of a TAP is the one that its reader takes frames from. Without this the kernel makes one more for each of the 256 transmit
 * queues that a TAP may have, three times txqueuelen long: 25 MB for every overlay (net/sched/sch_generic.c, attach_default_qdiscs(),
 * pfifo_fast_init()). Only for a link that is down: on one that is up frames would be lost meanwhile. A kernel that has no such
 * qdisc, or no traffic control at all, goes without.
 */
export function withoutQdisc(socket: NetlinkSocket, { name, index }: Pick<LinkInfo, 'name' | 'index'>): void {
  try {
    socket.request({ subject: name, action: 'be given its qdisc' }, RTM_TC.newQdisc, NLM_F.create | NLM_F.replace, ...encodeNoQueue(index));
  } catch (error) {
    const { errno } = OverlayError.is(error) ? error.details : {};
    if (errno !== constants.errno.EOPNOTSUPP && errno !== constants.errno.ENOENT) throw error;
  }
}

export interface MacvlanSpec {
  readonly name: string;
  /** In the namespace of the socket. */
  readonly lowerIndex: number;
  readonly mac: MacAddress;
  /** Bytes. */
  readonly mtu: number;
  /** Descriptor of the namespace it is made in; without it the socket's own. */
  readonly netnsFd?: number;
  /** Made down: something has to be done to it before a frame may pass. */
  readonly down?: boolean;
}

export function encodeMacvlan(spec: MacvlanSpec): Uint8Array[] {
  const mode = host.attribute(IFLA_MACVLAN_MODE, host.u32(MACVLAN_MODE_BRIDGE));
  return [
    ifinfomsg({ flags: spec.down ? 0 : IFF.up, change: IFF.up }),
    host.attribute(IFLA.ifName, cString(spec.name)),
    host.attribute(IFLA.link, host.u32(spec.lowerIndex)),
    host.attribute(IFLA.address, macToBytes(spec.mac)),
    host.attribute(IFLA.mtu, host.u32(spec.mtu)),
    ...(spec.netnsFd === undefined ? [] : [host.attribute(IFLA.netNsFd, host.u32(spec.netnsFd))]),
    host.nested(IFLA.linkInfo, host.attribute(IFLA_INFO.kind, cString('macvlan')), host.nested(IFLA_INFO.data, mode)),
  ];
}

/** Says what the kernel means by errors that mean something of their own here (drivers/net/macvlan.c). */
function macvlanError({ name, mac }: MacvlanSpec, error: unknown): unknown {
  const { errno } = OverlayError.is(error) ? error.details : {};
  const parts = { details: { errno, mac }, cause: error };
  if (errno === constants.errno.EADDRINUSE) {
    return new OverlayError('VNIC_MAC_IN_USE', `${name}: cannot be made, its MAC address ${mac} is in use on this overlay`, {
      ...parts,
      advice: 'Give it another one with -m.',
    });
  }
  if (errno === constants.errno.EBUSY) {
    return new OverlayError('LINK_BUSY', `${name}: cannot be made, the link below it is part of something else (EBUSY)`, {
      ...parts,
      advice: 'Take that link out of its bridge or bond ("ip link set LINK nomaster").',
    });
  }
  if (errno !== constants.errno.EOPNOTSUPP) return error;
  return new OverlayError('MACVLAN_MISSING', `${name}: cannot be made, the kernel has no macvlan (EOPNOTSUPP)`, {
    ...parts,
    advice: 'Load it with "modprobe macvlan", or use a kernel with CONFIG_MACVLAN.',
  });
}

/**
 * Made, and up unless told otherwise, in one message in its own namespace: it never stands anywhere else. Without mark, because a link is not
 * given an alias while it is made (net/core/rtnetlink.c, rtnl_create_link()).
 */
export function addMacvlan(socket: NetlinkSocket, spec: MacvlanSpec): void {
  try {
    socket.request({ subject: spec.name, action: 'be made' }, RTM.newLink, NLM_F.create | NLM_F.excl, ...encodeMacvlan(spec));
  } catch (error) {
    throw macvlanError(spec, error);
  }
}

export function deleteLink(socket: NetlinkSocket, link: Pick<LinkInfo, 'name' | 'index'>): void {
  socket.request({ subject: link.name, action: 'be deleted' }, RTM.delLink, 0, ifinfomsg({ index: link.index }));
}
