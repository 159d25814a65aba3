// An encapsulation of the kit's own: carried by IP itself, without ports, with options, so that nothing is true for VXLAN alone.
import { defineProperties, type EncapPlugin, type PropertyValues } from '@overlayadm/api';

const properties = defineProperties([
  { name: 'listen_ip', type: 'ip', access: 'rw', required: true, summary: 'underlay address of this host', live: false },
]);

/**
 * Header, 8 bytes: version 1 (4 bits), number of 4-byte options (4), critical (1), reserved (7), flow entropy (16),
 * vnetid (24), reserved (8). The IP protocol is the first one for experiments (RFC 3692 §2.1, 253). Only for tests.
 */
export const ipshim: EncapPlugin = {
  kind: 'encap',
  name: 'ipshim',
  properties,
  needs: ['ip'],
  vnetid: { min: 1, max: 0xff_ffff },
  carriesVlanTag: false,
  format: {
    carrier: { over: 'ip', protocol: 253 },
    template: [0x10, 0, 0, 0, 0, 0, 0, 0],
    vnetid: { bit: 32, bits: 24 },
    accept: [
      { at: 0, mask: [0xf0], value: [0x10], dropReason: 'ipshim.version' },
      { at: 1, mask: [0x80], value: [0x00], dropReason: 'ipshim.critical-option' },
    ],
    length: { kind: 'counted', count: { bit: 4, bits: 4 }, unitBytes: 4 },
    entropy: { bit: 16, bits: 16 },
  },
  socket(values) {
    const { listen_ip } = values as PropertyValues<typeof properties>;
    return { listenIp: listen_ip };
  },
};
