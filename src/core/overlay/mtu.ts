// How much fits: what the encapsulation adds, and the largest mtu of an overlay that a path of the underlay carries.
import { type IpAddress, ipFamily } from '@overlayadm/api';
import type { EncapDescription } from '../lookup/types.ts';
import { ETHERNET_HEADER_BYTES, IP_UDP_BYTES, VLAN_TAG_BYTES } from '../util/packet-sizes.ts';

/** Of the facts of an overlay, what sizes depend on. */
export interface SizeFacts {
  readonly encap: EncapDescription;
  readonly listenIp: IpAddress;
  readonly mtu: number;
}

/** Bytes around an inner packet on the underlay, from its IP header on; with room for a VLAN tag where one may be. */
export function overheadBytes({ encap, listenIp }: SizeFacts): number {
  const tag = encap.carriesVlanTag ? VLAN_TAG_BYTES : 0;
  return IP_UDP_BYTES[ipFamily(listenIp)] + encap.format.template.length + ETHERNET_HEADER_BYTES + tag;
}

/**
 * Why a packet was dropped, and what to do. `pathMtu` is what the kernel knows of the path, undefined when it knows nothing;
 * a path that would carry the packet is no explanation (it has changed since), so then it is not named.
 */
export function tooBigReason(facts: SizeFacts, to: string, packetBytes: number, pathMtu: number | undefined): string {
  const packet = `a packet of ${packetBytes} bytes to ${to} does not fit the path`;
  if (pathMtu === undefined || pathMtu >= packetBytes) return `${packet}; lower the mtu (${facts.mtu})`;
  const fits = Math.max(pathMtu - overheadBytes(facts), 0);
  return `${packet} of ${pathMtu}; at most ${fits} fits as mtu (${facts.mtu})`;
}
