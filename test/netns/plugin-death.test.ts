// The plugin host is killed under traffic: what is known goes on, what is asked is asked again, and health tells.
import { beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import {
  childrenOf,
  control,
  counters,
  createOverlay,
  createVnic,
  kernelPeer,
  linkPlugin,
  onBothDatapaths,
  PATIENCE_MS,
} from '../helpers/netns-overlay.ts';
import { ping, pings } from '../helpers/netns-traffic.ts';

const OURS = '02:08:20:00:00:01';
const PEER = '02:08:20:00:00:02';

onBothDatapaths({ commands: ['ping'] })('kill -9 of the plugin host', (datapath) => {
  let ours: Host;
  let peer: Host;
  let blue: Namespace;
  let client: Client;

  const hosts = (): number[] => childrenOf(ours.daemonPid() ?? 0);
  const status = async (): Promise<string> => (await client.call('overlay.health', { name: 'overlay0' })).status;

  /** Kills the one plugin host there is. */
  async function killHost(): Promise<number> {
    const [pid, ...others] = await waitFor(() => (hosts().length === 1 ? hosts() : undefined), PATIENCE_MS, 'one plugin host');
    if (pid === undefined || others.length > 0) throw new Error('not one plugin host');
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ datapath });
    linkPlugin(ours, 'slow-lookup');
    const slow = { 'slow/dest_ip': peer.v4, 'slow/ips': `10.8.0.2@${PEER}`, 'slow/delay_ms': 500 };
    await createOverlay(ours, { search: 'slow', vnetid: 9, properties: { 'vxlan/listen_ip': ours.v4, ...slow } });
    blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: OURS, addresses: ['10.8.0.1/24'], netns: 'blue' });
    await kernelPeer(peer, { name: 'vx0', vnetid: 9, mac: PEER, addresses: ['10.8.0.2/24', '10.8.0.3/24'], local: peer.v4, remote: ours.v4 });
    client = await control(ours);
    expect(await ping(blue, '10.8.0.2')).toEqual({ sent: 2, received: 2 });
    // The neighbour entry would be checked with ARP after a while, which is a question to the plugin.
    await blue.must('ip', ['neigh', 'replace', '10.8.0.2', 'lladdr', PEER, 'nud', 'permanent', 'dev', 'vnic0']);
  });

  test('no ping to a known target is lost; the overlay is degraded, says why, and is online again', async () => {
    const running = ping(blue, '10.8.0.2', { count: 500, intervalMs: 5 });
    await waitFor(async () => ((await counters(client, 'overlay0'))['tx.frames'] ?? 0) > 50, PATIENCE_MS, 'pings under way');
    const killed = await killHost();
    const degraded = await waitFor(
      async () => {
        const row = await client.call('overlay.health', { name: 'overlay0' });
        return row.status === 'DEGRADED' ? row : undefined;
      },
      PATIENCE_MS,
      'the overlay to be degraded',
    );
    expect(degraded.details).toContain('plugin host of overlayadm-test-slow-lookup failed');
    await waitFor(async () => (await status()) === 'ONLINE', PATIENCE_MS, 'the overlay to be online');
    expect(await running).toEqual({ sent: 500, received: 500 });
    expect(hosts()).not.toContain(killed);
    expect(hosts()).toHaveLength(1);
  });

  test('what was asked of the one that died is asked of its successor: frames to a new target wait and arrive', async () => {
    // Another MAC than any so far; the peer takes it for its own.
    const fresh = '02:08:20:00:00:03';
    await peer.must('ip', ['link', 'set', 'vx0', 'address', fresh]);
    await blue.must('ip', ['neigh', 'replace', '10.8.0.3', 'lladdr', fresh, 'nud', 'permanent', 'dev', 'vnic0']);
    const before = await counters(client, 'overlay0');
    const running = blue.start('ping', ['-n', '-q', '-c', '10', '-i', '0.01', '-W', '15', '10.8.0.3']);
    await waitFor(async () => ((await counters(client, 'overlay0'))['lookup.asked'] ?? 0) > (before['lookup.asked'] ?? 0), PATIENCE_MS, 'a lookup');
    await killHost();
    expect(pings((await running.end()).stdout)).toEqual({ sent: 10, received: 10 });
    const after = await counters(client, 'overlay0');
    expect((after['lookup.refused'] ?? 0) - (before['lookup.refused'] ?? 0)).toBe(0);
    const { rows } = await client.call('overlay.targets', { name: 'overlay0', after: null });
    expect(rows.map(({ target }) => target)).toContain('2:8:20:0:0:3');
  });

  test('questions too: an ARP request that was out is answered by the successor', async () => {
    await peer.must('ip', ['link', 'set', 'vx0', 'address', PEER]);
    await blue.must('ip', ['neigh', 'del', '10.8.0.2', 'dev', 'vnic0']);
    const before = await counters(client, 'overlay0');
    const running = blue.start('ping', ['-n', '-q', '-c', '3', '-i', '0.01', '-W', '15', '10.8.0.2']);
    await waitFor(
      async () => ((await counters(client, 'overlay0'))['question.asked'] ?? 0) > (before['question.asked'] ?? 0),
      PATIENCE_MS,
      'a question',
    );
    await killHost();
    expect(pings((await running.end()).stdout)).toEqual({ sent: 3, received: 3 });
  });
});
