// Numbers of rtnetlink that we use, and its fixed headers (rtnetlink(7); include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour,net_namespace}.h).
import { concat, host } from './message.ts';

export const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddr: 20,
  getAddr: 22,
  newRoute: 24,
  getRoute: 26,
  newNeighbour: 28,
  getNeighbour: 30,
  newNsid: 88,
  getNsid: 90,
} as const;

export const AF = { unspec: 0, inet: 2, bridge: 7, inet6: 10 } as const;

/** ARPHRD_ETHER (if_arp.h). */
export const ARPHRD_ETHER = 1;

export const IFF = { up: 0x1, loopback: 0x8, noarp: 0x80, lowerUp: 0x1_0000 } as const;

export const IFLA = {
  address: 1,
  ifName: 3,
  mtu: 4,
  link: 5,
  txQueueLength: 13,
  linkInfo: 18,
  alias: 20,
  statistics64: 23,
  afSpec: 26,
  netNsFd: 28,
  extMask: 29,
  linkNetnsId: 37,
} as const;
export const IFLA_INFO = { kind: 1, data: 2 } as const;
export const IFLA_MACVLAN_MODE = 1;
export const MACVLAN_MODE_BRIDGE = 4;
export const IFLA_INET6_ADDR_GEN_MODE = 8;
export const IN6_ADDR_GEN_MODE_NONE = 1;
export const IFLA_VXLAN = {
  id: 1,
  local: 4,
  learning: 7,
  portRange: 10,
  port: 15,
  local6: 17,
  collectMetadata: 25,
  /** Linux 4.20. */
  df: 29,
  /** Linux 6.5. */
  localBypass: 31,
  /** Linux 6.14. */
  reservedBits: 33,
} as const;
/** enum ifla_vxlan_df: 0 unset, 1 set, 2 as the inner packet has it. */
export const VXLAN_DF_SET = 1;
/** struct vxlanhdr: the two words of a VXLAN header. */
export const VXLAN_HEADER_BYTES = 8;
/** struct rtnl_link_stats64 (if_link.h): numbers of 64 bits, by their place. */
export const LINK_STATISTICS = {
  rxFrames: 0,
  txFrames: 1,
  rxBytes: 2,
  txBytes: 3,
  rxErrors: 4,
  txErrors: 5,
  rxDropped: 6,
  txDropped: 7,
  txAborted: 16,
  txCarrier: 17,
} as const;
/** Leaves statistics out of a dump of links (RTEXT_FILTER_SKIP_STATS). */
export const RTEXT_FILTER_SKIP_STATS = 8;

export const NDA = { destination: 1, mac: 2, port: 6, master: 9 } as const;
export const NTF_EXT_LEARNED = 0x10;

export const IFA = { address: 1, local: 2, flags: 8 } as const;
/** Addresses that cannot be bound (yet): duplicate address detection runs, or has found a duplicate. */
export const IFA_F = { dadFailed: 0x08, tentative: 0x40 } as const;
export const RT_SCOPE_HOST = 254;

export const RTA = { destination: 1, source: 2, oif: 4, metrics: 8 } as const;
export const RTAX_MTU = 2;

export const NETNSA = { nsid: 1, fd: 3 } as const;
export const NETNSA_NSID_NOT_ASSIGNED = -1;

export const IFINFO_BYTES = 16;
export const IFADDR_BYTES = 8;
export const RTGEN_BYTES = 4;
export const RTMSG_BYTES = 12;
export const NDMSG_BYTES = 12;

/** struct ifinfomsg. Only flags whose bit is in `change` are set. */
export const ifinfomsg = (parts: { family?: number; index?: number; flags?: number; change?: number }): Uint8Array =>
  concat([Uint8Array.of(parts.family ?? AF.unspec, 0, 0, 0), host.u32(parts.index ?? 0), host.u32(parts.flags ?? 0), host.u32(parts.change ?? 0)]);

/** struct ifaddrmsg, for a dump of all families. */
export const ifaddrmsg = (index = 0): Uint8Array => concat([new Uint8Array(4), host.u32(index)]);

/** struct rtmsg, to ask for the route of one packet. */
export const rtmsg = (family: number, destinationBits: number, sourceBits: number): Uint8Array =>
  Uint8Array.of(family, destinationBits, sourceBits, 0, 0, 0, 0, 0, 0, 0, 0, 0);

/** struct rtgenmsg, padded. */
export const rtgenmsg = (): Uint8Array => new Uint8Array(RTGEN_BYTES);
