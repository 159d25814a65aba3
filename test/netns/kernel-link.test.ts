// Kernel links beside what else is on their port: other addresses, other links, processes, and overlays of the other driver.
import { beforeAll, describe, expect, test } from 'vitest';
import { frame, macOf } from '../helpers/frames.ts';
import { type Datapath, type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { framesOf, hexOf, listenFrames } from '../helpers/netns-frames.ts';
import {
  addAddress,
  createOverlay,
  createVnic,
  datapathOf,
  kernelPeer,
  mappingFile,
  PATIENCE_MS,
  type Properties,
  propertyFlags,
} from '../helpers/netns-overlay.ts';
import { vxlan } from '../helpers/netns-packets.ts';
import { ping, sendUdp } from '../helpers/netns-traffic.ts';
import type { Result } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';

const OURS = '02:08:20:00:00:01';
const PEER = '02:08:20:00:00:02';
const SECOND = '192.0.2.77';

/** Binds a UDP port and keeps it. */
const HOLD = `
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print('bound', flush=True)
time.sleep(600)
`;

skipUnless({ root: true, vxlan: true, tun: true, commands: ['ping', 'python3', 'nft'] })('a kernel link and its port', () => {
  let ours: Host;
  let peer: Host;
  let blue: Namespace;
  let config: string;

  const properties = (more: Properties = {}): Properties => ({ 'vxlan/listen_ip': ours.v4, 'files/config': config, ...more });
  /** What create-overlay says, refused or not. */
  const tryCreate = (name: string, vnetid: number, more: Properties): Promise<Result> =>
    ours.overlayadm('create-overlay', '-e', 'vxlan', '-s', 'files', '-v', String(vnetid), ...propertyFlags(properties(more)), name);
  async function refused(name: string, vnetid: number, more: Properties): Promise<string> {
    const result = await tryCreate(name, vnetid, more);
    expect(result.status).not.toBe(0);
    // Nothing is left of it.
    expect((await ours.run('ip', ['link', 'show', 'dev', name])).status).not.toBe(0);
    expect((await ours.mustOverlayadm('show-overlay', '-p', '-o', 'link')).stdout.split('\n')).not.toContain(name);
    return result.stderr;
  }
  const remove = (...names: string[]): Promise<unknown> =>
    names.reduce<Promise<unknown>>((before, name) => before.then(() => ours.mustOverlayadm('delete-overlay', name)), Promise.resolve());

  beforeAll(async () => {
    [ours, peer] = await twoHosts();
    await addAddress(ours, 'under0', `${SECOND}/32`);
    config = mappingFile(ours, 'map.json', {
      [PEER]: { ip: peer.v4, port: 4789, arp: '10.8.0.2' },
    });
    await createOverlay(ours, { name: 'overlay0', search: 'files', vnetid: 9, properties: properties() });
    expect(await datapathOf(ours, 'overlay0')).toBe('kernel (auto)');
    blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: OURS, addresses: ['10.8.0.1/24'], netns: 'blue' });
    await kernelPeer(peer, { name: 'vx0', vnetid: 9, mac: PEER, addresses: ['10.8.0.2/24'], local: peer.v4, remote: ours.v4 });
    expect(await ping(blue, '10.8.0.2')).toEqual({ sent: 2, received: 2 });
  });

  test('a frame for our port and vnetid that was sent to another address of the host is not delivered', async () => {
    const listener = await listenFrames(blue, 'vnic0');
    const numbered = (text: string): Uint8Array => frame(macOf(OURS), macOf(PEER), text.padEnd(60));
    const [astray, right] = [numbered('astray'), numbered('right')];
    const hex = (bytes: Uint8Array): string => hexOf(vxlan(9, bytes));
    for (const address of [SECOND, ours.v6]) await sendUdp(peer, address, 4789, hex(astray), hex(astray));
    await sendUdp(peer, ours.v4, 4789, hex(right));
    const arrived = (): string[] => framesOf(listener).filter((text) => text.slice(24, 28) === '88b5');
    await waitFor(() => arrived().length > 0, PATIENCE_MS, 'the frame that was sent to the right address');
    expect(arrived()).toEqual([hexOf(right)]);
  });

  describe('vxlan links of somebody else', () => {
    const foreign = (name: string, vnetid: number, ...more: string[]) =>
      ours.must('ip', ['link', 'add', name, 'type', 'vxlan', 'id', String(vnetid), 'dstport', '4789', ...more]);

    test.each([
      { when: 'was there before the overlay', local: () => ours.v4, isBefore: true },
      { when: 'comes after it, on another address', local: () => SECOND, isBefore: false },
    ])('one of another vnetid on the same port that $when works undisturbed', async ({ local, isBefore }) => {
      const here = { name: 'fv0', vnetid: 77, mac: '02:08:20:00:77:01', addresses: ['10.77.0.1/24'], local: local(), remote: peer.v4 };
      const there = { name: 'fv0', vnetid: 77, mac: '02:08:20:00:77:02', addresses: ['10.77.0.2/24'], local: peer.v4, remote: local() };
      const create = () => createOverlay(ours, { name: 'beside0', search: 'files', vnetid: 10, properties: properties({ datapath: 'kernel' }) });
      if (!isBefore) await create();
      await kernelPeer(ours, here);
      await kernelPeer(peer, there);
      if (isBefore) await create();
      expect(await ping(ours, '10.77.0.2', { count: 20 })).toEqual({ sent: 20, received: 20 });
      expect(await ping(blue, '10.8.0.2', { count: 20 })).toEqual({ sent: 20, received: 20 });
      await remove('beside0');
      expect(await ping(ours, '10.77.0.2', { count: 20 })).toEqual({ sent: 20, received: 20 });
      for (const where of [ours, peer]) await where.must('ip', ['link', 'del', 'fv0']);
    });

    test.each(['kernel', 'auto'])('one with the same vnetid on the same port: create is refused and names it (datapath %s)', async (datapath) => {
      await foreign('fv5', 5);
      const text = await refused('same0', 5, { datapath });
      expect(text).toContain('fv5');
      expect(text).toContain('vnetid 5');
      await ours.must('ip', ['link', 'del', 'fv5']);
      expect((await tryCreate('same0', 5, { datapath })).status).toBe(0);
      await remove('same0');
    });

    test.each(['kernel', 'tap', 'auto'])('one that takes all vnetids of the port: create is refused and names it (datapath %s)', async (datapath) => {
      await ours.must('ip', ['link', 'add', 'fvall', 'type', 'vxlan', 'external', 'dstport', '4801']);
      await ours.must('ip', ['link', 'set', 'fvall', 'up']);
      expect(await refused('all0', 6, { datapath, 'vxlan/listen_port': 4801 })).toContain('fvall');
      await ours.must('ip', ['link', 'del', 'fvall']);
      expect((await tryCreate('all0', 6, { datapath, 'vxlan/listen_port': 4801 })).status).toBe(0);
      await remove('all0');
    });
  });

  test.each(['kernel', 'tap', 'auto'])('a process that holds the port: create is refused and names it (datapath %s)', async (datapath) => {
    const holder = ours.start('python3', ['-c', HOLD, '0.0.0.0', '4802']);
    await holder.printed('bound');
    const text = await refused('held0', 7, { datapath, 'vxlan/listen_port': 4802 });
    expect(text).toContain('python3');
    expect(text).toContain('4802');
    holder.killGroup();
    await holder.end();
    expect((await tryCreate('held0', 7, { datapath, 'vxlan/listen_port': 4802 })).status).toBe(0);
    await remove('held0');
  });

  describe('both drivers', () => {
    const OTHER: Record<Datapath, Datapath> = { kernel: 'tap', tap: 'kernel' };

    test.each(['kernel', 'tap'] as const)(
      'a port of a family that is carried by %s: the other driver is refused, auto follows and says why',
      async (first) => {
        const port = { 'vxlan/listen_port': 4803 };
        await createOverlay(ours, { name: 'first0', search: 'files', vnetid: 20, properties: properties({ ...port, datapath: first }) });
        await createOverlay(ours, { name: 'first1', search: 'files', vnetid: 21, properties: properties({ ...port, datapath: first }) });
        const other = OTHER[first];
        for (const listenIp of [ours.v4, SECOND]) {
          const text = await refused('second0', 22, { ...port, 'vxlan/listen_ip': listenIp, datapath: other });
          expect(text).toContain(`IPv4 port 4803 is carried by ${first} for first0, first1`);
          expect(text).toContain('listen_port');
        }
        await createOverlay(ours, { name: 'second0', search: 'files', vnetid: 22, properties: properties({ ...port, datapath: 'auto' }) });
        const text = await datapathOf(ours, 'second0');
        if (first === 'kernel') expect(text).toBe('kernel (auto)');
        else expect(text.replaceAll('\\', '')).toBe('tap (auto; kernel: IPv4 port 4803 is carried by tap for first0, first1)');
        expect(await datapathOf(ours, 'first0')).toBe(first);
        // What was chosen stays chosen, whatever becomes of the others.
        await remove('first0', 'first1');
        await ours.killDaemon();
        expect((await datapathOf(ours, 'second0')).startsWith(first)).toBe(true);
        await remove('second0');
      },
    );

    test.each([
      { four: 'kernel', six: 'tap' },
      { four: 'tap', six: 'kernel' },
    ] as const)('IPv4 on $four and IPv6 on $six share a port, and both forward', async ({ four, six }) => {
      const port = 4804;
      const map = mappingFile(ours, 'six.json', { [PEER]: { ip: peer.v6, port, arp: '10.31.0.2' } });
      const map4 = mappingFile(ours, 'four.json', { [PEER]: { ip: peer.v4, port, arp: '10.30.0.2' } });
      const listen = { 'vxlan/listen_port': port };
      await createOverlay(ours, {
        name: 'four0',
        search: 'files',
        vnetid: 30,
        properties: properties({ ...listen, 'files/config': map4, datapath: four }),
      });
      const properties6 = properties({ ...listen, 'vxlan/listen_ip': ours.v6, 'files/config': map, datapath: six });
      await createOverlay(ours, { name: 'six0', search: 'files', vnetid: 31, properties: properties6 });
      const vnic = { mac: OURS, netns: 'families' };
      const guest = await createVnic(ours, { ...vnic, name: 'vnic4', overlay: 'four0', addresses: ['10.30.0.1/24'] });
      await createVnic(ours, { ...vnic, name: 'vnic6', overlay: 'six0', addresses: ['10.31.0.1/24'] });
      const device = { mac: PEER, port };
      await kernelPeer(peer, { ...device, name: 'vx4', vnetid: 30, addresses: ['10.30.0.2/24'], local: peer.v4, remote: ours.v4 });
      await kernelPeer(peer, { ...device, name: 'vx6', vnetid: 31, addresses: ['10.31.0.2/24'], local: peer.v6, remote: ours.v6 });
      for (const to of ['10.30.0.2', '10.31.0.2']) expect(await ping(guest, to, { count: 10 })).toEqual({ sent: 10, received: 10 });
      for (const name of ['vnic4', 'vnic6']) await ours.mustOverlayadm('delete-vnic', name);
      await remove('four0', 'six0');
      for (const name of ['vx4', 'vx6']) await peer.must('ip', ['link', 'del', name]);
    });
  });
});
