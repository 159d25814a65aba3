// Kernel vxlan links as bytes: how one is asked for and changed, and how its attributes are read.
import { type IpAddress, ipFamily, ipFromBytes, ipScope, ipToBytes, macToBytes } from '@overlayadm/api';
import { SOURCE_PORTS } from '../util/limits.ts';
import { type Attributes, be16, concat, cString, host, readBe16 } from './netlink/message.ts';
import { IFLA, IFLA_INFO, IFLA_VXLAN, ifinfomsg, VXLAN_DF_SET, VXLAN_HEADER_BYTES } from './netlink/rtnetlink.ts';
import type { VxlanInfo, VxlanSpec } from './types.ts';

export function vxlanOf(data: Attributes): VxlanInfo {
  const bytes = data.get(IFLA_VXLAN.local) ?? data.get(IFLA_VXLAN.local6);
  const address: IpAddress | undefined = bytes?.length === 4 || bytes?.length === 16 ? ipFromBytes(bytes) : undefined;
  const local = address === undefined || ipScope(address) === 'unspecified' ? undefined : address;
  const localBypass = data.get(IFLA_VXLAN.localBypass)?.[0];
  return {
    port: readBe16(data.get(IFLA_VXLAN.port)) ?? 0,
    vnetid: host.readU32(data.get(IFLA_VXLAN.id)) ?? 0,
    local,
    family: local === undefined ? undefined : ipFamily(local),
    external: data.get(IFLA_VXLAN.collectMetadata)?.[0] === 1,
    learning: data.get(IFLA_VXLAN.learning)?.[0] === 1,
    localBypass: localBypass === undefined ? undefined : localBypass !== 0,
    df: data.get(IFLA_VXLAN.df)?.[0] === VXLAN_DF_SET,
  };
}

const flag = (type: number, value: number): Uint8Array => host.attribute(type, Uint8Array.of(value));

/** The unspecified address too: by the attribute the kernel knows the family, and without any it takes IPv4 (vxlan_core.c, vxlan_nl2conf()). */
const local = (ip: IpAddress): Uint8Array => host.attribute(ipFamily(ip) === 4 ? IFLA_VXLAN.local : IFLA_VXLAN.local6, ipToBytes(ip));

const linkInfo = (...data: Uint8Array[]): Uint8Array =>
  host.nested(IFLA.linkInfo, host.attribute(IFLA_INFO.kind, cString('vxlan')), host.nested(IFLA_INFO.data, ...data));

/** Attributes that a kernel does not know yet are passed over by it. Down; UDP checksums as the kernel has them by default, on. */
export const encodeVxlan = ({ name, vnetid, listenIp, port, mtu, mac }: VxlanSpec): Uint8Array[] => [
  ifinfomsg({}),
  host.attribute(IFLA.ifName, cString(name)),
  host.attribute(IFLA.mtu, host.u32(mtu)),
  ...(mac === undefined ? [] : [host.attribute(IFLA.address, macToBytes(mac))]),
  linkInfo(
    host.attribute(IFLA_VXLAN.id, host.u32(vnetid)),
    local(listenIp),
    host.attribute(IFLA_VXLAN.port, be16(port)),
    // struct ifla_vxlan_port_range, network order.
    host.attribute(IFLA_VXLAN.portRange, concat([be16(SOURCE_PORTS.min), be16(SOURCE_PORTS.max)])),
    flag(IFLA_VXLAN.learning, 0),
    flag(IFLA_VXLAN.localBypass, 0),
    flag(IFLA_VXLAN.df, VXLAN_DF_SET),
    // The bits of a header that must be zero for the kernel to take it: none, they are ignored on receipt (RFC 7348 §5), as the other driver does.
    host.attribute(IFLA_VXLAN.reservedBits, new Uint8Array(VXLAN_HEADER_BYTES)),
  ),
];

/** What is not named stays as it is; the kernel refuses the other family with EOPNOTSUPP. */
export const encodeVxlanLocal = (index: number, listenIp: IpAddress): Uint8Array[] => [ifinfomsg({ index }), linkInfo(local(listenIp))];
