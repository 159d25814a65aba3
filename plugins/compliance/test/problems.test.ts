// The kit finds what is wrong: one planted mistake a row, and each has to be named.
import type { AnyPropertyDefinition, Destination, EncapPlugin, HeaderFormat, IpAddress, MacAddress } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { destinationProblems } from '../src/destination-problems.ts';
import { encapProblems, formatProblems } from '../src/format-problems.ts';
import { ipshim } from '../src/ipshim.ts';
import { propertyProblems } from '../src/property-problems.ts';

const good = ipshim.format;
const match = { at: 0, mask: [0xf0], value: [0x10], dropReason: 'ipshim.version' };

const badFormats: readonly (readonly [RegExp, Partial<HeaderFormat>])[] = [
  [/template: 6 bytes/, { template: [0x10, 0, 0, 0, 0, 0] }],
  [/template: 68 bytes/, { template: [0x10, ...new Array<number>(67).fill(0)] }],
  [/template: has to be bytes/, { template: [0x10, 0, 0, 0, 0, 0, 0, 256] }],
  [/vnetid: the template is not zero/, { template: [0x10, 0, 0, 0, 1, 0, 0, 0] }],
  [/count: the template is not zero/, { template: [0x11, 0, 0, 0, 0, 0, 0, 0] }],
  [/carrier: IP protocol 0/, { carrier: { over: 'ip', protocol: 0 } }],
  [/no UDP source port/, { entropy: 'udp-source-port' }],
  [/units of 0 bytes/, { length: { kind: 'counted', count: { bit: 4, bits: 4 }, unitBytes: 0 } }],
  [/vnetid: 33 bits/, { vnetid: { bit: 24, bits: 33 } }],
  [/vnetid: bit 48 is outside/, { vnetid: { bit: 48, bits: 24 } }],
  [/entropy: overlaps vnetid/, { entropy: { bit: 20, bits: 16 } }],
  [/accept 0 .*reason has to look/, { accept: [{ ...match, dropReason: 'version' }] }],
  [/accept 0 .*different lengths/, { accept: [{ ...match, value: [0x10, 0] }] }],
  [/accept 0 .*is outside/, { accept: [{ ...match, at: 8 }] }],
  [/accept 0 .*compares nothing/, { accept: [{ ...match, mask: [0], value: [0] }] }],
  [/accept 0 .*can never match/, { accept: [{ ...match, value: [0x18] }] }],
  [/accept 0 .*compares bits of count/, { accept: [{ ...match, mask: [0xff] }] }],
  [/accept 0 .*template fails/, { accept: [{ ...match, value: [0x20] }] }],
];

const badEncaps: readonly (readonly [RegExp, Partial<EncapPlugin>])[] = [
  [/no provider name/, { name: 'IP-shim' }],
  [/need an IP address/, { needs: [] }],
  [/repeated field/, { needs: ['ip', 'ip'] }],
  [/exactly over UDP/, { needs: ['ip', 'port'] }],
  [/usualPort: 1/, { usualPort: 1 }],
  [/does not fit the field/, { vnetid: { min: 0, max: 2 ** 24 } }],
  [/does not fit the field/, { vnetid: { min: 2, max: 1 } }],
];

const port: AnyPropertyDefinition = {
  name: 'port',
  type: 'uint',
  access: 'rw',
  required: true,
  possible: { min: 1, max: 9 },
  summary: 'a port',
  live: false,
};
const address: AnyPropertyDefinition = { name: 'ip', type: 'ip', access: 'rw', required: true, summary: 'an address', live: false };

const badTables: readonly (readonly [RegExp, readonly AnyPropertyDefinition[]])[] = [
  [/port: is there twice/, [port, port]],
  [/Port: the name has to be/, [{ ...port, name: 'Port' }]],
  [/cannot be required/, [{ ...port, access: 'r-' }]],
  [/summary has to be one line/, [{ ...port, summary: 'a\nb' }]],
  [/range is empty/, [{ ...port, possible: { min: 2, max: 1 } }]],
  [/default is not possible/, [{ ...port, default: 10 }]],
  [/not of type uint/, [{ ...port, possible: { min: -1, max: 9 } }]],
  [/not of type ip/, [{ ...address, default: '::ffff:10.0.0.1' as IpAddress }]],
  [/default is refused/, [{ ...address, default: '10.0.0.1' as IpAddress, refuse: () => 'is refused' }]],
  [/end of a sentence/, [{ ...address, refuse: () => 'Is refused.' }]],
  [/end of a sentence/, [{ ...address, refuse: () => '' }]],
  [/two answers/, [{ ...address, refuse: () => `is refused ${Math.random()}` }]],
];

const mac = '02:00:00:00:00:01' as MacAddress;
const ip = '10.0.0.1' as IpAddress;
const badDestinations: readonly (readonly [RegExp, Destination])[] = [
  [/fields ip, needed are ip,port/, { ip }],
  [/fields ip,mac,port/, { ip, port: 1, mac }],
  [/no canonical IP/, { ip: '10.1' as IpAddress, port: 1 }],
  [/no canonical IP/, { ip: '::FFFF' as IpAddress, port: 1 }],
  [/loopback/, { ip: '127.0.0.1' as IpAddress, port: 1 }],
  [/multicast/, { ip: '224.0.0.1' as IpAddress, port: 1 }],
  [/unspecified/, { ip: '::' as IpAddress, port: 1 }],
  [/port: 0/, { ip, port: 0 }],
  [/port: 65536/, { ip, port: 65536 }],
];

describe('the kit', () => {
  it.each(badFormats)('finds in a format: %s', (problem, change) => {
    expect(formatProblems({ ...good, ...change }).join('\n')).toMatch(problem);
  });
  it.each(badEncaps)('finds in an encapsulation: %s', (problem, change) => {
    expect(encapProblems({ ...ipshim, ...change }).join('\n')).toMatch(problem);
  });
  it.each(badTables)('finds in a table: %s', (problem, table) => {
    expect(propertyProblems(table).join('\n')).toMatch(problem);
  });
  it.each(badDestinations)('finds in a destination: %s', (problem, destination) => {
    expect(destinationProblems(destination, ['ip', 'port'], 'dynamic').join('\n')).toMatch(problem);
  });
  it('finds nothing in what is right', () => {
    expect(formatProblems(good)).toEqual([]);
    expect(encapProblems(ipshim)).toEqual([]);
    expect(propertyProblems([port, address])).toEqual([]);
    expect(destinationProblems({ ip, port: 1 }, ['ip', 'port'], 'dynamic')).toEqual([]);
    expect(destinationProblems({ ip: '224.0.0.1' as IpAddress }, ['ip'], 'point')).toEqual([]);
  });
});
