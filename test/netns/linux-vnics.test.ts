// VNICs that last, in the real kernel: namespaces that come and go, moves with their VLAN tags, a new overlayd, a full disk, and counters.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LinkInfo } from '../../src/core/linux/types.ts';
import type { Vnic } from '../../src/core/overlay/vnics.ts';
import { temporaryFolder } from '../helpers/temporary.ts';
import { type Host, Lab, run, whyNoNamespaces } from './linux-host.ts';

const reason = whyNoNamespaces();
const MAC = '02:08:20:00:00:01';
const frame = (to: string, bytes: number): string => `${to.replaceAll(':', '')}02aa000000018888${'00'.repeat(bytes - 14)}`;

describe.skipIf(reason !== undefined)(`VNICs that last${reason === undefined ? '' : ` (${reason})`}`, () => {
  const lab = new Lab();
  let red = '';
  let blue = '';
  let host: Host;
  let folder = '';

  const ip = (netns: string, ...args: string[]): string => run('ip', '-n', netns, ...args);
  const linkOf = (name: string, netns: string) => host.call<LinkInfo | null>('link', name, netns);
  const states = async (of = host): Promise<string[]> => (await of.call<Vnic[]>('listVnics')).map(({ name, state }) => `${name}: ${state}`);

  beforeEach(async () => {
    folder = temporaryFolder();
    red = lab.addNamespace('vred');
    blue = lab.addNamespace('vblue');
    host = lab.addHost(red);
  });
  afterEach(() => lab.remove());

  async function start(): Promise<number> {
    const tap = await host.call<number>('openTap', 'overlay0');
    await host.call('prepareOverlayLink', 'overlay0', 1400);
    await host.call('startVnics', folder);
    return tap;
  }

  test('a namespace is told from those that had its name before, and has to be one', async () => {
    const first = await host.call<string>('namespaceId', blue);
    expect(first).toMatch(/^\d+:\d+$/);
    run('ip', 'netns', 'exec', blue, 'true');
    expect(await host.call('namespaceId', blue)).toBe(first);
    expect(await host.call('namespaceId', red)).not.toBe(first);
    run('ip', 'netns', 'delete', blue);
    expect(await host.call('namespaceId', blue)).toBeNull();
    run('ip', 'netns', 'add', blue);
    expect(await host.call('namespaceId', blue)).not.toBe(first);
    run('umount', `/run/netns/${blue}`);
    expect(await host.call('namespaceId', blue)).toBeNull();
    await expect(host.call('namespaceId', '../self')).rejects.toMatchObject({ code: 'NETNS_NAME' });
  });

  test('counts what a link has sent and received', async () => {
    const tap = await start();
    // Its own multicast would be counted too.
    run('ip', 'netns', 'exec', blue, 'sysctl', '-q', '-w', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
    const { index } = await host.call<LinkInfo>('addVnic', 'vnic9', 'overlay0', MAC, 1400, blue);
    const count = () => host.call<Record<string, number>>('statistics', index, blue);
    const before = await count();
    for (const bytes of [100, 1000]) await host.call('inject', tap, frame(MAC, bytes));
    await vi.waitFor(async () => expect((await count()).rxFrames).toBe((before.rxFrames ?? 0) + 2));
    expect((await count()).rxBytes).toBe((before.rxBytes ?? 0) + 1100);
    ip(blue, 'addr', 'add', '10.0.0.1/24', 'dev', 'vnic9');
    ip(blue, 'neigh', 'add', '10.0.0.2', 'lladdr', '02:aa:00:00:00:01', 'dev', 'vnic9');
    const quiet = await count();
    run('ip', 'netns', 'exec', blue, 'sh', '-c', 'ping -n -c 1 -W 0.1 -s 500 10.0.0.2 || true');
    const after = await count();
    expect([after.txFrames, after.txBytes]).toEqual([(quiet.txFrames ?? 0) + 1, (quiet.txBytes ?? 0) + 14 + 20 + 8 + 500]);
    expect(Object.keys(after).toSorted()).toEqual([
      'rxBytes',
      'rxDropped',
      'rxErrors',
      'rxFrames',
      'txAborted',
      'txBytes',
      'txCarrier',
      'txDropped',
      'txErrors',
      'txFrames',
    ]);
    await expect(host.call('statistics', 999, blue)).rejects.toMatchObject({ code: 'LINK_NOT_FOUND' });
  });

  test('come back as they were when their namespace comes back, and stay deleted when only they are', async () => {
    await start();
    const { mac } = await host.call<Vnic>('createVnic', 'vnic0', 7, { netns: blue, mtu: '1300' });
    await host.call('createVnic', 'vnic1', 0, {});
    ip(red, 'link', 'delete', 'vnic1');
    run('ip', 'netns', 'delete', blue);
    expect(await states()).toEqual([`vnic0: waiting for namespace ${blue}`, 'vnic1: deleted by somebody']);
    run('ip', 'netns', 'add', blue);
    await vi.waitFor(async () => expect(await linkOf('vnic0', blue)).toMatchObject({ mac, mtu: 1300, up: true }), { timeout: 5000 });
    expect(await host.call('vlanOf', 'vnic0', blue)).toBe(7);
    expect(await states()).toEqual(['vnic0: up', 'vnic1: deleted by somebody']);
  });

  test('move to another namespace with address, mtu and VLAN; a name that is taken there changes nothing', async () => {
    await start();
    const { mac } = await host.call<Vnic>('createVnic', 'vnic0', 7, { mtu: '1300' });
    ip(blue, 'link', 'add', 'vnic0', 'type', 'veth', 'peer', 'name', 'veth1');
    ip(red, 'addr', 'add', '10.0.0.1/24', 'dev', 'vnic0');
    await expect(host.call('setVnic', 'vnic0', { netns: blue, mtu: '1200' })).rejects.toMatchObject({ code: 'LINK_EXISTS' });
    expect(ip(red, 'addr', 'show', 'vnic0')).toMatch(/mtu 1300[\s\S]*10\.0\.0\.1/);
    ip(blue, 'link', 'delete', 'vnic0');
    expect(await host.call('setVnic', 'vnic0', { netns: blue, mtu: '1200' })).toEqual([expect.stringContaining('addresses')]);
    expect(await linkOf('vnic0', blue)).toMatchObject({ mac, mtu: 1200, up: true });
    expect(await host.call('vlanOf', 'vnic0', blue)).toBe(7);
    expect(await host.call('link', 'vnic0')).toBeNull();
    expect(await host.call('setVnic', 'vnic0', { mtu: '1350' })).toEqual([]);
    expect(await linkOf('vnic0', blue)).toMatchObject({ mtu: 1350 });
    expect(await states()).toEqual(['vnic0: up']);
  });

  test('are adopted by the next overlayd with everything that they have, or made anew by it', async () => {
    await start();
    const vnic = await host.call<Vnic>('createVnic', 'vnic0', 7, { netns: blue });
    ip(blue, 'addr', 'add', '10.0.0.1/24', 'dev', 'vnic0');
    ip(blue, 'route', 'add', '10.9.0.0/16', 'via', '10.0.0.2');
    const shown = () => ['link', 'addr', 'route', 'neigh'].map((what) => ip(blue, what, 'show'));
    const before = shown();
    await host.call('startVnics', folder);
    expect(shown()).toEqual(before);
    expect(await host.call('listVnics')).toEqual([JSON.parse(JSON.stringify(vnic))]);
    await host.kill();
    await vi.waitFor(() => expect(ip(blue, 'link', 'show')).not.toContain('vnic0'));
    host = lab.addHost(red);
    await start();
    expect(await host.call<Vnic[]>('listVnics')).toMatchObject([
      { name: 'vnic0', mac: vnic.mac, vid: 7, netns: blue, state: 'up', persistent: true },
    ]);
    expect(await host.call('vlanOf', 'vnic0', blue)).toBe(7);
  });

  test('are made as long as there is room to remember them, and not one more', async () => {
    const full = `mount -t tmpfs -o size=40k overlayadm-test ${folder} && exec "$0" "$@"`;
    host = lab.addHost(red, { prefix: ['unshare', '-m', 'sh', '-c', full] });
    await start();
    let count = 0;
    const fill = async (): Promise<void> => {
      for (; count < 1000; count++) await host.call('createVnic', `vnic${count}`, 0, {});
    };
    await expect(fill()).rejects.toMatchObject({ code: 'STATE_NOT_SAVED' });
    expect(count).toBeGreaterThan(10);
    const there = async () => (await host.call<LinkInfo[]>('links')).filter(({ kind }) => kind === 'macvlan').length;
    expect([await there(), (await states()).length]).toEqual([count, count]);
    await host.call('startVnics', folder);
    expect([await there(), (await states()).length]).toEqual([count, count]);
  });
});
