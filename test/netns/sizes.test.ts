// Tags and sizes: the MTUs people use at their full size both ways, paths that are too narrow, and frames with VLAN tags.
import { beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { frame, macOf } from '../helpers/frames.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { framesOf, hexOf, listenFrames, sendFrames } from '../helpers/netns-frames.ts';
import {
  changes,
  control,
  counters,
  createVnic,
  linkPlugin,
  onBothDatapaths,
  onDatapath,
  PATIENCE_MS,
  type Properties,
  propertyFlags,
  untilCounted,
} from '../helpers/netns-overlay.ts';
import { pings, sendUdp, transfer } from '../helpers/netns-traffic.ts';
import { skipUnless } from '../helpers/requirements.ts';

const A = '02:08:20:00:00:01';
const B = '02:08:20:00:00:02';
const [A_MAC, B_MAC] = [macOf(A), macOf(B)];
const UNDERLAY_MTU = 9000;
const ETHERNET = 14;
/** IPv4 and ICMP headers of a ping. */
const PING = 28;

interface Size {
  readonly mtu: number;
  readonly family: 'v4' | 'v6';
}
const SIZES: readonly Size[] = [
  { mtu: 576, family: 'v4' },
  { mtu: 1400, family: 'v4' },
  { mtu: 8900, family: 'v4' },
  { mtu: 8900, family: 'v6' },
];

interface End {
  readonly host: Host;
  readonly guest: Namespace;
}

/** Overlay `big<index>` from one host to the other, with a VNIC on each. */
async function connectHosts(hosts: readonly [Host, Host], index: number, { mtu, family }: Size): Promise<void> {
  const connect = async (host: Host, i: number): Promise<void> => {
    const peer = hosts[1 - i] as Host;
    const properties: Properties = { 'vxlan/listen_ip': host[family], 'direct/dest_ip': peer[family], 'direct/dest_port': 4789, mtu };
    const name = `big${index}`;
    const created = await host.mustOverlayadm(
      'create-overlay',
      '-e',
      'vxlan',
      '-s',
      'direct',
      '-v',
      `${index}`,
      ...propertyFlags(onDatapath(host, properties)),
      name,
    );
    expect(created.stderr).toBe('');
    await createVnic(host, { name: `vnic${index}`, overlay: name, mac: i === 0 ? A : B, addresses: [`10.8.${index}.${i + 1}/24`], netns: 'guest' });
  };
  await Promise.all(hosts.map(connect));
}

/** Outer packets of the IP header on: length, whether DF is set (no such bit in IPv6: never a fragment), whether it is a fragment. */
interface Outer {
  readonly length: number;
  readonly dontFragment: boolean;
  readonly fragment: boolean;
}

function outerOf(hex: string): Outer[] {
  const bytes = Buffer.from(hex, 'hex');
  const type = bytes.readUInt16BE(12);
  if (type === 0x0800 && (bytes[23] === 17 || (bytes.readUInt16BE(20) & 0x3fff) !== 0)) {
    const flags = bytes.readUInt16BE(20);
    return [{ length: bytes.readUInt16BE(16), dontFragment: (flags & 0x4000) !== 0, fragment: (flags & 0x3fff) !== 0 }];
  }
  if (type !== 0x86dd || (bytes[20] !== 17 && bytes[20] !== 44)) return [];
  return [{ length: 40 + bytes.readUInt16BE(18), dontFragment: true, fragment: bytes[20] === 44 }];
}

const tagged = (kind: readonly number[], plain: Uint8Array): Uint8Array =>
  Uint8Array.of(...plain.subarray(0, 12), ...kind, 0x60, 0x7b, ...plain.subarray(12));
const CUSTOMER = [0x81, 0x00];
const SERVICE = [0x88, 0xa8];

onBothDatapaths({ commands: ['ping', 'python3'] })('sizes', (datapath) => {
  let hosts: readonly [Host, Host];
  let a: End;
  let b: End;

  beforeAll(async () => {
    hosts = await twoHosts({ underlayMtu: UNDERLAY_MTU, datapath });
    for (const [index, size] of SIZES.entries()) await connectHosts(hosts, index, size);
    a = { host: hosts[0], guest: await hosts[0].vnicNamespace('guest') };
    b = { host: hosts[1], guest: await hosts[1].vnicNamespace('guest') };
  });

  const largest = async (from: Namespace, to: string, mtu: number): Promise<{ sent: number; received: number }> => {
    const args = ['-n', '-q', '-M', 'do', '-c', '3', '-i', '0.02', '-W', '10', '-s', String(mtu - PING), to];
    return pings((await from.run('ping', args)).stdout);
  };

  describe.each(SIZES.map((size, index) => ({ ...size, net: `10.8.${index}` })))('mtu $mtu over IP$family', ({ mtu, family, net }) => {
    const header = (family === 'v4' ? 28 : 48) + 8 + ETHERNET;

    test('full-size packets that must not be fragmented cross both ways; every outer packet says so too', async () => {
      const listeners = [await listenFrames(a.host, 'under0'), await listenFrames(b.host, 'under0')];
      expect(await largest(a.guest, `${net}.2`, mtu)).toEqual({ sent: 3, received: 3 });
      expect(await largest(b.guest, `${net}.1`, mtu)).toEqual({ sent: 3, received: 3 });
      for (const listener of listeners) {
        const outer = (): Outer[] => framesOf(listener).flatMap(outerOf);
        const full = (): Outer[] => outer().filter(({ length }) => length === mtu + header);
        await waitFor(() => full().length >= 6, PATIENCE_MS, `3 requests and 3 answers of ${mtu + header} bytes`);
        expect(outer().filter(({ dontFragment, fragment }) => fragment || !dontFragment)).toEqual([]);
        listener.kill('SIGINT');
      }
    });

    test('TCP crosses unharmed', async () => {
      expect(await transfer(a.guest, { at: b.guest, address: `${net}.2` }, 256 * 1024)).toBe('same');
    });
  });

  test('full-size frames with a VLAN tag cross untouched, both ways', async () => {
    for (const [from, to, source, target] of [[a, b, A_MAC, B_MAC] as const, [b, a, B_MAC, A_MAC] as const]) {
      const listener = await listenFrames(to.guest, 'vnic2');
      // A packet socket lets no more out than the MTU allows, but for the four bytes of an 802.1Q tag.
      const whole = [tagged(CUSTOMER, frame(target, source, 'x'.repeat(8900))), tagged(SERVICE, frame(target, source, 'x'.repeat(8896)))];
      await sendFrames(from.guest, 'vnic2', whole);
      const arrived = (): string[] => framesOf(listener).filter((hex) => whole.some((sent) => hex === hexOf(sent)));
      await waitFor(() => arrived().length === 2, PATIENCE_MS, 'the frames with a tag');
      listener.kill('SIGINT');
    }
  });

  test('create-overlay warns of an mtu that does not fit, with the number that does; that number is taken without a word', async () => {
    const create = (family: 'v4' | 'v6', mtu: number): ReturnType<Host['mustOverlayadm']> => {
      const properties: Properties = { 'vxlan/listen_ip': a.host[family], 'direct/dest_ip': b.host[family], 'direct/dest_port': 4789, mtu };
      return a.host.mustOverlayadm(
        'create-overlay',
        '-e',
        'vxlan',
        '-s',
        'direct',
        '-v',
        '99',
        ...propertyFlags(onDatapath(a.host, properties)),
        'warn0',
      );
    };
    await a.host.must('ip', ['link', 'set', 'under0', 'mtu', '1500']);
    try {
      for (const [family, fits] of [['v4', 1446] as const, ['v6', 1426] as const]) {
        const { stderr } = await create(family, fits + 1);
        expect(stderr).toContain(`mtu ${fits + 1} does not fit the underlay: 1501 bytes leave with a VLAN tag`);
        expect(stderr).toContain(`at most ${fits} fits`);
        await a.host.mustOverlayadm('delete-overlay', 'warn0');
        expect((await create(family, fits)).stderr).toBe('');
        await a.host.mustOverlayadm('delete-overlay', 'warn0');
      }
    } finally {
      await a.host.must('ip', ['link', 'set', 'under0', 'mtu', String(UNDERLAY_MTU)]);
    }
  });

  // The link carries 9000 all the time: what is narrow is the path, which only the kernel's routes know of.
  test.each([
    { family: 'v4', index: 2, to: '192.0.2.2', outer: 8950, fits: 946, shown: '192.0.2.2:4789', width: 1000 },
    { family: 'v6', index: 3, to: '2001:db8:77::2', outer: 8970, fits: 1226, shown: '[2001:db8:77::2]:4789', width: 1300 },
  ])('too large for the path over IP$family: dropped, counted, and health names destination, size and what fits', async (path) => {
    const client = await control(a.host);
    const name = `big${path.index}`;
    const before = await counters(client, name);
    await a.host.must('ip', ['route', 'add', path.to, 'dev', 'under0', 'mtu', String(path.width)]);
    try {
      const args = ['-n', '-q', '-M', 'do', '-c', '3', '-i', '0.02', '-W', '0.2', '-s', String(8900 - PING), `10.8.${path.index}.2`];
      expect(pings((await a.guest.run('ping', args)).stdout)).toEqual({ sent: 3, received: 0 });
      await untilCounted(client, name, 'too-big', (before['too-big'] ?? 0) + 3);
      // The neighbour may have been asked for meanwhile: a small frame, which fits.
      const changed = changes(before, await counters(client, name));
      expect(changed['too-big']).toBe(3);
      // The kernel only counts what did not fit; which destination has the narrow path is found out a moment later.
      const health = await waitFor(
        async () => {
          const found = await client.call('overlay.health', { name });
          return found.status === 'DEGRADED' ? found : undefined;
        },
        PATIENCE_MS,
        `${name} to be degraded`,
      );
      expect(health.details).toBe(
        `a packet of ${path.outer} bytes to ${path.shown} does not fit the path of ${path.width}; at most ${path.fits} fits as mtu (8900)`,
      );
    } finally {
      await a.host.must('ip', ['route', 'del', path.to, 'dev', 'under0']);
    }
    expect(await largest(a.guest, `10.8.${path.index}.2`, 8900)).toEqual({ sent: 3, received: 3 });
  });
});

skipUnless({ root: true, tun: true, commands: ['python3'] })('an encapsulation that carries no VLAN tags', () => {
  const PORT = 7654;
  const VNETID = 9;
  let ours: Host;
  let peer: Host;
  let guest: Namespace;
  let client: Client;

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ v6: false });
    linkPlugin(ours, 'untagged-encap');
    const properties = propertyFlags({ 'untagged/listen_ip': ours.v4, 'direct/dest_ip': peer.v4, 'direct/dest_port': PORT });
    await ours.mustOverlayadm('create-overlay', '-e', 'untagged', '-s', 'direct', '-v', String(VNETID), ...properties, 'overlay0');
    guest = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: A, addresses: [], netns: 'guest' });
    client = await control(ours);
  });

  const text = (to: 'A' | 'B', what: string): Uint8Array =>
    to === 'A' ? frame(A_MAC, B_MAC, what.padEnd(46)) : frame(B_MAC, A_MAC, what.padEnd(46));
  const datagram = (inner: Uint8Array): string => hexOf(Uint8Array.of(0x55, 0, 0, VNETID, ...inner));

  test('refuses and counts frames with a tag on the way out; others leave', async () => {
    const listener = await listenFrames(peer, 'under0');
    const before = await counters(client, 'overlay0');
    await sendFrames(guest, 'vnic0', [tagged(CUSTOMER, text('B', 'tag')), tagged(SERVICE, text('B', 'service tag')), text('B', 'no tag')]);
    const marker = hexOf(text('B', '').subarray(0, 12));
    // Behind Ethernet, IPv4 and UDP.
    const received = (): string[] => framesOf(listener).flatMap((hex) => (hex.includes(marker) ? [hex.slice(2 * (ETHERNET + 28))] : []));
    await waitFor(() => received().length > 0, PATIENCE_MS, 'the frame without a tag');
    await untilCounted(client, 'overlay0', 'frame.vlan-not-carried', 2);
    expect(received()).toEqual([datagram(text('B', 'no tag'))]);
    expect(changes(before, await counters(client, 'overlay0'))['frame.vlan-not-carried']).toBe(2);
  });

  test('refuses and counts frames with a tag on the way in; others arrive', async () => {
    const listener = await listenFrames(guest, 'vnic0');
    const sent = [tagged(CUSTOMER, text('A', 'tag')), tagged(SERVICE, text('A', 'service tag')), text('A', 'no tag')];
    await sendUdp(peer, ours.v4, PORT, ...sent.map(datagram));
    await waitFor(() => framesOf(listener).includes(hexOf(text('A', 'no tag'))), PATIENCE_MS, 'the frame without a tag');
    expect(framesOf(listener).filter((hex) => ['8100', '88a8'].includes(hex.slice(24, 28)))).toEqual([]);
    expect(await counters(client, 'overlay0')).toMatchObject({ 'rx.vlan-not-carried': 2 });
  });

  test('needs no room for them: create-overlay warns four bytes later', async () => {
    const fits = 1500 - 28 - 4 - ETHERNET;
    const properties = { 'untagged/listen_ip': ours.v4, 'direct/dest_ip': peer.v4, 'direct/dest_port': PORT };
    const create = (mtu: number): ReturnType<Host['mustOverlayadm']> =>
      ours.mustOverlayadm('create-overlay', '-e', 'untagged', '-s', 'direct', '-v', '10', ...propertyFlags({ ...properties, mtu }), 'warn0');
    const { stderr } = await create(fits + 1);
    expect(stderr).toContain('1501 bytes leave, ');
    expect(stderr).toContain(`at most ${fits} fits`);
    await ours.mustOverlayadm('delete-overlay', 'warn0');
    expect((await create(fits)).stderr).toBe('');
  });
});
