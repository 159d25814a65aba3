// The mapping format: what it accepts, what it says about mistakes, what it never says, and what changed between two files.
import { readFileSync } from 'node:fs';
import type { DestinationField, MacAddress } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differences, type Mappings, parseMappings, readMappings } from '../src/mappings.ts';
import { EXAMPLE } from './example.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const VXLAN_NEEDS: readonly DestinationField[] = ['ip', 'port'];
const mac = (text: string): MacAddress => text as MacAddress;

function mappingsOf(text: string, needs = VXLAN_NEEDS, usualPort: number | undefined = 4789): Mappings {
  const reading = parseMappings(encode(text), needs, usualPort);
  if (reading.kind === 'error') throw new Error(`line ${reading.line}: ${reading.problem}`);
  return reading.mappings;
}

/** "line mac: problem", or "ok". */
function problem(text: string, needs = VXLAN_NEEDS, usualPort?: number): string {
  const reading = parseMappings(encode(text), needs, usualPort);
  return reading.kind === 'ok' ? 'ok' : `${reading.line} ${reading.mac ?? '-'}: ${reading.problem}`;
}

const entry = (fields: string): string => `{\n"2:0:0:0:0:1": {"ip": "10.0.0.1", "port": 1,\n${fields}}}`;

describe('parseMappings', () => {
  it('reads every key', () => {
    const { entries, owners } = mappingsOf(EXAMPLE);
    expect([...entries]).toEqual([
      ['de:ad:be:ef:00:00', { destination: { ip: '10.88.88.69', port: 4789 }, arp: '10.55.55.2', ndp: 'fe80::3', dhcpProxy: undefined }],
      ['de:ad:be:ef:00:01', { destination: { ip: '10.88.88.70', port: 4790 }, arp: '10.55.55.3', ndp: 'fe80::4', dhcpProxy: 'de:ad:be:ef:00:00' }],
      ['de:ad:be:ef:00:02', { destination: { ip: '2001:db8::71', port: 4789 }, arp: undefined, ndp: undefined, dhcpProxy: undefined }],
    ]);
    expect(owners.get('10.55.55.3' as never)).toBe('de:ad:be:ef:00:01');
    expect(owners.size).toBe(4);
  });
  it('reads the example of overlay_files(5)', () => {
    const page = readFileSync(new URL('../../../man/overlay_files.5', import.meta.url), 'utf8');
    const example = /^\{$[\s\S]*?^\}$/m.exec(page)?.[0] ?? '';
    expect([...mappingsOf(example).entries.values()].map(({ destination }) => destination.ip)).toEqual([
      '10.88.88.69',
      '10.88.88.70',
      '2001:db8::71',
    ]);
    expect(mappingsOf(example).owners.size).toBe(5);
  });
  it('gives the fields that are needed, and asks for no others', () => {
    expect(mappingsOf('{"2:0:0:0:0:1": {"ip": "10.0.0.1", "port": 7}}', ['ip']).entries.get(mac('02:00:00:00:00:01'))?.destination).toEqual({
      ip: '10.0.0.1',
    });
    expect(mappingsOf('{"2:0:0:0:0:1": {}}', ['port']).entries.get(mac('02:00:00:00:00:01'))?.destination).toEqual({ port: 4789 });
    expect(problem('{"2:0:0:0:0:1": {"ip": "10.0.0.1"}}', ['ip'])).toBe('ok');
  });
  it('accepts an empty table and a byte order mark', () => {
    expect(mappingsOf('\ufeff{}').entries.size).toBe(0);
  });
  it('lets a later entry replace an earlier one, however the address is written', () => {
    const { entries, owners } = mappingsOf(
      '{"2:0:0:0:0:1": {"ip": "10.0.0.1", "arp": "10.1.0.1"}, "2:0:0:0:0:2": {"ip": "10.0.0.2", "arp": "10.1.0.9"}, "02:00:00:00:00:01": {"ip": "10.0.0.3", "arp": "10.1.0.9"}}',
    );
    expect([...entries.keys()]).toEqual(['02:00:00:00:00:02', '02:00:00:00:00:01']);
    expect(entries.get(mac('02:00:00:00:00:01'))?.destination.ip).toBe('10.0.0.3');
    // The first in the order of the file has the address; the replaced entry has none any more.
    expect([...owners]).toEqual([['10.1.0.9', '02:00:00:00:00:02']]);
  });
  it.each([
    ['[]', '1 -: expected a JSON object, which begins with {'],
    ['\n7', '2 -: expected a JSON object, which begins with {'],
    ['{\n"fabrics": {}}', '2 -: expected a MAC address as key'],
    ['{\n"1:0:5e:0:0:1": {}}', '2 01:00:5e:00:00:01: a group address cannot be a key'],
    ['{"FF:ff:ff:ff:ff:ff": {}}', '1 ff:ff:ff:ff:ff:ff: a group address cannot be a key'],
    ['{"2:0:0:0:0:1":\n "10.0.0.1"}', '2 02:00:00:00:00:01: expected an object with the destination'],
    ['{\n\n"2:0:0:0:0:1": {\n"port": 1}}', "3 02:00:00:00:00:01: 'ip' is missing"],
    ['{\n"2:0:0:0:0:1": {\n"ip": "10.0.0.1"}}', "2 02:00:00:00:00:01: 'port' is missing, and the encapsulation has no usual port"],
    [entry('"ip": "10.0.0.256"'), "3 02:00:00:00:00:01: 'ip' has to be an IP address of a host"],
    [entry('"ip": "224.0.0.1"'), "3 02:00:00:00:00:01: 'ip' has to be an IP address of a host"],
    [entry('"ip": "::"'), "3 02:00:00:00:00:01: 'ip' has to be an IP address of a host"],
    [entry('"ip": "127.0.0.1"'), "3 02:00:00:00:00:01: 'ip' has to be an IP address of a host"],
    [entry('"ip": null'), "3 02:00:00:00:00:01: 'ip' has to be an IP address of a host"],
    [entry('"port": 0'), "3 02:00:00:00:00:01: 'port' has to be a whole number from 1 to 65535"],
    [entry('"port": 65536'), "3 02:00:00:00:00:01: 'port' has to be a whole number from 1 to 65535"],
    [entry('"port": 1.5'), "3 02:00:00:00:00:01: 'port' has to be a whole number from 1 to 65535"],
    [entry('"port": "4789"'), "3 02:00:00:00:00:01: 'port' has to be a whole number from 1 to 65535"],
    [entry('"arp": "fe80::1"'), "3 02:00:00:00:00:01: 'arp' has to be an IPv4 address"],
    [entry('"arp": "::ffff:10.0.0.1"'), "3 02:00:00:00:00:01: 'arp' has to be an IPv4 address"],
    [entry('"ndp": "10.0.0.1"'), "3 02:00:00:00:00:01: 'ndp' has to be an IPv6 address"],
    [entry('"ndp": "::ffff:10.0.0.1"'), "3 02:00:00:00:00:01: 'ndp' has to be an IPv6 address"],
    [entry('"dhcp-proxy": "10.0.0.1"'), "3 02:00:00:00:00:01: 'dhcp-proxy' has to be a unicast MAC address"],
    [entry('"dhcp-proxy": "ff:ff:ff:ff:ff:ff"'), "3 02:00:00:00:00:01: 'dhcp-proxy' has to be a unicast MAC address"],
    [entry('"dhcp-proxy": {"a": 1}'), "3 02:00:00:00:00:01: 'dhcp-proxy' has to be a unicast MAC address"],
  ])('says of %j: %s', (text, expected) => expect(problem(text)).toBe(expected));
  it('has an answer for any bytes, and for any JSON', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 120 }),
        (bytes) => void expect(['ok', 'error']).toContain(parseMappings(bytes, VXLAN_NEEDS, undefined).kind),
      ),
    );
    const key = fc.constantFrom('2:0:0:0:0:1', '02:00:00:00:00:02', 'ip', 'port', 'arp', 'ndp', 'dhcp-proxy', '__proto__');
    const tree = fc.dictionary(key, fc.oneof(fc.jsonValue(), fc.dictionary(key, fc.oneof(fc.jsonValue(), fc.ipV4(), fc.ipV6(), fc.nat(70_000)))));
    fc.assert(
      fc.property(tree, (value) => void expect(['ok', 'error']).toContain(parseMappings(encode(JSON.stringify(value)), VXLAN_NEEDS, 1).kind)),
    );
  });
});

/** Places a secret could stand at in a file that somebody else owns. Capitals and digits of this length are in no message of ours. */
const holders: readonly ((secret: string) => string)[] = [
  (secret) => `root:${secret}:19000:0:99999:7:::\n`,
  (secret) => `{"${secret}": {}}`,
  (secret) => `{"2:0:0:0:0:1": "${secret}"}`,
  (secret) => `{"2:0:0:0:0:1": {"ip": "${secret}"}}`,
  (secret) => `{"2:0:0:0:0:1": {"ip": "10.0.0.1", "port": "${secret}"}}`,
  (secret) => `{"2:0:0:0:0:1": {"ip": "10.0.0.1", "port": 1, "arp": "${secret}"}}`,
  (secret) => `{"2:0:0:0:0:1": {"ip": "10.0.0.1", "port": 1, "dhcp-proxy": ["${secret}"]}}`,
  (secret) => `{"2:0:0:0:0:1": {"${secret}" }}`,
  (secret) => `{"2:0:0:0:0:1": {"ip": ${secret}}}`,
  (secret) => `{"a\\u${secret}`,
  (secret) => `${secret}\u00ff`,
  (secret) => `{} ${secret}`,
];

describe('a large file', () => {
  it('is read in many steps, so that others have their turn', () => {
    const rows = Array.from({ length: 6400 }, (_, n) => `"2:0:0:0:${(n >> 8).toString(16)}:${(n & 255).toString(16)}": {"ip": "10.0.0.1"}`);
    expect([...readMappings(encode(`{${rows.join(',')}}`), VXLAN_NEEDS, 4789)]).toHaveLength(100);
  });
});

describe('the text of the file', () => {
  it('is never told', () => {
    const secret = fc.string({ unit: fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$./'), minLength: 6, maxLength: 40 });
    fc.assert(
      fc.property(secret, fc.constantFrom(...holders), fc.nat(5), (text, holder, linesBefore) => {
        const reading = parseMappings(encode('\n'.repeat(linesBefore) + holder(text)), VXLAN_NEEDS, undefined);
        expect(reading.kind).toBe('error');
        const told = JSON.stringify(reading);
        for (let at = 0; at + 6 <= text.length; at++) expect(told).not.toContain(text.slice(at, at + 6));
      }),
    );
  });
});

describe('differences', () => {
  const row = (last: number, ip: string, arp?: string): string =>
    `"2:0:0:0:0:${last}": {"ip": "${ip}"${arp === undefined ? '' : `, "arp": "${arp}"`}}`;
  const table = (...rows: string[]): Mappings => mappingsOf(`{${rows.join(',')}}`);

  it('names what is new, changed, gone, and whose address moved', () => {
    const old = table(row(1, '10.0.0.1', '10.1.0.1'), row(2, '10.0.0.2'), row(3, '10.0.0.3', '10.1.0.3'), row(5, '10.0.0.5', '10.1.0.5'));
    const now = table(row(1, '10.0.0.1', '10.1.0.2'), row(2, '10.0.0.9'), row(4, '10.0.0.4', '10.1.0.3'), row(5, '10.0.0.5', '10.1.0.5'));
    expect(differences(old, now)).toEqual({
      set: ['02:00:00:00:00:02', '02:00:00:00:00:04'],
      removed: ['02:00:00:00:00:03'],
      // 10.1.0.2 is new, but not its MAC: guests may have asked for it in vain.
      moved: [
        { ip: '10.1.0.2', mac: '02:00:00:00:00:01' },
        { ip: '10.1.0.3', mac: '02:00:00:00:00:04' },
      ],
    });
  });
  it('say nothing of an address that came with its MAC, which nobody knows yet', () => {
    expect(differences(table(), table(row(1, '10.0.0.1', '10.1.0.1')))).toEqual({
      set: ['02:00:00:00:00:01'],
      removed: [],
      moved: [],
    });
  });
  it('name every target whose destination is another one, and none else', () => {
    const anyTable = fc
      .dictionary(fc.constantFrom('1', '2', '3', '4'), fc.constantFrom('10.0.0.1', '10.0.0.2'))
      .map((rows) => table(...Object.entries(rows).map(([last, ip]) => row(Number(last), ip))));
    const destinations = (mappings: Mappings) =>
      new Map<MacAddress, unknown>([...mappings.entries].map(([key, { destination }]) => [key, destination]));
    fc.assert(
      fc.property(anyTable, anyTable, (old, now) => {
        const { set, removed } = differences(old, now);
        const [before, after] = [destinations(old), destinations(now)];
        for (const key of set) expect(before.get(key)).not.toEqual(after.get(key));
        for (const key of removed) before.delete(key);
        for (const key of set) before.set(key, after.get(key));
        expect(before).toEqual(after);
        expect(differences(now, now)).toEqual({ set: [], removed: [], moved: [] });
      }),
    );
  });
});
