// Two hosts of ours, and one of ours with a stock kernel VXLAN device, over both families outside and inside.
import { beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts } from '../helpers/netns.ts';
import {
  changes,
  control,
  counters,
  createOverlay,
  createVnic,
  kernelPeer,
  mappingFile,
  onBothDatapaths,
  untilCounted,
} from '../helpers/netns-overlay.ts';
import { ping, transfer } from '../helpers/netns-traffic.ts';

const NONE_LOST = { sent: 5, received: 5 };
const COUNT = { count: 5 };
/** Last octet of the MAC and of the addresses on the overlay. */
const mac = (last: number): string => `02:08:20:00:00:0${last}`;
const v4 = (net: number, last: number): string => `10.8.${net}.${last}`;
const v6 = (net: number, last: number): string => `fd00:8:${net}::${last}`;
const addresses = (net: number, last: number): string[] => [`${v4(net, last)}/24`, `${v6(net, last)}/64`];
const mapping = (net: number, last: number, ip: string): object => ({ ip, arp: v4(net, last), ndp: v6(net, last) });

onBothDatapaths({ commands: ['ping'] })('two hosts of ours', (datapath) => {
  let a: Host;
  let b: Host;
  /** The namespaces of the VNICs on overlay0, whose underlay is IPv4, and on overlay1, which shares its port. */
  let red: readonly Namespace[];
  let green: readonly Namespace[];

  const both = <T>(act: (host: Host, last: number) => Promise<T>): Promise<readonly T[]> => Promise.all([act(a, 1), act(b, 2)]);

  beforeAll(async () => {
    [a, b] = await twoHosts({ datapath });
    const all = (net: number, family: 'v4' | 'v6') => ({
      [mac(1)]: mapping(net, 1, a[family]),
      [mac(2)]: mapping(net, 2, b[family]),
      [mac(3)]: mapping(net, 3, a[family]),
      [mac(4)]: mapping(net, 4, a[family]),
    });
    const overlays = [
      { vnetid: 23, family: 'v4', net: 0 },
      { vnetid: 24, family: 'v4', net: 0 },
      { vnetid: 23, family: 'v6', net: 2 },
    ] as const;
    await both(async (host) => {
      for (const { vnetid, family, net } of overlays) {
        const config = mappingFile(host, `${family}-${vnetid}.json`, all(net, family));
        await createOverlay(host, { search: 'files', vnetid, properties: { 'vxlan/listen_ip': host[family], 'files/config': config } });
      }
    });
    const at = (overlay: number, net: number, netns?: string) => (host: Host, last: number) =>
      createVnic(host, {
        name: `vnic${overlay}`,
        overlay: `overlay${overlay}`,
        mac: mac(last),
        addresses: addresses(net, last),
        ...(netns === undefined ? {} : { netns }),
      });
    red = await both(at(0, 0, 'red'));
    // The same MAC and IP addresses as on overlay0: the vnetid is all that tells them apart.
    green = await both(at(1, 0, 'green'));
    await both(at(2, 2));
  });

  const from = (side: readonly Namespace[], index: 0 | 1): Namespace => side[index] as Namespace;

  test.each([
    { inside: 'IPv4', to: v4(0, 2) },
    { inside: 'IPv6', to: v6(0, 2) },
  ])('$inside over IPv4: pings and TCP', async ({ to }) => {
    expect(await ping(from(red, 0), to, COUNT)).toEqual(NONE_LOST);
    expect(await transfer(from(red, 0), { at: from(red, 1), address: to })).toBe('same');
  });

  test.each([
    { inside: 'IPv4', to: v4(2, 2) },
    { inside: 'IPv6', to: v6(2, 2) },
  ])('$inside over IPv6, VNICs in the namespace of the host: pings and TCP', async ({ to }) => {
    expect(await ping(a, to, COUNT)).toEqual(NONE_LOST);
    expect(await transfer(a, { at: b, address: to })).toBe('same');
  });

  test('overlays on one port do not leak into each other', async () => {
    expect(await ping(from(green, 0), v4(0, 2), COUNT)).toEqual(NONE_LOST);
    // overlay0 of the other host still has somebody who would answer.
    await from(green, 1).must('ip', ['link', 'set', 'vnic1', 'down']);
    expect(await ping(from(green, 0), v4(0, 2), { count: 2, waitSeconds: 1 })).toEqual({ sent: 2, received: 0 });
    expect(await ping(from(red, 0), v4(0, 2), COUNT)).toEqual(NONE_LOST);
  });

  test('VNICs of one host talk although the file, which all hosts share, says that this host is where they are', async () => {
    const [first, second] = [3, 4].map((last) => ({ name: `vnic${last}`, overlay: 'overlay0', mac: mac(last), addresses: addresses(0, last) }));
    if (first === undefined || second === undefined) throw new Error('two were asked for');
    const yellow = await createVnic(a, { ...first, netns: 'yellow' });
    await createVnic(a, { ...second, netns: 'white' });
    for (const to of [v4(0, 4), v6(0, 4)]) expect(await ping(yellow, to, COUNT)).toEqual(NONE_LOST);
    const client = await control(a);
    // The overlay has got the question as well, and answered it.
    await untilCounted(client, 'overlay0', 'tx.injected', 1);
    expect((await counters(client, 'overlay0'))['lookup.wrong-destination']).toBe(0);
    expect(await client.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE', details: null });
  });

  test('the target cache has what was asked for, and the tour of show-overlay is whole', async () => {
    const { stdout } = await a.mustOverlayadm('show-overlay', '-t', 'overlay0');
    expect(stdout).toMatch(/overlay0\s+2:8:20:0:0:2\s+192\.0\.2\.2:4789/);
    const health = await a.mustOverlayadm('show-overlay', '-f');
    expect(health.stdout.match(/ONLINE/g)).toHaveLength(3);
    const { stdout: properties } = await a.mustOverlayadm('show-overlay', 'overlay2');
    expect(properties).toMatch(/overlay2\s+vxlan\/listen_ip\s+\S+\s+y\s+2001:db8:77::1/);
  });
});

onBothDatapaths({ commands: ['ping'] })('a kernel VXLAN device as the other host', (datapath) => {
  let ours: Host;
  let kernel: Host;
  let blue: Namespace;
  let client: Client;
  const outer = [
    { outside: 'IPv4', family: 'v4', net: 4, vnetid: 100, overlay: 'overlay0' },
    { outside: 'IPv6', family: 'v6', net: 6, vnetid: 101, overlay: 'overlay1' },
    { outside: 'IPv4, direct', family: 'v4', net: 8, vnetid: 102, overlay: 'overlay2' },
  ] as const;

  beforeAll(async () => {
    [ours, kernel] = await twoHosts({ datapath });
    for (const [index, { family, net, vnetid, overlay }] of outer.entries()) {
      const direct = net === 8;
      const listen = { 'vxlan/listen_ip': ours[family] };
      const search = direct
        ? { 'direct/dest_ip': kernel[family], 'direct/dest_port': 4789 }
        : { 'files/config': mappingFile(ours, `${net}.json`, { [mac(2)]: mapping(net, 2, kernel[family]) }) };
      await createOverlay(ours, { name: overlay, search: direct ? 'direct' : 'files', vnetid, properties: { ...listen, ...search } });
      blue = await createVnic(ours, { name: `vnic${index}`, overlay, mac: mac(1), addresses: addresses(net, 1), netns: 'blue' });
      const peer = { name: `vx${index}`, vnetid, mac: mac(2), addresses: addresses(net, 2) };
      await kernelPeer(kernel, { ...peer, local: kernel[family], remote: ours[family] });
    }
    client = await control(ours);
  });

  describe.each(outer)('over $outside', ({ net, overlay }) => {
    test.each([
      { inside: 'IPv4', address: v4 },
      { inside: 'IPv6', address: v6 },
    ])('$inside: pings and TCP from us and to us', async ({ address }) => {
      const [us, them] = [address(net, 1), address(net, 2)];
      expect(await ping(blue, them, COUNT)).toEqual(NONE_LOST);
      expect(await ping(kernel, us, COUNT)).toEqual(NONE_LOST);
      expect(await transfer(blue, { at: kernel, address: them })).toBe('same');
      const before = await counters(client, overlay);
      expect(await transfer(kernel, { at: blue, address: us })).toBe('same');
      if (datapath === 'kernel') return;
      // The sender's kernel leaves segments and checksums to a network card that a veth is not: with tap it is we who finish them,
      // while the kernel driver's link passes them on as they are, which its counters do not tell.
      const changed = changes(before, await counters(client, overlay));
      expect((changed['rx.segmented'] ?? 0) + (changed['rx.checksum-completed'] ?? 0)).toBeGreaterThan(0);
    });
  });
});
