// What leaves and what is injected, as tshark sees it: VXLAN by RFC 7348, checksums, source ports, no fragments, VLAN tags untouched.
import { join } from 'node:path';
import type { MacAddress } from '@overlayadm/api';
import { beforeAll, describe, expect, test } from 'vitest';
import { frame, macOf } from '../helpers/frames.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { finishChecksums, framesOf, hexOf, listenFrames, sendFrames } from '../helpers/netns-frames.ts';
import {
  control,
  createOverlay,
  createVnic,
  kernelPeer,
  mappingFile,
  onBothDatapaths,
  onDatapath,
  PATIENCE_MS,
  propertyFlags,
  untilCounted,
} from '../helpers/netns-overlay.ts';
import { vxlan } from '../helpers/netns-packets.ts';
import { ping, sendUdp, transfer } from '../helpers/netns-traffic.ts';
import { must, type Running } from '../helpers/process.ts';
import { isLinux } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const OURS = '02:08:20:00:00:01';
const PEER = '02:08:20:00:00:02';
const OURS_MAC: MacAddress = macOf(OURS);
const PEER_MAC: MacAddress = macOf(PEER);
const CHECKED = ['ip', 'udp', 'tcp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`]);
/** tshark: the checksum was calculated and is right. */
const GOOD = '1';

/** Of each frame, all occurrences: the ones of the underlay first. */
const FIELDS = [
  'vxlan.vni',
  'vxlan.flags',
  'eth.src',
  'eth.dst',
  'eth.type',
  'ip.checksum.status',
  'udp.checksum.status',
  'tcp.checksum.status',
  'icmp.checksum.status',
  'icmpv6.checksum.status',
  'ip.flags.df',
  'ip.flags.mf',
  'ip.frag_offset',
  'ipv6.fraghdr.nxt',
  'udp.srcport',
  'tcp.srcport',
] as const;

/** Writes what passes `link` to a file, until it is stopped. */
class Capture {
  readonly #file: string;
  readonly #tcpdump: Running;

  private constructor(file: string, tcpdump: Running) {
    this.#file = file;
    this.#tcpdump = tcpdump;
  }

  static async of(where: Namespace, link: string, filter: string): Promise<Capture> {
    const file = join(temporaryFolder(), 'capture.pcap');
    // Immediately, or what was seen last would be lost at the end; and then the buffer has slots of the longest length, so with few bytes and many KiB.
    const buffer = ['--immediate-mode', '-U', '-s', '4096', '-B', '16384'];
    const tcpdump = where.start('tcpdump', ['-i', link, ...buffer, '-w', file, '-Z', 'root', filter]);
    await tcpdump.printed('listening on');
    return new Capture(file, tcpdump);
  }

  /** The fields of every frame that matches; all occurrences of a field, outer first. */
  async fields<N extends string>(filter: string, ...names: readonly N[]): Promise<Readonly<Record<N, readonly string[]>>[]> {
    const wanted = names.flatMap((name) => ['-e', name]);
    const args = ['-r', this.#file, ...CHECKED, '-Y', filter, '-T', 'fields', '-E', 'separator=;', '-E', 'occurrence=a', '-E', 'aggregator=,'];
    const { stdout } = await must('tshark', [...args, ...wanted]);
    const rows = stdout.split('\n').slice(0, -1);
    return rows.map((row) => {
      const cells = row.split(';');
      return Object.fromEntries(names.map((name, at) => [name, (cells[at] ?? '').split(',').filter(Boolean)])) as Record<N, string[]>;
    });
  }

  async stop(): Promise<void> {
    this.#tcpdump.kill('SIGINT');
    await this.#tcpdump.end();
  }
}

const distinct = (values: readonly (string | undefined)[]): string[] => [...new Set(values.map(String))].toSorted();

onBothDatapaths({ commands: ['tshark', 'tcpdump', 'python3', 'ping'] })('on the wire', (datapath) => {
  let ours: Host;
  let peer: Host;
  let blue: Namespace;

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ datapath });
    await finishChecksums(ours, 'under0');
    for (const [index, family] of (['v4', 'v6'] as const).entries()) {
      const config = mappingFile(ours, `${family}.json`, { [PEER]: { ip: peer[family], arp: `10.8.${index}.2`, ndp: `fd00:8:${index}::2` } });
      const properties = { 'vxlan/listen_ip': ours[family], 'files/config': config };
      const overlay = await createOverlay(ours, { search: 'files', vnetid: 0xabcd00 + index, properties });
      const addresses = (last: number): string[] => [`10.8.${index}.${last}/24`, `fd00:8:${index}::${last}/64`];
      blue = await createVnic(ours, { name: `vnic${index}`, overlay, mac: OURS, addresses: addresses(1), netns: 'blue' });
      const device = { name: `vx${index}`, vnetid: 0xabcd00 + index, mac: PEER, addresses: addresses(2) };
      await kernelPeer(peer, { ...device, local: peer[family], remote: ours[family] });
    }
  });

  describe.each([
    { family: 'v4', net: 0, from: 'ip.src==192.0.2.1' },
    { family: 'v6', net: 1, from: 'ipv6.src==2001:db8:77::1' },
  ] as const)('over IP$family', ({ family, net, from }) => {
    let rows: Awaited<ReturnType<typeof Capture.prototype.fields<(typeof FIELDS)[number]>>>;

    beforeAll(async () => {
      const capture = await Capture.of(peer, 'under0', 'udp port 4789 or ip[6:2] & 0x3fff != 0 or ip6[6] == 44');
      for (const address of [`10.8.${net}.2`, `fd00:8:${net}::2`]) {
        await ping(blue, address, { count: 5 });
        expect(await transfer(blue, { at: peer, address }, 64 * 1024)).toBe('same');
      }
      await capture.stop();
      rows = await capture.fields(from, ...FIELDS);
    });

    /** All that are among the values of a field, of the frames that have it. `at`: 0 is outside, -1 is inside. */
    const seen = (name: (typeof FIELDS)[number], at: 0 | -1): string[] => distinct(rows.flatMap((row) => row[name].at(at) ?? []));

    test('every datagram is VXLAN with the right VNI, flags and inner addresses', () => {
      expect(rows.length).toBeGreaterThan(50);
      expect(rows.filter((row) => row['vxlan.vni'].length !== 1)).toEqual([]);
      expect(seen('vxlan.vni', 0)).toEqual([String(0xabcd00 + net)]);
      expect(seen('vxlan.flags', 0)).toEqual(['0x0800']);
      expect([seen('eth.src', -1), seen('eth.dst', -1)]).toEqual([[OURS], [PEER]]);
    });

    test('outer and inner checksums are right', () => {
      expect(rows.filter((row) => row['udp.checksum.status'].length === 0)).toEqual([]);
      expect(seen('udp.checksum.status', 0)).toEqual([GOOD]);
      expect([seen('ip.checksum.status', 0), seen('ip.checksum.status', -1)]).toEqual([[GOOD], [GOOD]]);
      expect(seen('tcp.checksum.status', -1)).toEqual([GOOD]);
      expect([seen('icmp.checksum.status', -1), seen('icmpv6.checksum.status', -1)]).toEqual([[GOOD], [GOOD]]);
    });

    test('nothing is a fragment, and nothing may become one', () => {
      // IPv6 has no such bit: routers never fragment, and the sender says it did with a header.
      expect(rows.filter((row) => row['ipv6.fraghdr.nxt'].length > 0)).toEqual([]);
      if (family === 'v4') expect([seen('ip.flags.df', 0), seen('ip.flags.mf', 0), seen('ip.frag_offset', 0)]).toEqual([['1'], ['0'], ['0']]);
    });

    test('a flow has one source port, of 49152 to 65535', () => {
      const flows = new Map<string, Set<string>>();
      for (const row of rows.filter((one) => one['tcp.srcport'].length > 0)) {
        const flow = `${row['eth.type'].at(-1)} ${row['tcp.srcport'].join()}`;
        flows.set(flow, (flows.get(flow) ?? new Set()).add(row['udp.srcport'][0] ?? ''));
      }
      expect([...flows.values()].map((ports) => ports.size)).toEqual([1, 1]);
      const ports = rows.map((row) => Number(row['udp.srcport'][0]));
      expect(Math.min(...ports)).toBeGreaterThanOrEqual(49152);
      expect(Math.max(...ports)).toBeLessThanOrEqual(65535);
    });
  });

  test('different flows have different source ports', async () => {
    const capture = await Capture.of(peer, 'under0', 'udp dst port 4789');
    // Port 9 is discarded; what counts is what leaves. One socket each, so that each is a flow of its own.
    const send = `for (let i = 0; i < 64; i++) { const s = require('dgram').createSocket('udp4'); s.send('x', 9, '10.8.0.2', () => s.close()); }`;
    await blue.must(process.execPath, ['-e', send]);
    const rows = await waitFor(
      async () => {
        const found = await capture.fields('ip.src==10.8.0.1 && udp.dstport==9 && !icmp', 'udp.srcport');
        return found.length >= 64 ? found : undefined;
      },
      PATIENCE_MS,
      '64 datagrams in the capture',
    );
    await capture.stop();
    expect(distinct(rows.map((row) => row['udp.srcport'][0])).length).toBeGreaterThan(4);
  });

  test('ARP replies and neighbour advertisements that are injected are well-formed', async () => {
    const capture = await Capture.of(blue, 'vnic0', 'arp or icmp6');
    await blue.must('ip', ['neigh', 'flush', 'dev', 'vnic0']);
    await ping(blue, '10.8.0.2', { count: 1 });
    await ping(blue, 'fd00:8:0::2', { count: 1 });
    await capture.stop();
    const [arp, ...moreArp] = await capture.fields('arp.opcode==2', 'eth.src', 'eth.dst', 'arp.src.hw_mac', 'arp.src.proto_ipv4', 'arp.dst.hw_mac');
    expect(moreArp).toEqual([]);
    expect(arp).toEqual({
      'eth.src': [PEER],
      'eth.dst': [OURS],
      'arp.src.hw_mac': [PEER],
      'arp.src.proto_ipv4': ['10.8.0.2'],
      'arp.dst.hw_mac': [OURS],
    });
    // The kernel of the other side may ask in turn; what it is told it is told by the VNIC itself.
    const advertisements = `icmpv6.type==136 && eth.src==${PEER}`;
    const [first] = await capture.fields(advertisements, 'ipv6.hlim', 'icmpv6.checksum.status', 'icmpv6.nd.na.target_address', 'icmpv6.opt.linkaddr');
    expect(first).toEqual({
      'ipv6.hlim': ['255'],
      'icmpv6.checksum.status': [GOOD],
      'icmpv6.nd.na.target_address': ['fd00:8::2'],
      'icmpv6.opt.linkaddr': [PEER],
    });
    expect(await capture.fields('_ws.malformed || _ws.expert.severity==error', 'frame.number')).toEqual([]);
  });

  test('frames with VLAN tags cross untouched, both ways', async () => {
    const tag = [0x81, 0x00, 0x60, 0x7b];
    const tagged = (to: MacAddress, from: MacAddress, text: string): Uint8Array => {
      const plain = frame(to, from, text);
      return Uint8Array.of(...plain.subarray(0, 12), ...tag, ...plain.subarray(12), ...Array.from({ length: 40 }, () => 0));
    };
    const [there, back] = [tagged(PEER_MAC, OURS_MAC, 'there'), tagged(OURS_MAC, PEER_MAC, 'back')];
    const [atPeer, atUs] = [await listenFrames(peer, 'vx0'), await listenFrames(blue, 'vnic0')];
    await sendFrames(blue, 'vnic0', [there]);
    await sendFrames(peer, 'vx0', [back]);
    await waitFor(() => framesOf(atPeer).includes(hexOf(there)), PATIENCE_MS, 'the frame with a tag at the peer');
    await waitFor(() => framesOf(atUs).includes(hexOf(back)), PATIENCE_MS, 'the frame with a tag at the VNIC');
  });

  test('reserved bits are ignored on receipt; without the I flag, with another VNI or cut short nothing is passed on', async () => {
    const listener = await listenFrames(blue, 'vnic0');
    const text = (what: string): Uint8Array => frame(OURS_MAC, PEER_MAC, what.padEnd(46));
    const datagram = (what: string, header: Readonly<Record<number, number>> = {}): string => {
      const bytes = vxlan(0xabcd00, text(what));
      for (const [at, value] of Object.entries(header)) bytes[Number(at)] = value;
      return hexOf(bytes);
    };
    const others = [
      datagram('no I flag', { 0: 0xf7 }),
      datagram('another vnetid', { 6: 0xff }),
      datagram('').slice(0, 10),
      datagram('').slice(0, 40),
      '',
    ];
    const good = [datagram('reserved bits', { 0: 0xff, 1: 0xff, 2: 0xff, 3: 0xff, 7: 0xff }), datagram('plain')];
    await sendUdp(peer, ours.v4, 4789, ...others, ...good);
    // Kernel links ignore reserved bits from Linux 6.14 on, and drop such a datagram before.
    const expected = (datapath === 'kernel' && !isLinux(6, 14) ? ['plain'] : ['reserved bits', 'plain']).map((what) => hexOf(text(what)));
    const arrived = (): string[] => framesOf(listener).filter((hex) => hex.slice(24, 28) === '88b5');
    await waitFor(() => arrived().length >= expected.length, PATIENCE_MS, 'the good ones');
    expect(arrived()).toEqual(expected);
  });

  test('what does not fit the underlay is dropped, not cut: create-overlay warns, and health says which size to where', async () => {
    const properties = propertyFlags(
      onDatapath(ours, { 'vxlan/listen_ip': ours.v4, 'direct/dest_ip': peer.v4, 'direct/dest_port': 4789, mtu: 1500 }),
    );
    const created = await ours.mustOverlayadm('create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', '77', ...properties, 'big0');
    expect(created.stderr).toContain('1500 does not fit the underlay');
    expect(created.stderr).toContain('at most 1446 fits');
    await createVnic(ours, { name: 'vnic7', overlay: 'big0', mac: OURS, addresses: ['10.8.7.1/24'], netns: 'blue' });
    await blue.must('ip', ['neigh', 'add', '10.8.7.2', 'lladdr', PEER, 'dev', 'vnic7']);
    const capture = await Capture.of(peer, 'under0', 'udp port 4789 or ip[6:2] & 0x3fff != 0');
    await blue.run('ping', ['-n', '-q', '-c', '3', '-i', '0.01', '-W', '0.1', '-s', '1472', '10.8.7.2']);
    const client = await control(ours);
    await untilCounted(client, 'big0', 'too-big', 3);
    await capture.stop();
    expect(await capture.fields('(vxlan.vni==77 && icmp) || ip.flags.mf==1 || ip.frag_offset>0', 'frame.number')).toEqual([]);
    // The kernel only counts what did not fit; which destination has the narrow path is found out a moment later.
    const row = await waitFor(
      async () => {
        const found = await client.call('overlay.health', { name: 'big0' });
        return found.status === 'DEGRADED' ? found : undefined;
      },
      PATIENCE_MS,
      'big0 to be degraded',
    );
    expect((await ours.mustOverlayadm('show-overlay', '-f', 'big0')).stdout).toMatch(/big0\s+DEGRADED/);
    expect(row.details).toBe('a packet of 1550 bytes to 192.0.2.2:4789 does not fit the path of 1500; at most 1446 fits as mtu (1500)');
  });
});
