// Two overlays with lookups of two packages under a steady flow, while the plugin host of one is killed, stopped or loops.
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { type Flow, flow, startEcho } from '../helpers/netns-flow.ts';
import {
  changes,
  childrenOf,
  control,
  counters,
  createOverlay,
  createVnic,
  kernelPeer,
  linkPlugin,
  mappingFile,
  onBothDatapaths,
  PATIENCE_MS,
} from '../helpers/netns-overlay.ts';
import { ping } from '../helpers/netns-traffic.ts';

const PER_SECOND = 5000;
const COUNT = 2 * PER_SECOND;
/** A flow that takes longer than this stood still, s; it is long because cores are shared. */
const MOST_SECONDS = 20;
/** MAC addresses that end the plugin host of the fixture when they are asked for: an endless loop. */
const LOOPS = '02:dd:00:00:02:00';

interface Side {
  readonly overlay: string;
  readonly vnetid: number;
  readonly net: string;
  readonly mac: string;
  readonly peerMac: string;
}
const EVIL: Side = { overlay: 'evil0', vnetid: 21, net: '10.21.0', mac: '02:08:20:00:21:01', peerMac: '02:08:20:00:21:02' };
const CALM: Side = { overlay: 'calm0', vnetid: 22, net: '10.22.0', mac: '02:08:20:00:22:01', peerMac: '02:08:20:00:22:02' };

onBothDatapaths({ commands: ['ping', 'setpriv'] })('a plugin host in trouble under 5,000 frames a second on each overlay', (datapath) => {
  let ours: Host;
  let peer: Host;
  let client: Client;
  const spaces = new Map<Side, Namespace>();

  const spaceOf = (side: Side): Namespace => spaces.get(side) as Namespace;
  const health = (side: Side) => client.call('overlay.health', { name: side.overlay });
  const commandOf = (pid: number): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      return '';
    }
  };
  const hostOf = (folder: string): Promise<number> =>
    waitFor(() => childrenOf(ours.daemonPid() ?? 0).find((pid) => commandOf(pid).includes(folder)), PATIENCE_MS, `the host of ${folder}`);

  async function build(side: Side, search: string, properties: Readonly<Record<string, string | number>>): Promise<void> {
    const { overlay, vnetid, net, mac, peerMac } = side;
    await createOverlay(ours, { name: overlay, search, vnetid, properties: { 'vxlan/listen_ip': ours.v4, ...properties } });
    const space = await createVnic(ours, { name: `v${vnetid}`, overlay, mac, addresses: [`${net}.1/24`], netns: overlay });
    spaces.set(side, space);
    await kernelPeer(peer, { name: `vx${vnetid}`, vnetid, mac: peerMac, addresses: [`${net}.2/24`], local: peer.v4, remote: ours.v4 });
    // Nothing has to be asked while the flow runs, on either side.
    await space.must('ip', ['neigh', 'replace', `${net}.2`, 'lladdr', peerMac, 'nud', 'permanent', 'dev', `v${vnetid}`]);
    await peer.must('ip', ['neigh', 'replace', `${net}.1`, 'lladdr', mac, 'nud', 'permanent', 'dev', `vx${vnetid}`]);
    expect(await ping(space, `${net}.2`)).toEqual({ sent: 2, received: 2 });
  }

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ datapath });
    linkPlugin(ours, 'evil');
    const config = mappingFile(ours, 'calm.json', { [CALM.peerMac]: { ip: peer.v4, port: 4789 } });
    await build(EVIL, 'evil', { 'evil/dest_ip': peer.v4, 'evil/dest_port': 4789 });
    await build(CALM, 'files', { 'files/config': config });
    client = await control(ours);
    for (const { net } of [EVIL, CALM]) await startEcho(peer, `${net}.2`);
  });

  const flows = (): Promise<Flow[]> =>
    Promise.all([EVIL, CALM].map((side) => flow(spaceOf(side), `${side.net}.1`, `${side.net}.2`, COUNT, PER_SECOND)));

  const allCounters = () => Promise.all([EVIL, CALM].map(({ overlay }) => counters(client, overlay)));

  /** Runs both flows, and `trouble` once they are under way; nothing may be lost, and the calm overlay may not notice. */
  async function underFlow(trouble: () => unknown): Promise<void> {
    const calmHost = await hostOf('plugins/files');
    const before = await allCounters();
    const seen = new Set<string>();
    const running = flows();
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        seen.add((await health(CALM)).status);
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    })();
    try {
      await waitForFlow();
      await trouble();
      for (const { sent, returned, errors, seconds } of await running) {
        const counted = (await allCounters()).map((after, at) => changes(before[at] ?? {}, after));
        expect({ sent, returned, errors }, JSON.stringify(counted)).toEqual({ sent: COUNT, returned: COUNT, errors: 0 });
        expect(seconds).toBeLessThan(MOST_SECONDS);
      }
    } finally {
      isOver = true;
      await watching;
    }
    expect([...seen]).toEqual(['ONLINE']);
    expect(await hostOf('plugins/files')).toBe(calmHost);
  }

  async function waitForFlow(): Promise<void> {
    const count = async (): Promise<number> => Number((await client.call('overlay.counters', { name: EVIL.overlay }))['tx.frames'] ?? 0);
    const before = await count();
    await waitFor(async () => (await count()) > before + PER_SECOND / 10, PATIENCE_MS, 'a flow under way');
  }

  const degraded = (reason: RegExp): Promise<unknown> =>
    waitFor(
      async () => {
        const { status, details } = await health(EVIL);
        return status === 'DEGRADED' && reason.test(details ?? '');
      },
      PATIENCE_MS,
      `the overlay to be degraded with ${reason}`,
    );
  const online = (): Promise<unknown> => waitFor(async () => (await health(EVIL)).status === 'ONLINE', PATIENCE_MS, 'the overlay to be online');

  test('killed: no frame is lost on either, the other overlay stays online', async () => {
    await underFlow(async () => {
      const pid = await hostOf('plugins/evil');
      const noticed = degraded(/plugin host of overlayadm-test-evil failed: signal SIGKILL/);
      process.kill(pid, 'SIGKILL');
      await noticed;
    });
    await online();
  });

  test('stopped for a while: no frame is lost on either, and neither overlay is degraded', async () => {
    const pid = await hostOf('plugins/evil');
    await underFlow(() => process.kill(pid, 'SIGSTOP'));
    process.kill(pid, 'SIGCONT');
    expect([(await health(EVIL)).status, await hostOf('plugins/evil')]).toEqual(['ONLINE', pid]);
  });

  test('in an endless loop, until it is found to hang and replaced: no frame is lost on either, the other overlay stays online', async () => {
    const pid = await hostOf('plugins/evil');
    const space = spaceOf(EVIL);
    await space.must('ip', ['neigh', 'replace', `${EVIL.net}.9`, 'lladdr', LOOPS, 'nud', 'permanent', 'dev', `v${EVIL.vnetid}`]);
    await underFlow(() => ping(space, `${EVIL.net}.9`, { count: 1, waitSeconds: 1 }));
    await degraded(/it hangs/);
    await underFlow(() => waitFor(async () => (await hostOf('plugins/evil')) !== pid, PATIENCE_MS, 'a successor'));
  });
});
