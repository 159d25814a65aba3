// VXLAN (RFC 7348): the header as data, and the two properties that say where to listen.
import { defineProperties, type EncapPlugin, type IpAddress, type IpScope, ipScope, type PropertyValues } from '@overlayadm/api';

/** The port IANA gave to VXLAN (RFC 7348 §8). */
const VXLAN_PORT = 4789;

/**
 * Kinds of addresses that illumos refuses as well (overlay_vxlan.c vxlan_o_setprop), and broadcast. The unspecified
 * address listens on every address of its family; loopback is left to tests on one host.
 */
const REFUSED_SCOPES: Partial<Record<IpScope, string>> = {
  'v4-compatible': 'is an IPv4-compatible address, which no host has any more (RFC 4291 §2.5.5.1)',
  '6to4': 'is a 6to4 address (2002::/16), which cannot carry an underlay',
  multicast: 'is a multicast address, an address of this host is needed',
  broadcast: 'is the broadcast address, an address of this host is needed',
};

const refuseListenIp = (ip: IpAddress): string | undefined => REFUSED_SCOPES[ipScope(ip)];

const properties = defineProperties([
  {
    name: 'listen_ip',
    type: 'ip',
    access: 'rw',
    required: true,
    summary: 'underlay address of this host that encapsulated frames are received on; 0.0.0.0 or :: for every address of that family',
    refuse: refuseListenIp,
    live: true,
  },
  {
    name: 'listen_port',
    type: 'uint',
    access: 'rw',
    required: true,
    default: VXLAN_PORT,
    possible: { min: 1, max: 65535 },
    summary: 'UDP port that encapsulated frames are received on',
    live: false,
  },
]);

const vxlan: EncapPlugin = {
  kind: 'encap',
  name: 'vxlan',
  properties,
  needs: ['ip', 'port'],
  vnetid: { min: 0, max: 0xff_ffff },
  carriesVlanTag: true,
  usualPort: VXLAN_PORT,
  format: {
    carrier: { over: 'udp' },
    template: [0x08, 0, 0, 0, 0, 0, 0, 0],
    vnetid: { bit: 32, bits: 24 },
    // RFC 7348 §5: I says that the VNI is valid. The other flags and the last byte are reserved and ignored on receipt,
    // so they are not compared: senders of group policy set them.
    accept: [{ at: 0, mask: [0x08], value: [0x08], dropReason: 'vxlan.i-flag-clear' }],
    length: { kind: 'fixed' },
    entropy: 'udp-source-port',
    kernelKind: 'vxlan',
  },
  socket(values) {
    const { listen_ip, listen_port } = values as PropertyValues<typeof properties>;
    return { listenIp: listen_ip, listenPort: listen_port };
  },
};

export default vxlan;
