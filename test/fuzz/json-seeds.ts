// JSON to begin with: one line of every kind that crosses the control socket and the channel of a plugin host, formats, mapping files.
import vxlan from '@overlayadm/plugin-vxlan';
import { utf8 } from './mutate.ts';

const lines = (values: readonly unknown[]): Uint8Array[] => values.map((value) => utf8(JSON.stringify(value)));

const request = (id: unknown, method: string, params?: unknown) => ({ jsonrpc: '2.0', id, method, params });
const properties = [
  { name: 'vxlan/listen_ip', text: '192.0.2.1' },
  { name: 'mtu', text: '1400' },
];

const requests = lines([
  request(1, 'hello', { version: '0.1.0' }),
  request('a', 'overlay.create', { name: 'overlay0', encap: 'vxlan', search: 'direct', vnetid: 23, properties }),
  request(2, 'overlay.delete', { name: 'overlay0' }),
  request(3, 'overlay.names', {}),
  request(4, 'overlay.targets', { name: 'overlay0', after: null }),
  request(5, 'vnic.create', { name: 'vnic0', overlay: 'overlay0', mac: '2:8:20:0:0:1', properties: [] }),
  request(6, 'vnic.list', { overlay: null }),
]);
const newline = utf8('\n');
export const RPC_SEEDS: readonly Uint8Array[] = [
  ...requests,
  Uint8Array.from(Buffer.concat(requests.flatMap((line) => [line, newline]))),
  utf8('{"jsonrpc":"2.0","id":1,"method":"hello","params":{"version":"\\u00fc\\ud83d\\ude00"}}\n'),
];

const MAC = '02:08:20:00:00:01';
const to = { ip: '192.0.2.2', port: 4789 };
const answers = [
  { id: 1, kind: 'found', destination: to },
  { id: 2, kind: 'resolved', mac: MAC, destination: to },
  { id: 3, kind: 'drop', reason: 'lookup.unknown-address' },
];
const asks = [
  { id: 1, kind: 'lookup', to: MAC, from: MAC, etherType: 0x800, vlan: 7 },
  { id: 2, kind: 'resolve', ip: '10.0.0.2' },
  { id: 3, kind: 'dhcp', client: MAC },
];
const { kind, name, needs, vnetid, carriesVlanTag, format, usualPort } = vxlan;
const described = [{ name: 'config', type: 'path', access: 'rw', required: true, summary: 'a file', live: true }];
const error = { code: 'FILE_UNREADABLE', message: 'no such file', details: { path: '/a' }, advice: 'Make it.' };

const FROM_HOST = [
  { type: 'ready' },
  { type: 'pong' },
  { type: 'answers', instance: 0, answers },
  { type: 'described', call: 0, description: { kind, name, properties: described, needs, vnetid, carriesVlanTag, format, usualPort } },
  { type: 'described', call: 0, description: { kind: 'lookup', name: 'direct', properties: [] } },
  { type: 'refused', call: 0, refusal: { property: 'config', reason: 'is refused' } },
  { type: 'refused', call: 0, refusal: null },
  { type: 'bound', call: 0, socket: { listenIp: '192.0.2.1', listenPort: 4789 } },
  { type: 'created', call: 0, created: { mode: 'dynamic', group: false, resolves: true, servesDhcp: false } },
  { type: 'created', call: 0, created: { mode: 'point', point: to, group: false, resolves: false, servesDhcp: false } },
  { type: 'failed', call: 0, error },
  { type: 'setTarget', instance: 0, mac: MAC, destination: to },
  { type: 'invalidate', instance: 0, mac: MAC },
  { type: 'announce', instance: 0, ip: '10.0.0.1', mac: MAC, toMacs: [MAC] },
  { type: 'degrade', instance: 0, reason: 'why' },
  { type: 'restore', instance: 0 },
  { type: 'openFile', instance: 0, file: 1, property: 'config' },
  { type: 'closeFile', instance: 0, file: 1 },
  { type: 'watchAddresses', instance: 0 },
  { type: 'unwatchAddresses', instance: 0 },
  { type: 'log', instance: 0, level: 'warn', message: 'text' },
];
const spec = { plugin: 'good', vnetid: 7, needs: ['ip', 'port'], usualPort: 4789, values: { config: '/a/file' } };
const TO_HOST = [
  { type: 'asks', instance: 0, asks },
  { type: 'abort', instance: 0, ids: [1, 2] },
  { type: 'ping' },
  { type: 'describe', call: 1, kind: 'lookup', name: 'good' },
  { type: 'refuse', call: 2, kind: 'lookup', name: 'good', values: { config: '/a' } },
  { type: 'socket', call: 3, name: 'vxlan', values: { listen_ip: '192.0.2.1', listen_port: 4789 } },
  { type: 'create', call: 4, instance: 0, spec },
  { type: 'create', call: 5, instance: 1, spec },
  { type: 'stop', instance: 0 },
  { type: 'fileData', file: 0, data: 'e30=', last: true },
  { type: 'fileFailed', file: 0, error },
  { type: 'localAddresses', instance: 0, addresses: [{ mac: MAC, ips: ['10.0.0.1', 'fe80::1'] }] },
];
export const FROM_HOST_SEEDS = lines(FROM_HOST);
export const TO_HOST_SEEDS = lines(TO_HOST);
const provider = { kind: 'lookup', name: 'files', package: '@overlayadm/plugin-files', version: '0.1.0', root: '/a', module: './index.js' };
export const CHANNEL_SEEDS: readonly Uint8Array[] = [
  ...FROM_HOST_SEEDS,
  ...TO_HOST_SEEDS,
  ...lines([{ providers: [provider], problems: ['a package has no api number'] }]),
];

const geneve = {
  carrier: { over: 'udp' },
  template: [0, 0, 0x65, 0x58, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [
    { at: 0, mask: [0xc0], value: [0], dropReason: 'geneve.version' },
    { at: 2, mask: [255, 255], value: [0x65, 0x58], dropReason: 'geneve.protocol' },
  ],
  length: { kind: 'counted', count: { bit: 2, bits: 6 }, unitBytes: 4 },
  entropy: 'udp-source-port',
  kernelKind: 'geneve',
};
const nvgre = {
  carrier: { over: 'ip', protocol: 47 },
  template: [0x20, 0, 0x65, 0x58, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [{ at: 0, mask: [0xff, 0xff, 0xff, 0xff], value: [0x20, 0, 0x65, 0x58], dropReason: 'nvgre.header' }],
  length: { kind: 'fixed' },
  entropy: { bit: 56, bits: 8 },
  kernelKind: 'gretap',
};
const range = { min: 1, max: 0xff_ffff };
export const FORMAT_SEEDS: readonly Uint8Array[] = lines([
  { format: geneve, vnetid: range },
  { format: nvgre, vnetid: range },
  { format: { ...nvgre, vnetid: { bit: 33, bits: 19 }, entropy: { bit: 52, bits: 3 } }, vnetid: { min: 0, max: 2 ** 19 - 1 } },
  { format: { ...geneve, vnetid: { bit: 32, bits: 32 } }, vnetid: { min: 0, max: 0xffff_ffff } },
]);

const entry = { ip: '192.0.2.2', port: 4789, arp: '10.0.0.2', ndp: 'fd00::2', 'dhcp-proxy': '2:8:20:0:0:9' };
export const MAPPING_SEEDS: readonly Uint8Array[] = [
  ...lines([
    {},
    { '2:8:20:0:0:1': entry },
    { '2:8:20:0:0:1': entry, '02:08:20:00:00:02': { ip: '2001:db8::2' } },
    { '2:8:20:0:0:3': { ...entry, extra: [[{}]] } },
  ]),
  utf8(`{\n  "2:8:20:0:0:1": {\n    "ip": "192.0.2.2",\n    "port": 1e3\n  },\n  "2:8:20:0:0:1": {"ip": "192.0.2.3"}\n}\n`),
  utf8('\ufeff{"2:8:20:0:0:1":{"ip":"\\u0031\\u0030.0.0.1"}}'),
];

export const JSON_WORDS: readonly Uint8Array[] = [
  '{',
  '}',
  '[',
  ']',
  '"',
  '\\',
  '\\u',
  '\\ud800',
  ':',
  ',',
  'null',
  'true',
  '-',
  '1e999',
  '0.1',
  '00',
  '\n',
  '\r\n',
  '\u0000',
  '"__proto__":',
  '"constructor":',
  '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[',
  '\ufeff',
  '"id":',
  '"type":',
].map(utf8);
