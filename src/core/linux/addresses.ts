// Addresses of this host by rtnetlink, and what follows from them: may a socket be bound, and how much fits through.
import { type IpAddress, ipFamily, ipFromBytes, ipScope, ipToBytes } from '@overlayadm/api';
import { host, type NetlinkMessage } from './netlink/message.ts';
import { AF, IFA, IFA_F, IFADDR_BYTES, ifaddrmsg, RT_SCOPE_HOST, RTM } from './netlink/rtnetlink.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import type { LinkInfo } from './types.ts';

export interface HostAddress {
  readonly ip: IpAddress;
  readonly prefixBits: number;
  readonly linkIndex: number;
  /** Of the host itself (loopback), RT_SCOPE_HOST. */
  readonly scopeHost: boolean;
  /** False while duplicate address detection has not passed it. */
  readonly usable: boolean;
}

/** Reads an RTM_NEWADDR message; undefined when it is not one, or of another family. */
export function readAddress(message: NetlinkMessage): HostAddress | undefined {
  const { body } = message;
  const [family, prefixBits, shortFlags, scope] = body;
  const linkIndex = host.readU32(body, 4);
  if (message.type !== RTM.newAddr || linkIndex === undefined || prefixBits === undefined || shortFlags === undefined) return undefined;
  const attributes = host.readAttributes(body, IFADDR_BYTES);
  // On a point-to-point link IFA_ADDRESS is the address of the other end, and IFA_LOCAL ours.
  const bytes = attributes.get(IFA.local) ?? attributes.get(IFA.address);
  const length = family === AF.inet ? 4 : family === AF.inet6 ? 16 : undefined;
  if (bytes === undefined || bytes.length !== length) return undefined;
  const flags = host.readU32(attributes.get(IFA.flags)) ?? shortFlags;
  return {
    ip: ipFromBytes(bytes),
    prefixBits,
    linkIndex,
    scopeHost: scope === RT_SCOPE_HOST,
    usable: (flags & (IFA_F.tentative | IFA_F.dadFailed)) === 0,
  };
}

export function listAddresses(socket: NetlinkSocket): HostAddress[] {
  const messages = socket.dump({ subject: 'addresses', action: 'be listed' }, RTM.getAddr, ifaddrmsg());
  return messages.map(readAddress).filter((address) => address !== undefined);
}

function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let at = 0; at < a.length && at * 8 < bits; at++) {
    const mask = bits >= at * 8 + 8 ? 0xff : 0xff << (at * 8 + 8 - bits);
    if ((((a[at] ?? 0) ^ (b[at] ?? 0)) & mask & 0xff) !== 0) return false;
  }
  return true;
}

/** The whole of 127.0.0.0/8 is the host's, not only 127.0.0.1: the kernel makes a prefix of scope host a local route. */
function carries(have: HostAddress, ip: IpAddress): boolean {
  if (have.ip === ip) return have.usable;
  if (!have.scopeHost || ipFamily(ip) !== 4 || ipFamily(have.ip) !== 4) return false;
  return samePrefix(ipToBytes(have.ip), ipToBytes(ip), have.prefixBits);
}

export const hasAddress = (addresses: readonly HostAddress[], ip: IpAddress): boolean =>
  ipScope(ip) === 'unspecified' || addresses.some((address) => carries(address, ip));

/** Indexes of the links that have the address; for an unspecified one, that have any of its family. */
export function carriersOf(addresses: readonly HostAddress[], ip: IpAddress): ReadonlySet<number> {
  const anywhere = ipScope(ip) === 'unspecified';
  const carriers = addresses.filter((address) => (anywhere ? ipFamily(address.ip) === ipFamily(ip) : carries(address, ip)));
  return new Set(carriers.map((address) => address.linkIndex));
}

/** See KernelNetwork.routeMtu(). `links`: those of carriersOf() at least. */
export function routeMtu(addresses: readonly HostAddress[], links: readonly LinkInfo[], ip: IpAddress): number | undefined {
  const anywhere = ipScope(ip) === 'unspecified';
  const indexes = carriersOf(addresses, ip);
  const mtus = links
    .filter((link) => indexes.has(link.index) && (!anywhere || (link.up && !link.loopback && link.mark === undefined)))
    .map((link) => link.mtu);
  return mtus.length === 0 ? undefined : Math.min(...mtus);
}
