// Changes of overlays on kernel links: another driver, another listen address, another MTU; other families; what is too big, and what is dropped.
import { beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, namespace, twoHosts } from '../helpers/netns.ts';
import {
  BULK_COMMANDS,
  type Bulk,
  type BulkFrames,
  type BulkReceiver,
  bulk,
  bulkText,
  compileBulk,
  startBulk,
  targetMac,
} from '../helpers/netns-bulk.ts';
import {
  addAddress,
  changes,
  control,
  counters,
  createOverlay,
  createVnic,
  datapathOf,
  kernelPeer,
  linkPlugin,
  PATIENCE_MS,
} from '../helpers/netns-overlay.ts';
import { ping } from '../helpers/netns-traffic.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { waitFor } from '../helpers/wait.ts';

const OURS = '02:08:20:00:00:01';
const PEER = '02:08:20:00:00:02';
const DROPPED = '02:08:20:00:00:0d';
const SECOND = '192.0.2.77';
const PER_SECOND = 5000;

skipUnless({ root: true, vxlan: true, tun: true, commands: ['bridge', 'ping', ...BULK_COMMANDS] })('changes of an overlay on a kernel link', () => {
  let ours: Host;
  let peer: Host;
  let client: Client;
  let program: string;
  let next = 1;

  const propertiesOf = (more: Readonly<Record<string, string | number>> = {}) => ({
    'vxlan/listen_ip': ours.v4,
    'slow/dest_ip': peer.v4,
    'slow/delay_ms': 10,
    'slow/ips': `10.8.0.2@${PEER};10.8.1.2@${PEER};10.8.2.2@${PEER}`,
    ...more,
  });
  const health = (name: string) => client.call('overlay.health', { name });
  const online = (name: string): Promise<unknown> =>
    waitFor(async () => (await health(name)).status === 'ONLINE', PATIENCE_MS, `${name} to be online`);
  const link = async (name: string): Promise<{ mac: string; mtu: number; kind: string }> => {
    const [found] = JSON.parse((await ours.must('ip', ['-d', '-j', 'link', 'show', 'dev', name])).stdout);
    return { mac: found.address, mtu: found.mtu, kind: found.linkinfo.info_kind };
  };
  const targets = async (name: string): Promise<string> => (await ours.mustOverlayadm('show-overlay', '-t', name)).stdout;
  const rows = async (name: string): Promise<readonly string[]> =>
    (await ours.must('bridge', ['fdb', 'show', 'dev', name])).stdout.split('\n').filter(Boolean);
  const setLinkprop = (name: string, ...values: string[]) => ours.mustOverlayadm('set-linkprop', ...values.flatMap((value) => ['-p', value]), name);

  const fresh = (count: number): number => {
    const first = next;
    next += count;
    return first;
  };
  function expectWhole(result: Bulk): void {
    expect(result).toMatchObject({ lost: 0, twice: 0, late: 0, refused: 0, receiverDrops: 0 });
  }
  /** To targets that are new, and then once more to the same. */
  async function expectFlow(from: Namespace, vnic: string, to: BulkReceiver, more: Partial<BulkFrames> = {}): Promise<void> {
    const frames = { first: fresh(50), targets: 50, each: 10, perSecond: PER_SECOND, ...more };
    for (let time = 0; time < 2; time++) expectWhole(await bulk(program, { at: from, link: vnic, mac: OURS }, to, frames));
  }
  const atPeer = (): BulkReceiver => ({ at: peer, address: peer.v4, port: 4789 });

  beforeAll(async () => {
    program = await compileBulk();
    [ours, peer] = await twoHosts();
    linkPlugin(ours, 'slow-lookup');
    await addAddress(ours, 'under0', `${SECOND}/32`);
    await createOverlay(ours, { name: 'overlay0', search: 'slow', vnetid: 9, properties: propertiesOf({ datapath: 'kernel' }) });
    client = await control(ours);
  });

  describe('another driver', () => {
    let elsewhere: Namespace;

    beforeAll(async () => {
      elsewhere = await namespace('elsewhere');
    });

    const vnicOn = (): Promise<Namespace> =>
      createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: OURS, addresses: ['10.8.0.1/24'], netns: 'blue' });
    const deleteVnic = (): Promise<unknown> => ours.mustOverlayadm('delete-vnic', 'vnic0');

    test.each(['tap', 'auto'])(
      'refused while something stands on it, which is named: VNICs and other devices, here and elsewhere (to %s)',
      async (wanted) => {
        const blue = await vnicOn();
        await ours.must('ip', ['link', 'add', 'hand0', 'link', 'overlay0', 'type', 'macvlan', 'mode', 'bridge']);
        await ours.must('ip', ['link', 'add', 'hand1', 'link', 'overlay0', 'type', 'macvlan', 'mode', 'bridge']);
        await ours.must('ip', ['link', 'set', 'hand1', 'netns', elsewhere.name]);
        const before = await link('overlay0');
        const result = await ours.overlayadm('set-linkprop', '-p', `datapath=${wanted}`, 'overlay0');
        if (wanted === 'auto') {
          // The same driver: nothing is made anew.
          expect(result.status).toBe(0);
          expect(await datapathOf(ours, 'overlay0')).toBe('kernel (auto)');
          await setLinkprop('overlay0', 'datapath=kernel');
        } else {
          expect(result.status).not.toBe(0);
          for (const name of [`vnic0 in ${blue.name}`, 'hand0', `hand1 in ${elsewhere.name}`]) expect(result.stderr).toContain(name);
          expect(await datapathOf(ours, 'overlay0')).toBe('kernel');
        }
        expect(await link('overlay0')).toEqual(before);
        await expectFlow(blue, 'vnic0', atPeer());
        await deleteVnic();
        if (wanted === 'tap') expect((await ours.overlayadm('set-linkprop', '-p', 'datapath=tap', 'overlay0')).stderr).not.toContain('vnic0');
        await ours.must('ip', ['link', 'del', 'hand0']);
        if (wanted === 'tap') expect((await ours.overlayadm('set-linkprop', '-p', 'datapath=tap', 'overlay0')).stderr).toContain('hand1');
        await elsewhere.must('ip', ['link', 'del', 'hand1']);
      },
    );

    test('nothing on it: the same name, MAC, MTU and targets; it forwards, is kept over a restart, and back again', async () => {
      for (const entry of [`${DROPPED}=drop`, `${PEER}=${peer.v4}:4789`]) await ours.mustOverlayadm('modify-overlay', '-s', entry, 'overlay0');
      const toMany = { first: fresh(60), targets: 60, each: 20, perSecond: PER_SECOND };
      await expectFlow(await vnicOn(), 'vnic0', atPeer(), toMany);
      await deleteVnic();
      const { kind, ...before } = await link('overlay0');
      const known = await targets('overlay0');
      expect(kind).toBe('vxlan');
      expect(known).toContain('drop');
      expect(known.split('\n').length).toBeGreaterThan(50);
      const asBefore = async (driver: string, kindNow: string): Promise<void> => {
        expect(await link('overlay0')).toEqual({ ...before, kind: kindNow });
        expect(await targets('overlay0')).toBe(known);
        expect(await datapathOf(ours, 'overlay0')).toBe(driver);
        await online('overlay0');
      };
      /** To targets that are known: without a lookup. */
      const forwards = async (): Promise<void> => {
        const blue = await vnicOn();
        const asked = (await counters(client, 'overlay0'))['lookup.asked'];
        expectWhole(await bulk(program, { at: blue, link: 'vnic0', mac: OURS }, atPeer(), toMany));
        expect((await counters(client, 'overlay0'))['lookup.asked']).toBe(asked);
        await deleteVnic();
      };
      for (const [wanted, driver, kindNow] of [
        ['tap', 'tap', 'tun'],
        ['kernel', 'kernel', 'vxlan'],
        ['tap', 'tap', 'tun'],
        ['auto', 'kernel (auto)', 'vxlan'],
      ] as const) {
        await setLinkprop('overlay0', `datapath=${wanted}`);
        await asBefore(driver, kindNow);
        await forwards();
        await ours.stopDaemon();
        await ours.mustOverlayadm('show-overlay');
        client = await control(ours);
        await asBefore(driver, kindNow);
        await forwards();
      }
      // Its cache is in the table of the link: all of it, and the row for the others.
      const listed = known.split('\n').filter((line) => line.startsWith('overlay0 '));
      expect(await rows('overlay0')).toHaveLength(listed.length + 1);
    });

    test('a new driver that is refused leaves it as it was', async () => {
      await createOverlay(ours, { name: 'other0', search: 'slow', vnetid: 10, properties: propertiesOf({ datapath: 'kernel' }) });
      const before = [await link('overlay0'), await targets('overlay0'), await rows('overlay0')];
      const result = await ours.overlayadm('set-linkprop', '-p', 'datapath=tap', 'overlay0');
      expect(result.status).not.toBe(0);
      expect(result.stderr).toContain('other0');
      expect([await link('overlay0'), await targets('overlay0'), await rows('overlay0')]).toEqual(before);
      await expectFlow(await vnicOn(), 'vnic0', atPeer());
      await ours.mustOverlayadm('delete-overlay', 'other0');
    });
  });

  describe('under a flow', () => {
    let blue: Namespace;

    beforeAll(async () => {
      blue = await ours.vnicNamespace('blue');
    });

    test.each([
      { what: 'to targets that are known', frames: { targets: 20, each: 1000 }, isKnown: true },
      { what: 'to ever more new targets', frames: { targets: 400, each: 50, order: 'rows' }, isKnown: false },
    ] as const)('another listen address and back, $what: nothing is lost', async ({ what, frames, isKnown }) => {
      const from = { at: blue, link: 'vnic0', mac: OURS };
      const request = { first: fresh(frames.targets), perSecond: PER_SECOND, ...frames };
      if (isKnown) expectWhole(await bulk(program, from, atPeer(), { ...request, each: 10 }));
      const flow = await startBulk(program, from, atPeer(), request);
      for (const address of [SECOND, ours.v4, SECOND, ours.v4]) {
        await setLinkprop('overlay0', `vxlan/listen_ip=${address}`);
        const { stdout } = await ours.must('ip', ['-d', 'link', 'show', 'dev', 'overlay0']);
        expect(stdout).toContain(`local ${address}`);
      }
      expect(flow.isSending()).toBe(true);
      const result = await flow.result;
      console.log(`moved four times, ${what}: ${bulkText(result)}, ${result.twice} twice`);
      // A row that goes in under its flow may overtake what was punted just before (few frames, once a target); and while a link leads what it
      // has no row for to the old socket and to the new one, it does so with each frame.
      expect(result).toMatchObject({ lost: 0, refused: 0, receiverDrops: 0 });
      if (isKnown) expectWhole(result);
      else expect(result.late).toBeLessThanOrEqual(frames.targets);
      await online('overlay0');
    });

    test('at another listen address what is sent there is received, and nothing else', async () => {
      await setLinkprop('overlay0', `vxlan/listen_ip=${SECOND}`);
      await kernelPeer(peer, { name: 'vx0', vnetid: 9, mac: PEER, addresses: ['10.8.0.2/24'], local: peer.v4, remote: SECOND });
      // It answers where it was told to, not where frames come from.
      await peer.must('ip', ['link', 'set', 'vx0', 'type', 'vxlan', 'nolearning']);
      expect(await ping(blue, '10.8.0.2', { count: 10 })).toEqual({ sent: 10, received: 10 });
      await setLinkprop('overlay0', `vxlan/listen_ip=${ours.v4}`);
      expect(await ping(blue, '10.8.0.2', { count: 3, waitSeconds: 1 })).toEqual({ sent: 3, received: 0 });
      await peer.must('ip', ['link', 'del', 'vx0']);
    });

    test('another MTU: of the link at once, and frames of that size are sent', async () => {
      await setLinkprop('overlay0', 'mtu=1450');
      expect(await link('overlay0')).toMatchObject({ mtu: 1450 });
      await setLinkprop('vnic0', 'mtu=1450');
      await expectFlow(blue, 'vnic0', atPeer(), { bytes: 1464 });
      expect((await counters(client, 'overlay0'))['too-big']).toBe(0);
      await setLinkprop('vnic0', 'mtu=1400');
      await setLinkprop('overlay0', 'mtu=1400');
      expect(await link('overlay0')).toMatchObject({ mtu: 1400 });
      await expectFlow(blue, 'vnic0', atPeer(), { bytes: 1414 });
    });
  });

  describe('other addresses', () => {
    test.each([
      { what: 'IPv6', vnetid: 61, port: 4789, net: '10.8.1', listenIp: () => ours.v6, to: () => peer.v6, remotes: () => [ours.v6] },
      {
        what: 'every IPv4 address',
        vnetid: 62,
        port: 4790,
        net: '10.8.2',
        listenIp: () => '0.0.0.0',
        to: () => peer.v4,
        remotes: () => [ours.v4, SECOND],
      },
      { what: 'every IPv6 address', vnetid: 63, port: 4791, net: '10.8.2', listenIp: () => '::', to: () => peer.v6, remotes: () => [ours.v6] },
    ])('$what: first contact, and frames both ways', async ({ vnetid, port, net, listenIp, to, remotes }) => {
      const name = `at${vnetid}`;
      const listen = { 'vxlan/listen_ip': listenIp(), 'vxlan/listen_port': port, 'slow/dest_ip': to(), 'slow/dest_port': port };
      await createOverlay(ours, { name, search: 'slow', vnetid, properties: propertiesOf({ ...listen, datapath: 'kernel' }) });
      const guest = await createVnic(ours, { name: `v${vnetid}`, overlay: name, mac: OURS, addresses: [`${net}.1/24`], netns: name });
      await expectFlow(guest, `v${vnetid}`, { at: peer, address: to(), port });
      for (const remote of remotes()) {
        await kernelPeer(peer, { name: 'vxo', vnetid, mac: PEER, addresses: [`${net}.2/24`], local: to(), remote, port });
        expect(await ping(guest, `${net}.2`, { count: 10 })).toEqual({ sent: 10, received: 10 });
        await peer.must('ip', ['link', 'del', 'vxo']);
      }
      await online(name);
    });
  });

  describe('what is not sent', () => {
    const FRAMES = 25;

    /** What `act` changes in the counters, once all of its frames are accounted for. */
    async function counted(name: string, act: () => Promise<unknown>, frames: number): Promise<Readonly<Record<string, number>>> {
      const before = await counters(client, name);
      await act();
      const since = async () => changes(before, await counters(client, name));
      const isDone = async (): Promise<boolean> => {
        const { 'tx.frames': sent = 0, 'too-big': tooBig = 0, 'target.drop': dropped = 0 } = await since();
        return sent + tooBig + dropped >= frames;
      };
      await waitFor(isDone, PATIENCE_MS, 'all frames to be counted');
      return since();
    }

    test.each([
      { family: 'IPv4', name: 'overlay0', vnic: 'vnic0', netns: 'blue', to: () => peer.v4, route: '32', dropped: '0.0.0.0' },
      { family: 'IPv6', name: 'at61', vnic: 'v61', netns: 'at61', to: () => peer.v6, route: '128', dropped: '::' },
    ])('$family: what is too big, and what is to be dropped, known or not, is counted by reason; degraded with the destination', async (request) => {
      const { name, vnic, netns, to, route } = request;
      const guest = await ours.vnicNamespace(netns);
      const drop = targetMac(next);
      const from = { at: guest, link: vnic, mac: OURS };
      await ours.mustOverlayadm('modify-overlay', '-s', `${drop}=drop`, name);
      const first = fresh(2);
      // The one to drop and the one behind it, in turns.
      const big = { first, targets: 2, each: FRAMES, perSecond: PER_SECOND, bytes: 1400 };
      const atPeerNow = { at: peer, address: to(), port: 4789 };
      const send = () => bulk(program, from, atPeerNow, { ...big, patienceMs: 500 });
      // Wide enough at first: everything but what is to be dropped arrives.
      const wide = await counted(name, async () => expect(await send()).toMatchObject({ received: FRAMES, late: 0 }), 2 * FRAMES);
      expect(wide).toMatchObject({ 'target.drop': FRAMES, 'tx.frames': FRAMES });
      expect(wide).not.toHaveProperty(['too-big']);
      const its = (await rows(name)).find((line) => line.startsWith(drop));
      expect(its).toMatch(new RegExp(`^${drop} dst ${request.dropped === '::' ? '(::|0\\.0\\.0\\.0)' : '0\\.0\\.0\\.0'} .*extern_learn`));
      expect((await health(name)).status).toBe('ONLINE');

      await ours.must('ip', ['route', 'add', `${to()}/${route}`, 'dev', 'under0', 'mtu', '1300']);
      const narrow = await counted(name, async () => expect(await send()).toMatchObject({ received: 0 }), 2 * FRAMES);
      expect(narrow).toMatchObject({ 'target.drop': FRAMES, 'too-big': FRAMES });
      await waitFor(async () => (await health(name)).status === 'DEGRADED', PATIENCE_MS, 'the overlay to be degraded');
      expect((await health(name)).details).toContain(to());
      expect((await health(name)).details).toContain('1300');

      // Those that overlayd sends itself, while their target is being looked up.
      const unknown = { first: fresh(FRAMES), targets: FRAMES, each: 1, perSecond: PER_SECOND, bytes: 1400, patienceMs: 500 };
      const first1 = await counted(name, async () => expect(await bulk(program, from, atPeerNow, unknown)).toMatchObject({ received: 0 }), FRAMES);
      expect(first1).toMatchObject({ 'too-big': FRAMES });
      // Small ones pass all the while.
      const small = { first: first + 1, targets: 1, each: FRAMES, perSecond: PER_SECOND };
      expectWhole(await bulk(program, from, atPeerNow, small));
      await ours.must('ip', ['route', 'del', `${to()}/${route}`, 'dev', 'under0']);
    });
  });
});
