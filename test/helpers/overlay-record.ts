// Records of overlays for tests: what create-overlay -e vxlan -s files would have saved.
import files from '@overlayadm/plugin-files';
import vxlan from '@overlayadm/plugin-vxlan';
import { type OverlayRecord, RECORD_VERSION, type VnicRecord } from '../../src/core/overlay/record.ts';
import { describeProperty } from '../../src/core/property/description.ts';
import { propertyTable, resolveProperties } from '../../src/core/property/table.ts';
import { ipOf } from './frames.ts';

const { properties: definitions, socket: _socket, ...data } = vxlan;
const encap = { ...data, properties: definitions.map(describeProperty) };
const lookup = { name: 'files', properties: files.properties.map(describeProperty) };

export function overlayRecord(name: string, changes: Partial<OverlayRecord> & { readonly mtu?: number } = {}): OverlayRecord {
  const { mtu = 1400, ...fields } = changes;
  const given = Object.entries({ mtu: String(mtu), 'vxlan/listen_ip': '192.0.2.1', 'files/config': '/etc/overlayadm/map.json' });
  const texts = given.map(([property, text]) => ({ name: property, text }));
  return {
    version: RECORD_VERSION,
    name,
    id: 1,
    vnetid: 100,
    encap,
    search: 'files',
    lookup: { mode: 'dynamic', group: false, resolves: true, servesDhcp: true },
    socket: { listenIp: ipOf('192.0.2.1'), listenPort: 4789 },
    driver: 'tap',
    datapath: 'tap (auto: the only one)',
    properties: resolveProperties(propertyTable(encap, lookup), texts),
    setters: { 'files/config': { uid: 1000, gid: 100, groups: [4, 100] } },
    vnics: [],
    ...fields,
  };
}

export const vnicRecord = (name: string, changes: Partial<VnicRecord> = {}): VnicRecord => ({
  name,
  mac: '02:08:20:00:00:01',
  mtu: 1400,
  netns: null,
  vid: null,
  ...changes,
});
