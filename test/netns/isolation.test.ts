// A tenant on the other side of an overlay reaches nothing of the host whose overlay0 its frames pass, and VNICs all the same.
// The same frames on a plain TAP do reach the host: linux-isolation.test.ts has that experiment.
import type { MacAddress } from '@overlayadm/api';
import { beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { arpRequest, macOf } from '../helpers/frames.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { framesOf, listenFrames, sendFrames } from '../helpers/netns-frames.ts';
import { control, createOverlay, createVnic, kernelPeer, mappingFile, onBothDatapaths, PATIENCE_MS, untilCounted } from '../helpers/netns-overlay.ts';
import { neighbourSolicitation, routerAdvertisement, udp4 } from '../helpers/netns-packets.ts';
import { datagramsOf, listenUdp, ping, sendUdp } from '../helpers/netns-traffic.ts';
import type { Running } from '../helpers/process.ts';

const VNIC = macOf('02:08:20:00:00:01');
const TENANT = macOf('02:08:20:00:00:02');
const BROADCAST = macOf('ff:ff:ff:ff:ff:ff');
const PORT = 9999;
const TENANT_IP6 = 'fe80::8:20ff:fe00:2';
const PREFIX = '2001:db8:bad::';

onBothDatapaths({ commands: ['ping', 'python3', 'nft'] })('isolation of the host', (datapath) => {
  let ours: Host;
  let tenant: Host;
  let blue: Namespace;
  let client: Client;
  let overlayMac: MacAddress;
  /** What comes back to the tenant; what the host and the VNIC hear on the UDP port. */
  let back: Running;
  let atHost: Running;
  let atVnic: Running;

  beforeAll(async () => {
    [ours, tenant] = await twoHosts({ datapath });
    // A host that would take all of it: more addresses, a route back to the tenant, advertisements wanted on new links.
    await ours.must('ip', ['addr', 'add', '10.9.0.1/32', 'dev', 'lo']);
    await ours.must('ip', ['route', 'add', 'default', 'dev', 'under0']);
    await ours.must('sysctl', ['-qw', 'net.ipv6.conf.default.accept_ra=2', 'net.ipv4.icmp_echo_ignore_broadcasts=0']);
    const config = mappingFile(ours, 'map.json', { [TENANT]: { ip: tenant.v4, arp: '10.8.0.2', ndp: 'fd00:8::2' } });
    await createOverlay(ours, { search: 'files', vnetid: 9, properties: { 'vxlan/listen_ip': ours.v4, 'files/config': config } });
    blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: VNIC, addresses: ['10.8.0.1/24'], netns: 'blue' });
    await kernelPeer(tenant, { name: 'vx0', vnetid: 9, mac: TENANT, addresses: ['10.8.0.2/24'], local: tenant.v4, remote: ours.v4 });
    client = await control(ours);
    const links = JSON.parse((await ours.must('ip', ['-j', 'link', 'show', 'dev', 'overlay0'])).stdout);
    overlayMac = macOf(links[0].address);
    [back, atHost, atVnic] = await Promise.all([listenFrames(tenant, 'vx0'), listenUdp(ours, PORT), listenUdp(blue, PORT)]);
  });

  /** Sends what the tenant has thought of, and waits until all of it has passed overlay0. */
  async function attack(...frames: readonly Uint8Array[]): Promise<void> {
    const before = Number((await client.call('overlay.counters', { name: 'overlay0' }))['rx.frames']);
    await sendFrames(tenant, 'vx0', frames);
    await untilCounted(client, 'overlay0', 'rx.frames', before + frames.length);
    // Behind all of them in the same queues; what the host would say to them it has said by then.
    expect(await ping(tenant, '10.8.0.1')).toEqual({ sent: 2, received: 2 });
  }
  const fromHost = (): string[] => framesOf(back).filter((hex) => hex.slice(12, 24) === overlayMac.replaceAll(':', ''));

  test('ARP and neighbour solicitations for addresses of the host are not answered', async () => {
    const addresses = [ours.v4, '10.9.0.1'];
    const [linkLocal = ''] = /fe80::[0-9a-f:]+/.exec((await ours.must('ip', ['-6', 'addr', 'show', 'dev', 'under0'])).stdout) ?? [];
    await attack(
      ...addresses.map((ip) => arpRequest(TENANT, '10.8.0.2', ip)),
      ...[ours.v6, linkLocal].map((ip) => neighbourSolicitation(TENANT, TENANT_IP6, ip)),
    );
    expect(fromHost()).toEqual([]);
  });

  test('UDP to the host, unicast to every address of it and broadcast, is not received; a VNIC hears the broadcast', async () => {
    const unicast = [ours.v4, '10.9.0.1', '127.0.0.1'].map((ip) => udp4(overlayMac, TENANT, '10.8.0.2', ip, PORT, `unicast to ${ip}`));
    const others = [udp4(BROADCAST, TENANT, '10.8.0.2', ours.v4, PORT, 'unicast in a broadcast frame')];
    const broadcast = ['255.255.255.255', '192.0.2.255'].map((ip) => udp4(BROADCAST, TENANT, '10.8.0.2', ip, PORT, `broadcast to ${ip}`));
    await attack(...unicast, ...others, ...broadcast);
    // The listener does listen: this comes over the underlay, after all the others.
    await sendUdp(tenant, ours.v4, PORT, Buffer.from('over the underlay').toString('hex'));
    await waitFor(() => datagramsOf(atHost).length > 0, PATIENCE_MS, 'a datagram at the host');
    expect(datagramsOf(atHost)).toEqual(['over the underlay']);
    expect(datagramsOf(atVnic)).toContain('broadcast to 255.255.255.255');
    expect(fromHost()).toEqual([]);
  });

  test('a router advertisement gives the host neither address nor route; the VNIC takes it', async () => {
    await blue.must('sysctl', ['-qw', 'net.ipv6.conf.vnic0.accept_ra=2']);
    await attack(routerAdvertisement(TENANT, TENANT_IP6, PREFIX));
    const heard = async (where: Namespace): Promise<string> =>
      (await where.must('ip', ['-6', 'route', 'show'])).stdout + (await where.must('ip', ['-6', 'addr', 'show'])).stdout;
    await waitFor(async () => (await heard(blue)).includes(PREFIX.slice(0, -1)), PATIENCE_MS, 'the prefix at the VNIC');
    expect(await heard(ours)).not.toContain(PREFIX.slice(0, -1));
    expect(await heard(ours)).not.toMatch(/dev overlay0/);
    expect(fromHost()).toEqual([]);
  });

  test('the filter has counted what it kept away, and the host has no address on overlay0', async () => {
    const [, packets] = /counter packets (\d+)/.exec((await ours.must('nft', ['list', 'ruleset'])).stdout) ?? [];
    expect(Number(packets)).toBeGreaterThan(0);
    expect((await ours.must('ip', ['-o', 'addr', 'show', 'dev', 'overlay0'])).stdout).toBe('');
  });
});
