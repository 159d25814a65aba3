// Measured: what comes in on an overlay reaches nothing of the host, and its VNICs all the same. The same frames on a plain TAP do reach the host.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LinkInfo } from '../../src/core/linux/types.ts';
import { type Host, Lab, run, whyNoNamespaces } from './linux-host.ts';

const reason = whyNoNamespaces();
const HOST_IP = '0a090001'; // 10.9.0.1
/** fe80::99: neighbour discovery asks for addresses of the interface only. */
const HOST_IP6 = 'fe800000000000000000000000000099';
const VNIC_MAC = '020820000001';
const VNIC_IP = '0a080007'; // 10.8.0.7
const PEER_MAC = '02aa00000001';
const PEER_IP = '0a080002'; // 10.8.0.2
const BROADCAST = 'ffffffffffff';
const PORT = 9999;

const h16 = (value: number): string => value.toString(16).padStart(4, '0');
const bytesOf = (hex: string): number => hex.length / 2;

/** The Internet checksum (RFC 1071) of whole 16-bit words. */
function checksum(hex: string): string {
  let sum = 0;
  for (const word of hex.padEnd(Math.ceil(hex.length / 4) * 4, '0').match(/.{4}/g) ?? []) sum += Number.parseInt(word, 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return h16(~sum & 0xffff);
}

function ipv4(protocol: string, from: string, to: string, payload: string): string {
  const before = `4500${h16(20 + bytesOf(payload))}0000000040${protocol}`;
  return `${before}${checksum(`${before}${from}${to}`)}${from}${to}${payload}`;
}
const udp = (data: string): string => `1234${h16(PORT)}${h16(8 + bytesOf(data))}0000${data}`;
const arpRequest = (ip: string): string => `${BROADCAST}${PEER_MAC}08060001080006040001${PEER_MAC}${PEER_IP}000000000000${ip}`;
const datagram = (mac: string, ip: string, data: string): string =>
  `${mac}${PEER_MAC}0800${ipv4('11', PEER_IP, ip, udp(Buffer.from(data).toString('hex')))}`;
function icmpv6(mac: string, from: string, to: string, message: (sum: string) => string): string {
  const length = bytesOf(message('0000'));
  const sum = checksum(`${from}${to}${h16(0)}${h16(length)}0000003a${message('0000')}`);
  return `${mac}${PEER_MAC}86dd60000000${h16(length)}3aff${from}${to}${message(sum)}`;
}
/** RFC 4861 §4.2 with the prefix 2001:db8:bad::/64, on link, autonomous: a host that hears it makes itself an address and a default route. */
const routerAdvertisement = icmpv6(
  '333300000001',
  'fe8000000000000000aa00fffe000001',
  'ff020000000000000000000000000001',
  (sum) => `8600${sum}400007080000000000000000030440c0000151800000384000000000${'20010db80bad0000'}${'0000000000000000'}`,
);
const neighbourSolicitation = (ip: string): string =>
  icmpv6(
    `3333ff${ip.slice(-6)}`,
    'fe8000000000000000aa00fffe000001',
    `ff0200000000000000000001ff${ip.slice(-6)}`,
    (sum) => `8700${sum}00000000${ip}0101${PEER_MAC}`,
  );

describe.skipIf(reason !== undefined)(`isolation of an overlay${reason === undefined ? '' : ` (${reason})`}`, () => {
  const lab = new Lab();
  let red = '';
  let blue = '';
  let host: Host;
  let tap = 0;

  const ip = (netns: string, ...args: string[]): string => run('ip', '-n', netns, ...args);
  const hostMac = async (): Promise<string> => ((await host.call<LinkInfo>('link', 'overlay0')).mac ?? '').replaceAll(':', '');

  beforeEach(async () => {
    red = lab.addNamespace('ired');
    blue = lab.addNamespace('iblue');
    host = lab.addHost(red);
    ip(red, 'addr', 'add', '10.9.0.1/32', 'dev', 'lo');
    ip(red, 'route', 'add', 'default', 'dev', 'lo');
    await host.call('listen', '0.0.0.0', PORT);
    tap = await host.call<number>('openTap', 'overlay0');
  });
  afterEach(() => lab.remove());

  /** What of the host a tenant has reached. */
  async function reached(): Promise<readonly string[]> {
    const mac = await hostMac();
    await host.call('frames', tap);
    for (const frame of [
      arpRequest(HOST_IP),
      neighbourSolicitation(HOST_IP6),
      datagram(mac, HOST_IP, 'unicast'),
      datagram(BROADCAST, 'ffffffff', 'broadcast'),
      routerAdvertisement,
    ]) {
      await host.call('inject', tap, frame);
    }
    await sleep(300);
    const effects = await host.call<string[]>('datagrams');
    const frames = await host.call<string[]>('frames', tap);
    if (frames.some((frame) => frame.startsWith(`${PEER_MAC}${mac}08060001080006040002`))) effects.push('arp reply');
    if (frames.some((frame) => frame.slice(24, 28) === '86dd' && frame.slice(108, 110) === '88')) effects.push('neighbour advertisement');
    if (ip(red, '-6', 'route').includes('2001:db8:bad:')) effects.push('router advertisement');
    return effects;
  }

  test('a plain TAP is an interface of the host: all of it is reached', async () => {
    ip(red, 'link', 'set', 'overlay0', 'up');
    ip(red, 'addr', 'add', 'fe80::99/64', 'dev', 'overlay0', 'nodad');
    // The peer's address has to be a plausible one: martians are not what is measured here.
    run('ip', 'netns', 'exec', red, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.overlay0.rp_filter=0');
    ip(red, 'addr', 'add', '10.8.0.1/24', 'dev', 'overlay0');
    expect((await reached()).toSorted()).toEqual(['arp reply', 'broadcast', 'neighbour advertisement', 'router advertisement', 'unicast']);
  });

  test('an overlay is not: nothing is reached, and the filter has counted', async () => {
    await host.call('prepareOverlayLink', 'overlay0', 1400);
    expect(await reached()).toEqual([]);
    const [, packets] = /counter packets (\d+)/.exec(run('ip', 'netns', 'exec', red, 'nft', 'list', 'ruleset')) ?? [];
    expect(Number(packets)).toBeGreaterThanOrEqual(2);
  });

  test('the filter alone holds when somebody takes the settings back', async () => {
    await host.call('prepareOverlayLink', 'overlay0', 1400);
    run(
      'ip',
      'netns',
      'exec',
      red,
      'sysctl',
      '-qw',
      'net.ipv6.conf.overlay0.disable_ipv6=0',
      'net.ipv6.conf.overlay0.accept_ra=2',
      'net.ipv4.conf.overlay0.rp_filter=0',
    );
    for (const address of ['10.8.0.1/24', 'fe80::99/64']) ip(red, 'addr', 'add', address, 'dev', 'overlay0');
    await sleep(1500); // duplicate address detection
    expect(await reached()).toEqual([]);
  });

  test.each(['blue', 'own'])('a VNIC in the %s namespace answers ARP, ping and UDP', async (where) => {
    await host.call('prepareOverlayLink', 'overlay0', 1400);
    const netns = where === 'blue' ? blue : red;
    await host.call('addVnic', 'vnic0', 'overlay0', '02:08:20:00:00:01', 1400, where === 'blue' ? blue : null);
    const vnicHost = where === 'blue' ? lab.addHost(blue) : host;
    if (where === 'blue') await vnicHost.call('listen', '0.0.0.0', PORT);
    ip(netns, 'addr', 'add', '10.8.0.7/24', 'brd', '+', 'dev', 'vnic0');
    const echo = `${VNIC_MAC}${PEER_MAC}0800${ipv4('01', PEER_IP, VNIC_IP, `0800${checksum('0800000012340001')}12340001`)}`;
    for (const frame of [arpRequest(VNIC_IP), echo]) await host.call('inject', tap, frame);
    for (const [mac, to, data] of [
      [VNIC_MAC, VNIC_IP, 'unicast'],
      [BROADCAST, '0a0800ff', 'broadcast'],
    ] as const) {
      await host.call('inject', tap, datagram(mac, to, data));
    }
    await sleep(200);
    const frames = await host.call<string[]>('frames', tap);
    expect(frames.filter((frame) => frame.startsWith(`${PEER_MAC}${VNIC_MAC}08060001080006040002${VNIC_MAC}${VNIC_IP}`))).toHaveLength(1);
    // The peer's MAC address is known to the VNIC from its ARP request.
    expect(frames.filter((frame) => frame.startsWith(`${PEER_MAC}${VNIC_MAC}0800`) && frame.slice(68, 72) === '0000')).toHaveLength(1);
    expect((await vnicHost.call<string[]>('datagrams')).toSorted()).toEqual(['broadcast', 'unicast']);
  });
});
