// Pure parts around the kernel: marks, addresses and MTUs, /proc/net/udp, names of namespaces, sysctl errors.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IpAddress, parseIp } from '@overlayadm/api';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HostAddress, hasAddress, readAddress, routeMtu } from '../../../src/core/linux/addresses.ts';
import { formatMark, parseMark } from '../../../src/core/linux/marks.ts';
import { namespacePath } from '../../../src/core/linux/namespaces.ts';
import { host } from '../../../src/core/linux/netlink/message.ts';
import { parseProcNetUdp, vxlanOnPort } from '../../../src/core/linux/ports.ts';
import { isolateInterface } from '../../../src/core/linux/sysctl.ts';
import type { LinkInfo } from '../../../src/core/linux/types.ts';

function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

const plainLink: LinkInfo = {
  name: 'eth0',
  index: 2,
  mac: undefined,
  mtu: 1500,
  up: true,
  carrier: true,
  noarp: false,
  loopback: false,
  kind: undefined,
  alias: undefined,
  mark: undefined,
  ours: false,
  lowerIndex: undefined,
  lowerNetnsId: undefined,
};

describe('marks', () => {
  test('what is formatted is parsed back', () => {
    expect(formatMark({ stateId: 'a1B_-', name: 'overlay0' })).toBe('overlayadm:a1B_-:overlay0');
    expect(parseMark('overlayadm:a1B_-:overlay0')).toEqual({ stateId: 'a1B_-', name: 'overlay0' });
  });

  test.each([
    undefined,
    '',
    'overlayadm',
    'overlayadm::x',
    'overlayadm:a:',
    'overlayadm:a:b:c',
    'xoverlayadm:a:b',
    'overlayadm:a:b c',
    'overlayadm:a b:c',
  ])('%s is no mark', (alias) => expect(parseMark(alias)).toBeUndefined());

  test('parts that would not come back are refused', () => {
    for (const stateId of ['', 'a:b', 'a b', 'x'.repeat(65)]) expect(() => formatMark({ stateId, name: 'overlay0' })).toThrow(RangeError);
    for (const name of ['', 'a:b', 'a\nb', 'x'.repeat(300)]) expect(() => formatMark({ stateId: 's', name })).toThrow(RangeError);
  });
});

describe('addresses', () => {
  const address = (text: string, more: Partial<HostAddress> = {}): HostAddress => ({
    ip: ip(text),
    prefixBits: 24,
    linkIndex: 2,
    scopeHost: false,
    usable: true,
    ...more,
  });
  const loopback = address('127.0.0.1', { prefixBits: 8, linkIndex: 1, scopeHost: true });

  test('its own ones, all of loopback, and the unspecified ones', () => {
    const have = [loopback, address('192.0.2.1'), address('2001:db8::1', { prefixBits: 64 }), address('2001:db8::2', { usable: false })];
    for (const yes of ['192.0.2.1', '2001:db8::1', '127.0.0.1', '127.3.2.1', '0.0.0.0', '::'])
      expect([yes, hasAddress(have, ip(yes))]).toEqual([yes, true]);
    for (const no of ['192.0.2.2', '128.0.0.1', '2001:db8::2', '2001:db8::3', '::1']) expect([no, hasAddress(have, ip(no))]).toEqual([no, false]);
  });

  test('IFA_LOCAL is ours where IFA_ADDRESS is the other end; flags are read from IFA_FLAGS', () => {
    const header = Buffer.concat([Uint8Array.of(2, 32, 0x80, 0), host.u32(7)]);
    const body = Buffer.concat([header, host.attribute(1, Uint8Array.of(10, 0, 0, 2)), host.attribute(2, Uint8Array.of(10, 0, 0, 1))]);
    expect(readAddress({ type: 20, flags: 0, sequence: 0, body })).toEqual({
      ip: '10.0.0.1',
      prefixBits: 32,
      linkIndex: 7,
      scopeHost: false,
      usable: true,
    });
    const tentative = Buffer.concat([body, host.attribute(8, host.u32(0x40))]);
    expect(readAddress({ type: 20, flags: 0, sequence: 0, body: tentative })).toMatchObject({ usable: false });
  });

  test('any bytes are read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
        readAddress({ type: 20, flags: 0, sequence: 0, body });
      }),
    );
  });

  test('the MTU is that of the link with the address; of all usable links the smallest', () => {
    const links: LinkInfo[] = [
      { ...plainLink, name: 'lo', index: 1, mtu: 65536, loopback: true },
      plainLink,
      { ...plainLink, name: 'eth1', index: 3, mtu: 1450 },
      { ...plainLink, name: 'eth2', index: 4, mtu: 1300, up: false },
      { ...plainLink, name: 'vnic0', index: 5, mtu: 1200, mark: { stateId: 's', name: 'vnic0' } },
    ];
    const have = [loopback, ...['192.0.2.1', '192.0.2.33', '192.0.2.4', '192.0.2.5'].map((text, i) => address(text, { linkIndex: i + 2 }))];
    expect(routeMtu(have, links, ip('192.0.2.1'))).toBe(1500);
    expect(routeMtu(have, links, ip('192.0.2.4'))).toBe(1300);
    expect(routeMtu(have, links, ip('127.0.0.9'))).toBe(65536);
    expect(routeMtu(have, links, ip('0.0.0.0'))).toBe(1450);
    expect(routeMtu(have, links, ip('::'))).toBeUndefined();
    expect(routeMtu(have, links, ip('198.51.100.1'))).toBeUndefined();
  });
});

describe('ports', () => {
  test.skipIf(endianness() === 'BE')('/proc/net/udp of a little-endian machine', () => {
    const text = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 0100007F:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 30313 2 0000000000000000 0
 rubbish
  124: 00000000000000000000000001000000:12B5 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 30314 2 0 0`;
    expect(parseProcNetUdp(text)).toEqual([
      { ip: '127.0.0.1', port: 4789, inode: '30313' },
      { ip: '::1', port: 4789, inode: '30314' },
    ]);
  });

  test('any text is read without an exception', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789AF: \n'), maxLength: 300 });
    fc.assert(
      fc.property(text, (lines) => {
        for (const row of parseProcNetUdp(lines)) expect(row.port).toBeLessThanOrEqual(65535);
      }),
    );
  });

  test('vxlan links hold their port for their family, while they are up', () => {
    const vxlan = (more: Partial<LinkInfo>, local?: string, external = false): LinkInfo => ({
      ...plainLink,
      name: 'vx0',
      kind: 'vxlan',
      vxlan: {
        port: 4789,
        vnetid: 100,
        local: local === undefined ? undefined : ip(local),
        external,
        family: 4,
        learning: false,
        localBypass: false,
        df: true,
      },
      ...more,
    });
    expect(vxlanOnPort([plainLink, vxlan({})], 4, 4789)).toBe('kernel vxlan link vx0 (vni 100)');
    expect(vxlanOnPort([vxlan({}, '192.0.2.1')], 6, 4789)).toBeUndefined();
    expect(vxlanOnPort([vxlan({}, '::1', true)], 4, 4789)).toBe('kernel vxlan link vx0 (all vnis)');
    expect(vxlanOnPort([vxlan({ up: false })], 4, 4789)).toBeUndefined();
    expect(vxlanOnPort([vxlan({})], 4, 4790)).toBeUndefined();
  });
});

test('names of namespaces cannot lead out of their folder', () => {
  expect(namespacePath('blue-1.x')).toBe('/run/netns/blue-1.x');
  for (const name of ['', '.', '..', '.hidden', 'a/b', '../x', 'a b', 'a\0b']) {
    expect(() => namespacePath(name)).toThrow(expect.objectContaining({ code: 'NETNS_NAME' }));
  }
});

describe('sysctl', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'overlayadm-sysctl-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));
  const setting = (family: string, name: string): string => join(root, family, 'conf', 'overlay.0', name);
  const prepare = (family: string, ...names: string[]): void => {
    mkdirSync(join(root, family, 'conf', 'overlay.0'), { recursive: true });
    for (const name of names) writeFileSync(setting(family, name), '7');
  };

  test('writes the isolation, also for a name with a dot', () => {
    prepare('ipv6', 'disable_ipv6', 'accept_ra');
    prepare('ipv4', 'rp_filter');
    isolateInterface('overlay.0', root);
    expect(
      [
        ['ipv6', 'disable_ipv6'],
        ['ipv6', 'accept_ra'],
        ['ipv4', 'rp_filter'],
      ].map(([family = '', name = '']) => readFileSync(setting(family, name), 'utf8')),
    ).toEqual(['1', '0', '1']);
  });

  test('a host without IPv6 is fine, one without IPv4 settings is not', () => {
    prepare('ipv4', 'rp_filter');
    expect(() => isolateInterface('overlay.0', root)).not.toThrow();
    expect(() => isolateInterface('overlay.1', root)).toThrow(
      expect.objectContaining({ code: 'SYSCTL_REFUSED', details: expect.objectContaining({ code: 'ENOENT' }) }),
    );
  });
});
