// Unknown targets and questions, with a lookup that takes its time: nothing is lost, nobody waits for another, refusals are remembered.
import { beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { arpRequest, frame, mac, macOf } from '../helpers/frames.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { framesOf, hexOf, listenFrames, sendFrames } from '../helpers/netns-frames.ts';
import {
  addAddress,
  changes,
  control,
  counters,
  createOverlay,
  createVnic,
  kernelPeer,
  linkPlugin,
  mappingFile,
  onBothDatapaths,
  PATIENCE_MS,
  untilCounted,
} from '../helpers/netns-overlay.ts';
import { neighbourSolicitation } from '../helpers/netns-packets.ts';
import { ping } from '../helpers/netns-traffic.ts';

const OURS = macOf('02:08:20:00:00:01');
const PEER = macOf('02:08:20:00:00:02');
const NUMBER = 1000;
/** From the EtherType to the operation, RFC 826. */
const ARP_REPLY = '08060001080006040002';

onBothDatapaths({ commands: ['ping', 'python3'] })('misses', (datapath) => {
  let ours: Host;
  let peer: Host;
  let blue: Namespace;
  let client: Client;

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ datapath });
    linkPlugin(ours, 'slow-lookup');
    const listen = { 'vxlan/listen_ip': ours.v4 };
    const owners = ['10.8.0.2', 'fd00:8::2', '10.8.0.9'].map((ip) => `${ip}@${PEER}`);
    const slow = { 'slow/dest_ip': peer.v4, 'slow/delay_ms': 50, 'slow/unknown_ms': 5000, 'slow/ips': owners.join(';') };
    await createOverlay(ours, { search: 'slow', vnetid: 9, properties: { ...listen, ...slow } });
    const config = mappingFile(ours, 'files.json', {
      [PEER]: { ip: peer.v4, arp: '10.8.1.2', ndp: 'fd00:8:1::2' },
      [OURS]: { ip: ours.v4, arp: '10.8.1.1', ndp: 'fd00:8:1::1' },
    });
    await createOverlay(ours, { search: 'files', vnetid: 10, properties: { ...listen, 'files/config': config } });
    const vnic = { mac: OURS, netns: 'blue' };
    await createVnic(ours, { ...vnic, name: 'vnic0', overlay: 'overlay0', addresses: ['10.8.0.1/24', 'fd00:8::1/64'] });
    blue = await createVnic(ours, { ...vnic, name: 'vnic1', overlay: 'overlay1', addresses: ['10.8.1.1/24'] });
    const late = { ...listen, 'slow/dest_ip': peer.v4, 'slow/delay_ms': 2000 };
    await createOverlay(ours, { name: 'late0', search: 'slow', vnetid: 11, properties: late });
    await createVnic(ours, { ...vnic, name: 'vnic2', overlay: 'late0', addresses: [] });
    const device = { mac: PEER, local: peer.v4, remote: ours.v4 };
    await kernelPeer(peer, { ...device, name: 'vx0', vnetid: 9, addresses: ['10.8.0.2/24', 'fd00:8::2/64', '10.8.0.9/24'] });
    await kernelPeer(peer, { ...device, name: 'vx1', vnetid: 10, addresses: ['10.8.1.2/24'] });
    client = await control(ours);
  });

  /** Runs `act` and gives what it changed in the counters of the overlay, once `done` holds for that. */
  async function counted(overlay: string, act: () => Promise<unknown>, done: (changed: Readonly<Record<string, number>>) => boolean) {
    const before = await counters(client, overlay);
    await act();
    return waitFor(
      async () => {
        const changed = changes(before, await counters(client, overlay));
        return done(changed) ? changed : undefined;
      },
      PATIENCE_MS,
      'the counters',
    );
  }

  test('500 pings, 2 ms apart, to a target that nobody has looked up: none is lost in the 50 ms of its ARP question', async () => {
    expect(await ping(blue, '10.8.0.2', { count: 500, intervalMs: 2 })).toEqual({ sent: 500, received: 500 });
  });

  test('500 pings, 2 ms apart, whose neighbour is known and whose target is not: none is lost in the 50 ms of its lookup', async () => {
    const fresh = '02:08:20:00:00:03';
    await peer.must('ip', ['link', 'set', 'vx0', 'address', fresh]);
    await blue.must('ip', ['neigh', 'replace', '10.8.0.2', 'lladdr', fresh, 'nud', 'permanent', 'dev', 'vnic0']);
    const before = await counters(client, 'overlay0');
    expect(await ping(blue, '10.8.0.2', { count: 500, intervalMs: 2 })).toEqual({ sent: 500, received: 500 });
    const changed = changes(before, await counters(client, 'overlay0'));
    expect(changed['lookup.asked']).toBe(1);
    expect(changed['lookup.queued']).toBeGreaterThan(1);
    await peer.must('ip', ['link', 'set', 'vx0', 'address', PEER]);
    await blue.must('ip', ['neigh', 'del', '10.8.0.2', 'dev', 'vnic0']);
  });

  test('frames that wait for their target leave in the order they came, before any later one', async () => {
    const listener = await listenFrames(peer, 'vx0');
    const frames = Array.from({ length: 200 }, (_, number) => frame(mac(77), OURS, `frame ${number}`.padEnd(60)));
    const changed = await counted(
      'overlay0',
      () => sendFrames(blue, 'vnic0', frames),
      (now) => (now['tx.frames'] ?? 0) >= frames.length,
    );
    expect(changed['lookup.asked']).toBe(1);
    const arrived = (): string[] => framesOf(listener).filter((hex) => hex.slice(24, 28) === '88b5');
    await waitFor(() => arrived().length >= frames.length, PATIENCE_MS, 'all frames at the peer');
    expect(arrived()).toEqual(frames.map(hexOf));
  });

  // With tap they wait in the device; the kernel forwards them meanwhile.
  test('2,000 frames to a known target while overlayd has no turn: none is lost', async () => {
    const pid = ours.daemonPid() ?? 0;
    await sendFrames(blue, 'vnic0', [frame(mac(77), OURS, 'known'.padEnd(60))]);
    const known = async (): Promise<boolean> => (await client.call('overlay.targets', { name: 'overlay0', after: null })).rows.length > 0;
    await waitFor(known, PATIENCE_MS, 'the target to be known');
    const before = await counters(client, 'overlay0');
    const frames = Array.from({ length: 2000 }, (_, number) => frame(mac(77), OURS, `later ${number}`.padEnd(60)));
    process.kill(pid, 'SIGSTOP');
    try {
      await sendFrames(blue, 'vnic0', frames);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await untilCounted(client, 'overlay0', 'tx.frames', (before['tx.frames'] ?? 0) + frames.length);
    const { stdout } = await ours.must('ip', ['-s', '-j', 'link', 'show', 'dev', 'overlay0']);
    expect(JSON.parse(stdout)[0].stats64.tx.dropped).toBe(0);
  });

  test('beyond what a target may queue, frames are dropped and counted under their own name', async () => {
    // 128 KiB: 94 of these frames wait, the others do not.
    const frames = Array.from({ length: 200 }, (_, number) => frame(mac(78), OURS, `${number}`.padEnd(1380)));
    const changed = await counted(
      'late0',
      () => sendFrames(blue, 'vnic2', frames),
      (now) => (now['tx.frames'] ?? 0) + (now['target.queue-full'] ?? 0) >= frames.length,
    );
    expect(changed['lookup.asked']).toBe(1);
    expect([changed['lookup.queued'], changed['tx.frames'], changed['target.queue-full']]).toEqual([94, 94, 106]);
  });

  test('1,000 ARP requests for addresses that never resolve do not delay one that does', async () => {
    const listener = await listenFrames(blue, 'vnic0');
    const lost = Array.from({ length: NUMBER }, (_, number) => arpRequest(OURS, '10.8.0.1', `10.9.${number >> 8}.${number & 255}`));
    const before = await counters(client, 'overlay0');
    await sendFrames(blue, 'vnic0', [...lost, arpRequest(OURS, '10.8.0.1', '10.8.0.9')]);
    await waitFor(() => framesOf(listener).some((hex) => hex.slice(24, 44) === ARP_REPLY), PATIENCE_MS, 'the ARP reply');
    const meanwhile = changes(before, await counters(client, 'overlay0'));
    expect(meanwhile['question.asked']).toBe(NUMBER + 1);
    // All of the others are still out.
    expect(meanwhile['question.unanswered'] ?? 0).toBe(0);
    await untilCounted(client, 'overlay0', 'question.unanswered', (before['question.unanswered'] ?? 0) + NUMBER);
    expect(framesOf(listener).filter((hex) => hex.slice(24, 44) === ARP_REPLY)).toHaveLength(1);
  });

  test('a refused target is asked for once, not again within a second, and then again', async () => {
    const stranger = Array.from({ length: 20 }, () => frame(mac(99), OURS, 'to nobody'.padEnd(60)));
    const burst = await counted(
      'overlay1',
      () => sendFrames(blue, 'vnic1', stranger),
      (now) => (now['lookup.refused'] ?? 0) + (now['target.refused'] ?? 0) >= stranger.length,
    );
    expect(burst['lookup.asked']).toBe(1);
    expect((burst['lookup.refused'] ?? 0) + (burst['target.refused'] ?? 0)).toBe(stranger.length);
    const again = await counters(client, 'overlay1');
    await waitFor(
      async () => {
        await sendFrames(blue, 'vnic1', stranger.slice(0, 1));
        return changes(again, await counters(client, 'overlay1'))['lookup.asked'] === 1;
      },
      PATIENCE_MS,
      'the target to be asked for again',
    );
    expect((await client.call('overlay.targets', { name: 'overlay1', after: null })).rows.map(({ target }) => target)).not.toContain('2:0:0:0:0:63');
  });

  test('gratuitous ARP and duplicate address detection are left alone', async () => {
    const listener = await listenFrames(blue, 'vnic1');
    // Questions about addresses that the file has an owner for: a proxy that answered would call each a duplicate.
    const frames = [arpRequest(OURS, '10.8.1.1', '10.8.1.1'), neighbourSolicitation(OURS, '::', 'fd00:8:1::1')];
    const changed = await counted(
      'overlay1',
      () => sendFrames(blue, 'vnic1', frames),
      (now) => (now['group.not-served'] ?? 0) >= frames.length,
    );
    expect(changed).not.toHaveProperty(['question.asked']);
    expect(changed).not.toHaveProperty(['tx.injected']);
    // What is asked afterwards has its answer: an answer to the others would stand before it.
    await sendFrames(blue, 'vnic1', [arpRequest(OURS, '10.8.1.1', '10.8.1.2')]);
    // The peer's own router solicitations are for everybody.
    const answers = (): string[] => framesOf(listener).filter((hex) => hex.startsWith(OURS.replaceAll(':', '')));
    await waitFor(() => answers().length > 0, PATIENCE_MS, 'the ARP reply');
    expect(answers().map((hex) => hex.slice(24, 44))).toEqual([ARP_REPLY]);
  });

  test('a guest whose address stands in the mapping file passes duplicate address detection', async () => {
    await blue.must('ip', ['addr', 'add', 'fd00:8:1::1/64', 'dev', 'vnic1']);
    const flags = async (): Promise<string> => (await blue.must('ip', ['-6', '-o', 'addr', 'show', 'dev', 'vnic1', 'to', 'fd00:8:1::1'])).stdout;
    await waitFor(
      async () => !(await flags()).includes('tentative') || (await flags()).includes('dadfailed'),
      PATIENCE_MS,
      'the address to be settled',
    );
    expect(await flags()).not.toContain('dadfailed');
    await addAddress(peer, 'vx1', 'fd00:8:1::2/64');
    expect(await ping(blue, 'fd00:8:1::2')).toEqual({ sent: 2, received: 2 });
  });
});
