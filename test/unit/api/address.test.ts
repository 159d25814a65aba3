// Addresses of the plugin API against ipaddr.js and against the examples of RFC 5952 and RFC 4291.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import {
  type IpAddress,
  ipFamily,
  ipFromBytes,
  ipScope,
  ipToBytes,
  isGroupMac,
  type MacAddress,
  macFromBytes,
  macToBytes,
  macToDisplay,
  parseIp,
  parseMac,
} from '../../../plugins/api/src/address.ts';

const four = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** IPv6 addresses with many zero groups, so that runs of zeros happen, tie and end at the borders. */
const sixteen = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 15 })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));
const isMapped = (bytes: Uint8Array): boolean => ipaddr.fromByteArray([...bytes]).range() === 'ipv4Mapped';

describe('IP', () => {
  it('writes IPv4 and IPv6 as ipaddr.js does (RFC 5952)', () => {
    fc.assert(fc.property(four, (bytes) => void expect(ipFromBytes(bytes)).toBe(ipaddr.fromByteArray([...bytes]).toString())));
    fc.assert(
      fc.property(sixteen, (bytes) => {
        fc.pre(!isMapped(bytes));
        expect(ipFromBytes(bytes)).toBe((ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toRFC5952String());
      }),
      { numRuns: 1000 },
    );
  });

  it('reads back what it writes, in every way to write it', () => {
    fc.assert(
      fc.property(sixteen, (bytes) => {
        const address = ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6;
        const ip = ipFromBytes(bytes);
        const full = address.parts.map((group) => group.toString(16).padStart(4, '0')).join(':');
        const dotted = `${address.toNormalizedString().split(':').slice(0, 6).join(':')}:${[...bytes.subarray(12)].join('.')}`;
        for (const text of [ip, address.toString(), address.toNormalizedString(), full.toUpperCase(), dotted]) expect(parseIp(text)).toBe(ip);
        expect([...ipToBytes(ip)]).toEqual(isMapped(bytes) ? [...bytes.subarray(12)] : [...bytes]);
      }),
    );
    fc.assert(fc.property(four, (bytes) => void expect(ipToBytes(parseIp(bytes.join('.')) as IpAddress)).toEqual(bytes)));
  });

  it('accepts what ipaddr.js accepts, without zones and other writings of IPv4', () => {
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'0123f:.'), maxLength: 24 }),
      fc.array(fc.constantFrom('', '0', '1', 'ffff', '10000', '1.2.3.4', 'g'), { maxLength: 9 }).map((parts) => parts.join(':')),
      fc.array(fc.constantFrom('0', '1', '255', '256', '01', ''), { maxLength: 5 }).map((parts) => parts.join('.')),
    );
    fc.assert(
      fc.property(text, (input) => {
        const found = parseIp(input);
        if (input.includes(':')) {
          // RFC 4291 §2.2 lets "::" stand for one group or more, and an octet has no leading zero: ipaddr.js is laxer in both.
          const lax = /(^|[:.])0[0-9]+(?=\.|$)/.test(input) && input.includes('.');
          if (!lax && found !== undefined) expect(ipaddr.IPv6.isValid(input)).toBe(true);
          if (!lax && found === undefined && ipaddr.IPv6.isValid(input)) expect(groupCount(input)).toBe(8);
        } else expect(found !== undefined).toBe(ipaddr.IPv4.isValidFourPartDecimal(input) && ipaddr.IPv4.parse(input).toString() === input);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1::', '1::'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is %s', (text, ip) => {
    expect(parseIp(text)).toBe(ip);
  });

  it.each([
    '',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    'fe80::1%eth0',
    '::1/64',
    '[::1]',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.4\n',
    ' 1.2.3.4',
    '0x1.2.3.4',
    '١.2.3.4',
  ])('%j is no address', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it('names scopes', () => {
    const scopes = {
      '0.0.0.0': 'unspecified',
      '127.8.8.8': 'loopback',
      '224.0.0.1': 'multicast',
      '239.255.255.255': 'multicast',
      '240.0.0.1': 'unicast',
      '255.255.255.255': 'broadcast',
      '10.0.0.1': 'unicast',
      '::': 'unspecified',
      '::1': 'loopback',
      '::10.0.0.1': 'v4-compatible',
      'ff02::1': 'multicast',
      '2002:a00:1::1': '6to4',
      'fe80::1': 'unicast',
      '2001:db8::1': 'unicast',
    };
    for (const [ip, scope] of Object.entries(scopes)) expect([ip, ipScope(parseIp(ip) as IpAddress)]).toEqual([ip, scope]);
    expect(ipFamily('10.0.0.1' as IpAddress)).toBe(4);
    expect(ipFamily('::1' as IpAddress)).toBe(6);
  });

  it('refuses other lengths, reads parts of larger buffers', () => {
    for (const length of [0, 3, 5, 15, 17]) expect(() => ipFromBytes(new Uint8Array(length))).toThrow(RangeError);
    expect(ipFromBytes(Buffer.from('ff0a000001ff', 'hex').subarray(1, 5))).toBe('10.0.0.1');
  });
});

describe('MAC', () => {
  it('is read in any form of ether_aton, kept in one, shown as ether_ntoa', () => {
    expect(parseMac('DE:ad:bE:Ef:0:0')).toBe('de:ad:be:ef:00:00');
    expect(macToDisplay('de:ad:be:ef:00:00' as MacAddress)).toBe('de:ad:be:ef:0:0');
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), fc.nat(4), (bytes, at) => {
        const mac = macFromBytes(Uint8Array.from([...new Uint8Array(at), ...bytes]), at);
        expect(macToBytes(mac)).toEqual(bytes);
        expect(parseMac(mac.toUpperCase())).toBe(mac);
        expect(macToDisplay(mac)).toBe([...bytes].map((byte) => byte.toString(16)).join(':'));
        expect(parseMac(macToDisplay(mac))).toBe(mac);
        expect(isGroupMac(mac)).toBe(((bytes[0] as number) & 1) === 1);
      }),
    );
  });

  it.each(['', '1:2:3:4:5', '1:2:3:4:5:6:7', '111:2:3:4:5:6', '1:2:3:4:5:g', '1-2-3-4-5-6', '1:2:3:4:5:', '1:2:3:4:5:6\n'])('%j is none', (text) => {
    expect(parseMac(text)).toBeUndefined();
  });

  it('needs six bytes', () => {
    expect(() => macFromBytes(new Uint8Array(10), 5)).toThrow(RangeError);
  });
});

/** Groups written in IPv6 text, dotted quads counting two. */
const groupCount = (text: string): number => text.split(':').reduce((sum, part) => sum + (part === '' ? 0 : part.includes('.') ? 2 : 1), 0);

it('imports nothing: a plugin takes the contracts and nothing else', () => {
  expect(readFileSync(new URL('../../../plugins/api/src/address.ts', import.meta.url), 'utf8')).not.toMatch(/^import/m);
});
