// What may be sent to: every rule, refused with the value in the words.
import { type Destination, type DestinationField, OverlayError } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDestination, type DestinationRules, parseDestination, showDestination } from '../../../src/core/overlay/destination.ts';
import { ipOf, macOf } from '../../helpers/frames.ts';

const isOwnSocket = (ip: string, port: number): boolean => ip === '192.0.2.1' && port === 4789;
const v4: DestinationRules = { needs: ['ip', 'port'], family: 4, point: false, isOwnSocket };
const v6: DestinationRules = { ...v4, family: 6 };
const to = (ip: string, port?: number): Destination => (port === undefined ? { ip: ipOf(ip) } : { ip: ipOf(ip), port });

describe('a destination', () => {
  it.each([
    ['an IPv4 address', to('192.0.2.2', 4789), v4],
    ['the same host with another port', to('192.0.2.1', 4790), v4],
    ['the lowest port', to('192.0.2.2', 1), v4],
    ['the highest port', to('192.0.2.2', 65535), v4],
    ['an IPv6 address', to('2001:db8::2', 4789), v6],
    ['a link-local address', to('fe80::2', 4789), v6],
    ['a v4-mapped address, which is an IPv4 address', to('::ffff:192.0.2.2', 4789), v4],
    ['a multicast group as a point', to('239.1.1.1', 4789), { ...v4, point: true }],
    ['an IPv6 group as a point', to('ff05::1', 4789), { ...v6, point: true }],
  ])('may be %s', (_what, destination, rules) => {
    const checked = checkDestination(destination, rules);
    expect(checked).toMatchObject({ ok: true, to: { family: rules.family, port: destination.port } });
    if (checked.ok) expect(checked.to.ip.length).toBe(rules.family === 4 ? 4 : 16);
  });

  it.each([
    ['without an address', { port: 4789 }, v4, 'no IP address'],
    ['without a port', to('192.0.2.2'), v4, 'no port'],
    ['with port 0', to('192.0.2.2', 0), v4, 'port 0'],
    ['with a port too large', to('192.0.2.2', 65536), v4, '65536'],
    ['with half a port', to('192.0.2.2', 1.5), v4, '1.5'],
    ['with a port that is no number', to('192.0.2.2', Number.NaN), v4, 'NaN'],
    ['of the other family', to('2001:db8::2', 4789), v4, 'listens on IPv4'],
    ['of the other family', to('192.0.2.2', 4789), v6, 'listens on IPv6'],
    ['v4-mapped, for IPv6', to('::ffff:192.0.2.2', 4789), v6, 'listens on IPv6'],
    ['unspecified', to('0.0.0.0', 4789), v4, 'unspecified'],
    ['unspecified', to('::', 4789), v6, 'unspecified'],
    ['loopback', to('127.0.0.1', 4789), v4, 'loopback'],
    ['loopback', to('::1', 4789), v6, 'loopback'],
    ['broadcast', to('255.255.255.255', 4789), v4, 'broadcast'],
    ['a group, for one target', to('239.1.1.1', 4789), v4, 'multicast'],
    ['a group, for one target', to('ff02::1', 4789), v6, 'multicast'],
    ['loopback, as a point', to('127.0.0.1', 4789), { ...v4, point: true }, 'loopback'],
    ['one of our own sockets', to('192.0.2.1', 4789), v4, "this host's own"],
  ])('may not be %s', (_what, destination, rules, words) => {
    expect(checkDestination(destination, rules)).toMatchObject({ ok: false, reason: expect.stringContaining(words) });
  });

  it('has no port where the encapsulation needs none', () => {
    expect(checkDestination(to('192.0.2.2'), { ...v4, needs: ['ip'] })).toMatchObject({ ok: true, to: { port: 0 } });
  });

  it('of any kind is good or refused with a reason; what is good can be sent to', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6()).map(ipOf);
    const port = fc.option(fc.oneof(fc.integer(), fc.double()), { nil: undefined });
    fc.assert(
      fc.property(address, port, fc.constantFrom(v4, v6), (ip, port, rules) => {
        const checked = checkDestination(port === undefined ? { ip } : { ip, port }, rules);
        if (checked.ok) expect(checked.to.port >= 1 && checked.to.port <= 65535 && Number.isInteger(checked.to.port)).toBe(true);
        else expect(checked.reason).toMatch(/./);
      }),
    );
  });

  it('is shown with its port, an IPv6 address in brackets', () => {
    expect(showDestination({ family: 4, ip: new Uint8Array(4), port: 4789 }, ipOf('192.0.2.2'))).toBe('192.0.2.2:4789');
    expect(showDestination({ family: 6, ip: new Uint8Array(16), port: 4789 }, ipOf('2001:db8::2'))).toBe('[2001:db8::2]:4789');
    expect(showDestination({ family: 6, ip: new Uint8Array(16), port: 0 }, ipOf('2001:db8::2'))).toBe('2001:db8::2');
  });
});

describe('a destination that a person types', () => {
  const udp: readonly DestinationField[] = ['ip', 'port'];
  const whole: readonly DestinationField[] = ['ethernet', 'ip', 'port'];

  it.each<[string, readonly DestinationField[], Destination | 'drop']>([
    ['192.0.2.2:4789', udp, to('192.0.2.2', 4789)],
    ['192.0.2.2:65535', udp, to('192.0.2.2', 65535)],
    ['[2001:db8::2]:1', udp, to('2001:db8::2', 1)],
    ['[2001:DB8:0::2]:4789', udp, to('2001:db8::2', 4789)],
    ['[::ffff:192.0.2.2]:4789', udp, to('192.0.2.2', 4789)],
    ['drop', udp, 'drop'],
    ['DROP', udp, 'drop'],
    ['Drop', [], 'drop'],
    ['192.0.2.2', ['ip'], to('192.0.2.2')],
    ['2001:db8::2', ['ip'], to('2001:db8::2')],
    ['[2001:db8::2]', ['ip'], to('2001:db8::2')],
    ['2:8:20:0:0:1,192.0.2.2:4789', whole, { mac: macOf('02:08:20:00:00:01'), ...to('192.0.2.2', 4789) }],
    ['02:08:20:00:00:01,[2001:db8::2]:4789', whole, { mac: macOf('02:08:20:00:00:01'), ...to('2001:db8::2', 4789) }],
    ['2:8:20:0:0:1,2001:db8::2', ['ethernet', 'ip'], { mac: macOf('02:08:20:00:00:01'), ...to('2001:db8::2') }],
  ])('%s (needs %j) is read', (text, needs, destination) => {
    expect(parseDestination(text, needs)).toEqual(destination);
  });

  it.each<[string, readonly DestinationField[], string]>([
    ['', udp, 'IP:PORT, [IPV6]:PORT or drop'],
    ['192.0.2.2', udp, 'IP:PORT, [IPV6]:PORT or drop'],
    ['192.0.2.2:', udp, 'IP:PORT'],
    ['192.0.2.2:0', udp, 'IP:PORT'],
    ['192.0.2.2:65536', udp, 'IP:PORT'],
    ['192.0.2.2:04789', udp, 'IP:PORT'],
    ['192.0.2.2:4789 ', udp, 'IP:PORT'],
    ['192.0.2.256:4789', udp, 'IP:PORT'],
    ['[192.0.2.2]:4789', udp, 'IP:PORT'],
    ['2001:db8::2:4789', udp, 'IP:PORT'],
    ['[2001:db8::2]', udp, 'IP:PORT'],
    ['[fe80::1%eth0]:4789', udp, 'IP:PORT'],
    ['host.example:4789', udp, 'IP:PORT'],
    ['192.0.2.2:4789\n', udp, 'IP:PORT'],
    ['192.0.2.2:4789', ['ip'], 'Write it as IP or drop.'],
    ['192.0.2.2:4789', whole, 'MAC,IP:PORT, MAC,[IPV6]:PORT or drop'],
    ['2:8:20:0:0,192.0.2.2:4789', whole, 'MAC,IP:PORT'],
    ['2:8:20:0:0:1,192.0.2.2', whole, 'MAC,IP:PORT'],
    ['2:8:20:0:0:1,192.0.2.2:4789', udp, 'IP:PORT'],
  ])('%j (needs %j) is refused with the form that is expected', (text, needs, advice) => {
    expect(() => parseDestination(text, needs)).toThrow(
      expect.objectContaining({
        code: 'DESTINATION_INVALID',
        message: `invalid destination: ${JSON.stringify(text)}`,
        advice: expect.stringContaining(advice),
      }),
    );
  });

  const needs = fc.constantFrom<readonly DestinationField[]>(['ip'], udp, whole, ['ethernet', 'ip']);
  const nearly = fc.array(fc.constantFrom('192.0.2.2', '2001:db8::2', '[', ']', ':', ',', '4789', '2:8:20:0:0:1', 'drop', ' ', '%', '/'), {
    maxLength: 8,
  });

  it('is any text: read into what the encapsulation needs, or refused by name, in few words', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          nearly.map((parts) => parts.join('')),
        ),
        needs,
        (text, fields) => {
          try {
            const read = parseDestination(text, fields);
            if (read === 'drop') {
              expect(text.toLowerCase()).toBe('drop');
              return;
            }
            const given = fields.map((field) => (field === 'ethernet' ? read.mac : read[field]));
            expect(given).not.toContain(undefined);
            expect(read.port ?? 1).toSatisfy((port: number) => Number.isInteger(port) && port >= 1 && port <= 65535);
          } catch (error) {
            if (!OverlayError.is(error)) throw error;
            expect(error.code).toBe('DESTINATION_INVALID');
            expect(error.message.length).toBeLessThan(500);
          }
        },
      ),
    );
  });

  it('is read again as it is shown', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6()).map(ipOf);
    fc.assert(
      fc.property(address, fc.integer({ min: 1, max: 65535 }), (ip, port) => {
        const checked = checkDestination({ ip, port }, { ...(ip.includes(':') ? v6 : v4), isOwnSocket: () => false });
        if (checked.ok) expect(parseDestination(showDestination(checked.to, ip), udp)).toEqual({ ip, port });
      }),
    );
  });
});
