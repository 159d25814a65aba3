// LinuxKernel against the real kernel, checked with ip(8) and nft(8): links, VNICs, namespaces, addresses, ports, the isolation table.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LinkInfo, UpperLink } from '../../src/core/linux/types.ts';
import { type Host, Lab, run, whyNoNamespaces } from './linux-host.ts';

const reason = whyNoNamespaces();
const MAC = '02:08:20:00:00:01';
const refusal = (code: string, text = ''): object => expect.objectContaining({ code, message: expect.stringContaining(text) });

describe.skipIf(reason !== undefined)(`in namespaces${reason === undefined ? '' : ` (${reason})`}`, () => {
  const lab = new Lab();
  let red = '';
  let blue = '';
  let host: Host;

  const ip = (netns: string, ...args: string[]): string => run('ip', '-n', netns, ...args);
  const inside = (netns: string, ...args: string[]): string => run('ip', 'netns', 'exec', netns, ...args);
  const table = (): string => inside(red, 'nft', 'list', 'ruleset');
  const sysctl = (name: string): string => inside(red, 'sysctl', '-n', name).trim();
  async function makeOverlay(name = 'overlay0', mtu = 1400): Promise<LinkInfo> {
    await host.call('openTap', name);
    return await host.call<LinkInfo>('prepareOverlayLink', name, mtu);
  }

  beforeEach(() => {
    red = lab.addNamespace('red');
    blue = lab.addNamespace('blue');
    host = lab.addHost(red);
  });
  afterEach(() => lab.remove());

  test('knows its namespace and its links, and which names are taken', async () => {
    expect(await host.call('networkNamespaceId')).toBe(Number(inside(red, 'stat', '-L', '-c', '%i', '/proc/self/ns/net')));
    ip(red, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    ip(red, 'link', 'property', 'add', 'dev', 'veth0', 'altname', 'uplink0');
    expect(await host.call('link', 'nothing0')).toBeNull();
    expect(await host.call('link', 'lo')).toMatchObject({ loopback: true, up: true, mtu: 65536, ours: false });
    expect(await host.call('link', 'veth0')).toMatchObject({ kind: 'veth', up: false, name: 'veth0' });
    expect((await host.call<LinkInfo[]>('links')).map((link) => link.name)).toEqual(expect.arrayContaining(['lo', 'veth0', 'veth1']));
    expect(await host.call('link', 'uplink0')).toBeNull();
    expect(await host.call('refuseLinkName', 'overlay0')).toBeNull();
    expect(await host.call('refuseLinkName', 'veth0')).toBe('exists already (veth)');
    expect(await host.call('refuseLinkName', 'uplink0')).toBe('is another name of the link veth0');
    expect(await host.call('refuseLinkName', 'lo', blue)).toBe(`exists already in network namespace ${blue} (a link)`);
    expect(await host.call('refuseLinkName', 'overlay0123456789')).toContain('is not a name');
  });

  test('an overlay is marked, NOARP, without IPv6, isolated and up; twice is fine', async () => {
    const made = await makeOverlay();
    expect(await host.call('prepareOverlayLink', 'overlay0', 1400)).toEqual(made);
    expect(made).toMatchObject({
      name: 'overlay0',
      mtu: 1400,
      up: true,
      carrier: true,
      noarp: true,
      kind: 'tun',
      ours: true,
      alias: 'overlayadm:test:overlay0',
    });
    const shown = ip(red, '-d', 'link', 'show', 'overlay0');
    for (const part of ['NOARP', 'addrgenmode none', 'qlen 2000', 'alias overlayadm:test:overlay0']) expect(shown).toContain(part);
    expect(
      ['ipv6.conf.overlay0.disable_ipv6', 'ipv6.conf.overlay0.accept_ra', 'ipv4.conf.overlay0.rp_filter'].map((name) => sysctl(`net.${name}`)),
    ).toEqual(['1', '0', '1']);
    expect(ip(red, 'addr', 'show', 'overlay0')).not.toContain('inet');
    expect(table()).toMatch(/iifname @isolated counter packets \d+ bytes \d+ drop/);
    expect(table()).toMatch(/type filter hook prerouting priority raw; policy accept/);
    expect(table()).toMatch(/elements = \{ "overlay0" \}/);
  });

  test('an MTU too small for IPv6 and back again leaves it without IPv6', async () => {
    await makeOverlay('overlay0', 576);
    await host.call('setMtu', 'overlay0', 1400);
    expect(await host.call('link', 'overlay0')).toMatchObject({ mtu: 1400, up: true });
    expect(sysctl('net.ipv6.conf.overlay0.disable_ipv6')).toBe('1');
    expect(ip(red, '-d', 'link', 'show', 'overlay0')).toContain('addrgenmode none');
    expect(ip(red, 'addr', 'show', 'overlay0')).not.toContain('inet');
  });

  test('the isolation holds exactly the overlays, is not flushed, and dies with its process', async () => {
    await makeOverlay('overlay0');
    await makeOverlay('overlay1');
    inside(red, 'nft', 'flush', 'ruleset');
    expect(table()).toMatch(/elements = \{ "overlay0",\s+"overlay1" \}/);
    await host.call('releaseOverlayLink', 'overlay0');
    await host.call('releaseOverlayLink', 'overlay7');
    expect(table()).toMatch(/elements = \{ "overlay1" \}/);
    const second = lab.addHost(red);
    await second.call('openTap', 'overlay9');
    await expect(second.call('prepareOverlayLink', 'overlay9', 1400)).rejects.toEqual(refusal('NETLINK_REFUSED', 'nftables table overlayadm_test'));
    const other = lab.addHost(red, { stateId: 'other' });
    await other.call('openTap', 'overlay3');
    await other.call('prepareOverlayLink', 'overlay3', 1400);
    expect(table()).toContain('table inet overlayadm_other');
    await host.call('addVnic', 'vnic0', 'overlay1', MAC, 1400, blue);
    await Promise.all([host.kill(), other.kill()]);
    expect(table().trim()).toBe('');
    expect(() => ip(blue, 'link', 'show', 'vnic0')).toThrow('does not exist');
  });

  test('a VNIC is made in its namespace with everything, and deleted there', async () => {
    await makeOverlay();
    expect(await host.call('addVnic', 'vnic0', 'overlay0', MAC, 1300, blue)).toMatchObject({
      name: 'vnic0',
      mac: MAC,
      mtu: 1300,
      up: true,
      kind: 'macvlan',
      ours: true,
      alias: 'overlayadm:test:vnic0',
    });
    expect(ip(blue, '-d', 'link', 'show', 'vnic0')).toContain('macvlan mode bridge');
    expect(await host.call('link', 'vnic0')).toBeNull();
    expect(await host.call('addVnic', 'vnic1', 'overlay0', '02:08:20:00:00:02', 1400)).toMatchObject({
      name: 'vnic1',
      mtu: 1400,
      up: true,
      ours: true,
    });
    await expect(host.call('addVnic', 'vnic0', 'overlay0', MAC, 1300, blue)).rejects.toEqual(refusal('LINK_EXISTS', 'vnic0'));
    await expect(host.call('addVnic', 'vnic2', 'overlay0', MAC, 1300, blue)).rejects.toEqual(refusal('VNIC_MAC_IN_USE', MAC));
    expect(await host.call('link', 'vnic2', blue)).toBeNull();
    ip(blue, 'addr', 'add', '10.0.0.7/24', 'dev', 'vnic0');
    const vnic = await host.call<LinkInfo>('link', 'vnic0', blue);
    expect(await host.call('addressesOf', vnic.index, blue)).toContain('10.0.0.7');
    await host.call('deleteVnic', 'vnic0', blue);
    expect(await host.call('link', 'vnic0', blue)).toBeNull();
    await expect(host.call('deleteVnic', 'vnic0', blue)).rejects.toEqual(refusal('LINK_NOT_FOUND', `vnic0 in network namespace ${blue}`));
  });

  test('an overlay that somebody put into a bridge cannot carry VNICs', async () => {
    await makeOverlay();
    ip(red, 'link', 'add', 'br0', 'type', 'bridge');
    ip(red, 'link', 'set', 'overlay0', 'master', 'br0');
    await expect(host.call('addVnic', 'vnic0', 'overlay0', MAC, 1400)).rejects.toEqual(refusal('LINK_BUSY', 'the link below it'));
  });

  test('what is not ours is left alone', async () => {
    await makeOverlay();
    ip(red, 'link', 'add', 'vnic5', 'link', 'overlay0', 'type', 'macvlan', 'mode', 'bridge');
    await expect(host.call('deleteVnic', 'vnic5')).rejects.toEqual(refusal('LINK_NOT_OURS', 'it has no mark'));
    ip(red, 'link', 'set', 'vnic5', 'alias', 'overlayadm:other:vnic5');
    await expect(host.call('deleteVnic', 'vnic5')).rejects.toEqual(refusal('LINK_NOT_OURS', 'overlayadm:other:vnic5'));
    await expect(host.call('setMtu', 'vnic5', 1000)).rejects.toEqual(refusal('LINK_NOT_OURS'));
    await expect(host.call('prepareOverlayLink', 'vnic5', 1000)).rejects.toEqual(refusal('LINK_NOT_OURS'));
    await expect(host.call('deleteVnic', 'overlay0')).rejects.toEqual(refusal('LINK_NOT_OURS'));
    expect(ip(red, 'link', 'show', 'vnic5')).toContain('vnic5');
  });

  test('names that are no namespace', async () => {
    await makeOverlay();
    await expect(host.call('addVnic', 'vnic0', 'overlay0', MAC, 1400, 'lxnowhere')).rejects.toEqual(
      expect.objectContaining({ code: 'NETNS_NOT_FOUND', advice: 'Make it with "ip netns add lxnowhere".' }),
    );
    await expect(host.call('link', 'vnic0', 'lxnowhere')).rejects.toEqual(refusal('NETNS_NOT_FOUND'));
    await expect(host.call('link', 'vnic0', '../self')).rejects.toEqual(refusal('NETNS_NAME'));
  });

  test('sees all that stands on an overlay, also in namespaces with and without a name', async () => {
    const overlay = await makeOverlay();
    await makeOverlay('overlay1');
    const stranger = lab.addHost(lab.addNamespace('gone'));
    await stranger.call('networkNamespaceId');
    for (const [name, lower, netns] of [
      ['mv1', 'overlay0'],
      ['mv2', 'overlay0', blue],
      ['mv3', 'overlay0', String(stranger.pid)],
      ['mv4', 'overlay1', blue],
    ]) {
      ip(red, 'link', 'add', name ?? '', 'link', lower ?? '', 'type', 'macvlan', 'mode', 'bridge');
      if (netns !== undefined) ip(red, 'link', 'set', name ?? '', 'netns', netns);
    }
    run('umount', `/run/netns/${stranger.netns}`);
    await host.call('addVnic', 'vnic0', 'overlay0', MAC, 1400, blue);
    const above = await host.call<UpperLink[]>('linksAbove', overlay.index);
    expect(above.map((link) => [link.name, link.ours, link.netns]).toSorted()).toEqual([
      ['mv1', false, undefined],
      ['mv2', false, blue],
      ['mv3', false, `pid ${stranger.pid}`],
      ['vnic0', true, blue],
    ]);
  });

  test('addresses and MTUs of the host', async () => {
    ip(red, 'link', 'add', 'veth0', 'mtu', '1450', 'type', 'veth', 'peer', 'name', 'veth1');
    ip(red, 'addr', 'add', '192.0.2.1/24', 'dev', 'veth0');
    ip(red, 'addr', 'add', '2001:db8::1/64', 'dev', 'veth0', 'nodad');
    ip(red, 'link', 'set', 'veth1', 'up');
    ip(red, 'link', 'set', 'veth0', 'up');
    const ask = (method: string, addresses: readonly string[]) => Promise.all(addresses.map((address) => host.call(method, address)));
    expect(await ask('hostHasAddress', ['192.0.2.1', '2001:db8::1', '127.9.9.9', '::', '192.0.2.2', '2001:db8::2'])).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(await ask('routeMtu', ['192.0.2.1', '2001:db8::1', '0.0.0.0', '127.0.0.1', '192.0.2.2'])).toEqual([1450, 1450, 1450, 65536, null]);
    ip(red, 'route', 'add', '192.0.2.3', 'dev', 'veth0', 'mtu', '1000');
    ip(red, '-6', 'route', 'add', '2001:db8::3', 'dev', 'veth0', 'mtu', '1300');
    const mtuTo = (from: string, to: string) => host.call('mtuTo', from, to);
    expect(await Promise.all(['2', '3'].map((last) => mtuTo('192.0.2.1', `192.0.2.${last}`)))).toEqual([1450, 1000]);
    expect(await Promise.all(['2', '3'].map((last) => mtuTo('::', `2001:db8::${last}`)))).toEqual([1450, 1300]);
    expect(await mtuTo('0.0.0.0', '198.51.100.1')).toBeNull();
  });

  test('names who holds a port: a process, or a kernel vxlan link', async () => {
    await host.call('listen', '127.0.0.1', 4790);
    expect(await host.call('whoHasUdpPort', 4, '0.0.0.0', 4790)).toBe(`process node (pid ${host.pid})`);
    expect(await host.call('whoHasUdpPort', 4, '192.0.2.1', 4790)).toBeNull();
    expect(await host.call('whoHasUdpPort', 6, '::', 4790)).toBeNull();
    ip(red, 'link', 'add', 'vx0', 'type', 'vxlan', 'id', '100', 'dstport', '4789', 'local', '192.0.2.1');
    expect(await host.call('whoHasUdpPort', 4, '192.0.2.1', 4789)).toBeNull();
    ip(red, 'link', 'set', 'vx0', 'up');
    expect(await host.call('whoHasUdpPort', 4, '192.0.2.1', 4789)).toBe('kernel vxlan link vx0 (vni 100)');
    expect(await host.call('link', 'vx0')).toMatchObject({ vxlan: { port: 4789, vnetid: 100, local: '192.0.2.1', external: false } });
  });

  test('a /proc/sys that cannot be written is said so, and leaves no isolation behind', async () => {
    const readOnly = 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$0" "$@"';
    const boxed = lab.addHost(red, { prefix: ['unshare', '-m', 'sh', '-c', readOnly] });
    await boxed.call('openTap', 'overlay0');
    const refused = expect.objectContaining({ code: 'SYSCTL_REFUSED', advice: expect.stringContaining('read-only') });
    await expect(boxed.call('prepareOverlayLink', 'overlay0', 1400)).rejects.toEqual(refused);
    expect(await boxed.call('link', 'overlay0')).toMatchObject({ up: false });
    expect(table().trim()).toBe('');
  });

  test('without CAP_NET_ADMIN every change says so, and nothing is left', async () => {
    ip(red, 'link', 'add', 'overlay0', 'type', 'veth', 'peer', 'name', 'veth1');
    const weak = lab.addHost(red, { prefix: ['setpriv', '--inh-caps=-all', '--bounding-set=-net_admin'] });
    const refused = expect.objectContaining({ code: 'NOT_PERMITTED', advice: expect.stringContaining('root') });
    await expect(weak.call('prepareOverlayLink', 'overlay0', 1400)).rejects.toEqual(refused);
    await expect(weak.call('addVnic', 'vnic0', 'overlay0', MAC, 1400)).rejects.toEqual(refused);
    await expect(weak.call('addVnic', 'vnic0', 'overlay0', MAC, 1400, blue)).rejects.toEqual(refused);
    expect(table().trim()).toBe('');
    expect(await weak.call('link', 'vnic0')).toBeNull();
  });
});
