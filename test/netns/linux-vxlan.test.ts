// The kernel's vxlan links of overlays against the real kernel, checked with ip(8), bridge(8) and nft(8): made, refused, guarded, repaired, adopted.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FdbRow, LinkInfo } from '../../src/core/linux/types.ts';
import { temporaryFolder } from '../helpers/temporary.ts';
import { type Host, Lab, run, whyNoNamespaces } from './linux-host.ts';

const reason = whyNoNamespaces();
const refusal = (code: string, text = ''): object => expect.objectContaining({ code, message: expect.stringContaining(text) });

const SPEC = { name: 'overlay0', vnetid: 100, listenIp: '192.0.2.1', port: 4789, mtu: 1400 };
const MAC = '02:08:20:00:00:01';
/** A broadcast frame of 60 bytes. */
const FRAME = `ffffffffffff02aa000000018100${'00'.repeat(46)}`;
const vxlanDatagram = (vnetid: number, flags = '08000000', last = '00'): string => `${flags}${vnetid.toString(16).padStart(6, '0')}${last}${FRAME}`;

describe.skipIf(reason !== undefined)(`vxlan links of the kernel${reason === undefined ? '' : ` (${reason})`}`, () => {
  const lab = new Lab();
  let red = '';
  let blue = '';
  let host: Host;
  let peer: Host;

  const ip = (netns: string, ...args: string[]): string => run('ip', '-n', netns, ...args);
  const inside = (...args: string[]): string => run('ip', 'netns', 'exec', red, ...args);
  const nft = (...args: string[]): string => inside('nft', ...args);
  const table = (): string => nft('list', 'ruleset');
  const delTable = (): string => nft('delete', 'table', 'inet', 'overlayadm_test_kernel');
  /** Without what counts, and in the order of names. */
  const shape = (): string => table().replace(/counter packets \d+ bytes \d+/g, 'counter');
  const elements = (set: string): string[] => {
    const [, inner = ''] = new RegExp(`set ${set} \\{[^}]*elements = \\{([^}]*)\\}`).exec(table()) ?? [];
    return inner
      .split(',')
      .map((element) => element.trim().replace(/\s+/g, ' '))
      .filter((element) => element !== '')
      .toSorted();
  };
  async function received(name = 'overlay0'): Promise<Record<string, number>> {
    const { index } = await host.call<LinkInfo>('link', name);
    return await host.call<Record<string, number>>('statistics', index);
  }
  /** Frames that a datagram brings into the link. */
  async function framesBy(address: string, datagram: string, { port = 4789, name = 'overlay0', from = peer } = {}): Promise<number> {
    const before = await received(name);
    await from.call('send', address, port, datagram);
    await sleep(30);
    const after = await received(name);
    return (after.rxFrames ?? 0) - (before.rxFrames ?? 0);
  }
  async function overlay(spec: object = SPEC): Promise<LinkInfo> {
    const { name } = await host.call<LinkInfo>('addVxlan', spec);
    return await host.call<LinkInfo>('raiseVxlan', name);
  }

  beforeEach(() => {
    red = lab.addNamespace('vred');
    blue = lab.addNamespace('vblue');
    ip(red, 'link', 'add', 'under0', 'type', 'veth', 'peer', 'name', 'under0', 'netns', blue);
    for (const [netns, last] of [
      [red, '1'],
      [blue, '2'],
    ] as const) {
      ip(netns, 'addr', 'add', `192.0.2.${last}/24`, 'dev', 'under0');
      ip(netns, 'addr', 'add', `2001:db8::${last}/64`, 'dev', 'under0', 'nodad');
    }
    // The address of the host that no overlay listens on.
    ip(red, 'addr', 'add', '192.0.2.11/24', 'dev', 'under0');
    ip(red, 'addr', 'add', '2001:db8::11/64', 'dev', 'under0', 'nodad');
    for (const netns of [red, blue]) ip(netns, 'link', 'set', 'under0', 'up');
    host = lab.addHost(red);
    peer = lab.addHost(blue);
  });
  afterEach(() => lab.remove());

  test('this kernel can, and the trial leaves nothing', async () => {
    expect(await host.call('refuseVxlan')).toBeNull();
    expect(ip(red, 'link')).not.toContain('vxlan');
    expect(table()).toBe('');
  });

  test('one without rights says so, one that found a rest of another removes it', async () => {
    const weak = lab.addHost(red, { prefix: ['setpriv', '--inh-caps=-all', '--bounding-set=-net_admin'] });
    expect(await weak.call('refuseVxlan')).toBe('a vxlan link needs CAP_NET_ADMIN (EPERM)');
    await expect(weak.call('addVxlan', SPEC)).rejects.toEqual(refusal('NOT_PERMITTED'));
    ip(red, 'link', 'add', 'overlayadm-vx', 'type', 'vxlan', 'id', '16777215', 'dstport', '1', 'local', '0.0.0.0');
    expect(await host.call('refuseVxlan')).toContain('local bypass');
    expect(await host.call('link', 'overlayadm-vx')).toBeNull();
    expect(await host.call('refuseVxlan')).toBeNull();
  });

  test('a link as it is made: down, marked, nothing of the host, isolated; then up', async () => {
    const made = await host.call<LinkInfo>('addVxlan', { ...SPEC, mac: MAC });
    const vxlan = { port: 4789, vnetid: 100, local: '192.0.2.1', family: 4, external: false, learning: false, localBypass: false, df: true };
    expect(made).toMatchObject({ name: 'overlay0', mac: MAC, mtu: 1400, up: false, noarp: true, kind: 'vxlan', ours: true, vxlan });
    const shown = ip(red, '-d', 'link', 'show', 'overlay0');
    for (const part of ['vxlan id 100 local 192.0.2.1 srcport 49152 65535 dstport 4789 nolearning', 'df set', ' udpcsum', 'addrgenmode none']) {
      expect(shown).toContain(part);
    }
    expect(['ipv6.conf.overlay0.disable_ipv6', 'ipv4.conf.overlay0.rp_filter'].map((name) => inside('sysctl', '-n', `net.${name}`).trim())).toEqual([
      '1',
      '1',
    ]);
    expect(elements('isolated')).toEqual(['"overlay0"']);
    expect(elements('ours4')).toEqual(['4789 . 0x64']);
    expect(elements('at4')).toEqual(['4789 . 0x64 . 192.0.2.1']);
    expect(await host.call('raiseVxlan', 'overlay0')).toMatchObject({ up: true, carrier: true });
    expect(await host.call('raiseVxlan', 'overlay0')).toMatchObject({ up: true });
    expect(ip(red, 'addr', 'show', 'overlay0')).not.toContain('inet');
    await host.call('setMtu', 'overlay0', 576);
    await host.call('setMtu', 'overlay0', 1400);
    expect(inside('sysctl', '-n', 'net.ipv6.conf.overlay0.disable_ipv6').trim()).toBe('1');
  });

  test('IPv6 and the unspecified addresses; one port and vnetid in both families', async () => {
    expect(await overlay({ ...SPEC, listenIp: '2001:db8::1' })).toMatchObject({ vxlan: { local: '2001:db8::1', family: 6, df: true } });
    expect(await overlay({ ...SPEC, name: 'overlay1' })).toMatchObject({ vxlan: { local: '192.0.2.1', family: 4 } });
    const any6 = await overlay({ ...SPEC, name: 'overlay2', vnetid: 101, listenIp: '::' });
    expect(any6.vxlan).not.toHaveProperty('local');
    await overlay({ ...SPEC, name: 'overlay3', vnetid: 101, listenIp: '0.0.0.0' });
    const bound = inside('ss', '-Hlnu')
      .split('\n')
      .flatMap((line) => /\S+:4789\b/.exec(line)?.[0] ?? []);
    expect(bound.toSorted()).toEqual(['0.0.0.0:4789', '[::]:4789']);
    expect(['ours4', 'ours6', 'at4', 'at6'].map(elements)).toEqual([
      ['4789 . 0x64'],
      ['4789 . 0x64'],
      ['4789 . 0x64 . 192.0.2.1'],
      ['4789 . 0x64 . 2001:db8::1'],
    ]);
    expect(await framesBy('2001:db8::11', vxlanDatagram(101), { name: 'overlay2' })).toBe(1);
    expect(await framesBy('192.0.2.11', vxlanDatagram(101), { name: 'overlay3' })).toBe(1);
    expect(await framesBy('::1', vxlanDatagram(101), { name: 'overlay2', from: host })).toBe(1);
    expect(await framesBy('127.0.0.1', vxlanDatagram(101), { name: 'overlay3', from: host })).toBe(1);
  });

  test('the filter: only at its own address, other vnetids and ports are not its business', async () => {
    await overlay();
    await overlay({ ...SPEC, name: 'overlay1', listenIp: '2001:db8::1' });
    ip(red, 'link', 'add', 'foreign0', 'type', 'vxlan', 'id', '200', 'dstport', '4789', 'local', '192.0.2.1');
    ip(red, 'link', 'set', 'foreign0', 'up');
    expect(await framesBy('192.0.2.1', vxlanDatagram(100))).toBe(1);
    expect(await framesBy('192.0.2.1', vxlanDatagram(100), { from: host })).toBe(1);
    expect(await framesBy('192.0.2.11', vxlanDatagram(100))).toBe(0);
    expect(await framesBy('127.0.0.1', vxlanDatagram(100), { from: host })).toBe(0);
    expect(await framesBy('192.0.2.11', vxlanDatagram(200), { name: 'foreign0' })).toBe(1);
    expect(await framesBy('2001:db8::1', vxlanDatagram(100), { name: 'overlay1' })).toBe(1);
    expect(await framesBy('2001:db8::11', vxlanDatagram(100), { name: 'overlay1' })).toBe(0);
    expect(table()).toMatch(/@ours4 counter packets 2 bytes \d+ drop/);
    expect(table()).toMatch(/@ours6 counter packets 1 bytes \d+ drop/);
    await peer.call('listen', '0.0.0.0', 9999);
    await host.call('listen', '0.0.0.0', 9999);
    await peer.call('send', '192.0.2.11', 9999, vxlanDatagram(100));
    await sleep(30);
    expect(await host.call('datagrams')).toHaveLength(1);
  });

  test('reserved bits of a header are ignored, as RFC 7348 says; by default the kernel counts such a datagram as an error', async () => {
    await overlay();
    for (const flags of ['0c000000', '88000000', '08ffffff']) expect(await framesBy('192.0.2.1', vxlanDatagram(100, flags))).toBe(1);
    expect(await framesBy('192.0.2.1', vxlanDatagram(100, '08000000', 'ff'))).toBe(1);
    ip(red, 'link', 'add', 'plain0', 'type', 'vxlan', 'id', '200', 'dstport', '4789', 'local', '192.0.2.1');
    ip(red, 'link', 'set', 'plain0', 'up');
    expect(await framesBy('192.0.2.1', vxlanDatagram(200), { name: 'plain0' })).toBe(1);
    expect(await framesBy('192.0.2.1', vxlanDatagram(200, '0c000000'), { name: 'plain0' })).toBe(0);
    expect(await received('plain0')).toMatchObject({ rxErrors: 1, rxDropped: 0 });
  });

  describe('refusals', () => {
    const foreign = (...more: string[]): string => ip(red, 'link', 'add', 'foreign0', 'type', 'vxlan', 'id', '100', 'dstport', '4789', ...more);

    test('a name in use', async () => {
      ip(red, 'link', 'add', 'overlay0', 'type', 'veth', 'peer', 'name', 'veth1');
      await expect(host.call('addVxlan', SPEC)).rejects.toEqual(refusal('LINK_EXISTS'));
      await expect(host.call('adoptVxlan', SPEC)).rejects.toEqual(refusal('LINK_NOT_OURS'));
      await expect(host.call('raiseVxlan', 'overlay0')).rejects.toEqual(refusal('LINK_NOT_OURS'));
      await expect(host.call('raiseVxlan', 'overlay1')).rejects.toEqual(refusal('LINK_NOT_FOUND'));
      expect(table()).toBe('');
    });

    test('a vnetid that another link has on this port', async () => {
      foreign('local', '192.0.2.11');
      await expect(host.call('addVxlan', SPEC)).rejects.toEqual(refusal('VNETID_IN_USE', 'foreign0 has vnetid 100 on port 4789'));
      expect(await host.call('link', 'overlay0')).toBeNull();
      expect(table()).toBe('');
      await overlay({ ...SPEC, listenIp: '::' });
    });

    test('a port that a process or a link of another kind holds', async () => {
      await host.call('listen', '192.0.2.1', 4789);
      const { name } = await host.call<LinkInfo>('addVxlan', SPEC);
      await expect(host.call('raiseVxlan', name)).rejects.toEqual(refusal('PORT_IN_USE', 'UDP port 4789'));
      await overlay({ ...SPEC, name: 'overlay1', port: 8472 });
      ip(red, 'link', 'add', 'foreign0', 'type', 'vxlan', 'id', '100', 'dstport', '4790', 'gbp');
      ip(red, 'link', 'set', 'foreign0', 'up');
      await host.call('addVxlan', { ...SPEC, name: 'overlay2', port: 4790 });
      await expect(host.call('raiseVxlan', 'overlay2')).rejects.toEqual(refusal('PORT_IN_USE', 'UDP port 4790'));
    });

    test('a link-local listen address, and nothing is left', async () => {
      await expect(host.call('addVxlan', { ...SPEC, listenIp: 'fe80::1' })).rejects.toEqual(refusal('NETLINK_REFUSED', 'EINVAL'));
      expect(await host.call('link', 'overlay0')).toBeNull();
    });

    test('a filter that cannot be made takes the link away again', async () => {
      const owner = lab.addHost(red, { stateId: 'test_kernel' });
      await owner.call('openTap', 'overlay9');
      await owner.call('prepareOverlayLink', 'overlay9', 1400);
      await expect(host.call('addVxlan', SPEC)).rejects.toEqual(refusal('NETLINK_REFUSED'));
      expect(await host.call('link', 'overlay0')).toBeNull();
    });

    test('links with our mark that differ', async () => {
      const mark = (name: string): string => ip(red, 'link', 'set', name, 'alias', `overlayadm:test:${name}`);
      ip(red, 'link', 'add', 'overlay0', 'type', 'vxlan', 'id', '7', 'dstport', '1', 'local', '192.0.2.1', 'learning');
      mark('overlay0');
      const text = 'vnetid 7, not 100, port 1, not 4789, learning true, not false, localBypass true, not false, df false, not true';
      await expect(host.call('adoptVxlan', SPEC)).rejects.toEqual(refusal('LINK_DIFFERS', text));
      await host.call('openTap', 'overlay1');
      mark('overlay1');
      await expect(host.call('adoptVxlan', { ...SPEC, name: 'overlay1' })).rejects.toEqual(refusal('LINK_DIFFERS', 'kind tun, not vxlan'));
      await overlay({ ...SPEC, name: 'overlay2', listenIp: '::' });
      const before = shape();
      await expect(host.call('adoptVxlan', { ...SPEC, name: 'overlay2' })).rejects.toEqual(refusal('LINK_DIFFERS', 'family'));
      await expect(host.call('adoptVxlan', { ...SPEC, name: 'overlay2', listenIp: '0.0.0.0' })).rejects.toEqual(refusal('LINK_DIFFERS', 'family'));
      await expect(host.call('moveVxlan', 'overlay2', '192.0.2.1')).rejects.toEqual(refusal('LINK_DIFFERS', 'family'));
      expect(shape()).toBe(before);
    });
  });

  test('another listen address, and another that is no address any more', async () => {
    await overlay();
    await host.call('moveVxlan', 'overlay0', '192.0.2.11');
    expect(await host.call('link', 'overlay0')).toMatchObject({ up: true, vxlan: { local: '192.0.2.11' } });
    expect(elements('at4')).toEqual(['4789 . 0x64 . 192.0.2.11']);
    expect(await framesBy('192.0.2.1', vxlanDatagram(100))).toBe(0);
    expect(await framesBy('192.0.2.11', vxlanDatagram(100))).toBe(1);
    await host.call('moveVxlan', 'overlay0', '0.0.0.0');
    expect([elements('ours4'), elements('at4')]).toEqual([[], []]);
    await host.call('moveVxlan', 'overlay0', '192.0.2.1');
    await expect(host.call('moveVxlan', 'overlay0', '2001:db8::1')).rejects.toEqual(refusal('LINK_DIFFERS', 'family'));
    expect(elements('at4')).toEqual(['4789 . 0x64 . 192.0.2.1']);
    expect(await host.call('repairFilter')).toBe(false);
  });

  test('rows of the forwarding table', async () => {
    const { index } = await overlay();
    const other = await overlay({ ...SPEC, name: 'overlay1', vnetid: 101, listenIp: '2001:db8::1' });
    const bridge = (...args: string[]): string => run('bridge', '-n', red, 'fdb', ...args);
    bridge('append', '00:00:00:00:00:00', 'dev', 'overlay0', 'dst', '127.0.0.1', 'port', '5000', 'self', 'permanent');
    bridge('append', '00:00:00:00:00:00', 'dev', 'overlay0', 'dst', '192.0.2.2', 'self', 'permanent');
    bridge('add', MAC, 'dev', 'overlay0', 'dst', '192.0.2.2', 'self', 'permanent', 'extern_learn');
    bridge('add', '02:08:20:00:00:02', 'dev', 'overlay0', 'dst', '0.0.0.0', 'self', 'permanent', 'extern_learn');
    bridge('add', MAC, 'dev', 'overlay1', 'dst', '2001:db8::2', 'self', 'permanent', 'extern_learn');
    const rows = await host.call<FdbRow[]>('fdbRows', index);
    expect(rows).toHaveLength(4);
    expect(rows).toEqual(
      expect.arrayContaining([
        { mac: '00:00:00:00:00:00', ip: '127.0.0.1', port: 5000, ours: false },
        { mac: '00:00:00:00:00:00', ip: '192.0.2.2', port: 4789, ours: false },
        { mac: MAC, ip: '192.0.2.2', port: 4789, ours: true },
        { mac: '02:08:20:00:00:02', ip: '0.0.0.0', port: 4789, ours: true },
      ]),
    );
    expect(await host.call('fdbRows', other.index)).toEqual([{ mac: MAC, ip: '2001:db8::2', port: 4789, ours: true }]);
    await expect(host.call('fdbRows', 1)).rejects.toEqual(refusal('LINK_NOT_FOUND'));
    await expect(host.call('fdbRows', 9999)).rejects.toEqual(refusal('LINK_NOT_FOUND'));
  });

  test('what a link leaves: its elements go with it, the table with the last one', async () => {
    await overlay();
    await overlay({ ...SPEC, name: 'overlay1', vnetid: 101 });
    await host.call('deleteOverlayLink', 'overlay0');
    await host.call('releaseVxlan', 'overlay0');
    await host.call('releaseVxlan', 'overlay7');
    expect([elements('isolated'), elements('ours4'), elements('at4')]).toEqual([['"overlay1"'], ['4789 . 0x65'], ['4789 . 0x65 . 192.0.2.1']]);
    await host.call('deleteOverlayLink', 'overlay1');
    await host.call('releaseVxlan', 'overlay1');
    expect(table()).toBe('');
    expect(await host.call('repairFilter')).toBe(false);
    await overlay();
    expect(elements('isolated')).toEqual(['"overlay0"']);
  });

  describe('repair', () => {
    const inTable = (...words: string[]): string => nft(...words.slice(0, 2), 'inet', 'overlayadm_test_kernel', ...words.slice(2));
    const handleOf = (rule: string): string => new RegExp(`${rule}.*# handle (\\d+)`).exec(nft('-a', 'list', 'ruleset'))?.[1] ?? '';

    beforeEach(async () => {
      await overlay();
      await overlay({ ...SPEC, name: 'overlay1', listenIp: '2001:db8::1' });
    });

    test('nothing to do, whoever has changed something else', async () => {
      expect(await host.call('repairFilter')).toBe(false);
      nft('add', 'table', 'ip', 'other');
      expect(await host.call('repairFilter')).toBe(false);
      expect(await host.call('repairFilter')).toBe(false);
    });

    test('what nft prints can be loaded again, and is right then', async () => {
      const before = shape();
      const file = join(temporaryFolder(), 'saved.nft');
      writeFileSync(file, `flush ruleset\n${table()}`);
      nft('-f', file);
      expect(shape()).toBe(before);
      expect(await host.call('repairFilter')).toBe(false);
      expect(await framesBy('192.0.2.11', vxlanDatagram(100))).toBe(0);
      await host.call('releaseVxlan', 'overlay1');
      expect(elements('ours6')).toEqual([]);
    });

    test.each<readonly [string, () => unknown]>([
      ['flush ruleset', () => nft('flush', 'ruleset')],
      ['a table deleted', () => delTable()],
      ['a table switched off', () => nft('add table inet overlayadm_test_kernel { flags dormant; }')],
      ['an element removed', () => inTable('delete', 'element', 'at4', '{ 4789 . 0x64 . 192.0.2.1 }')],
      ['an element added', () => inTable('add', 'element', 'at4', '{ 4789 . 0x64 . 192.0.2.11 }')],
      ['an element for all keys', () => inTable('add', 'element', 'at4', '{ * }')],
      ['a set flushed', () => inTable('flush', 'set', 'isolated')],
      ['a set added', () => inTable('add', 'set', 'mine', '{ type ipv4_addr; }')],
      ['a rule removed', () => inTable('delete', 'rule', 'input', 'handle', handleOf('@at6'))],
      ['a rule in front', () => inTable('insert', 'rule', 'input', 'accept')],
      [
        'a rule with another verdict',
        () => inTable('replace', 'rule', 'prerouting', 'handle', handleOf('@isolated'), 'iifname @isolated counter accept'),
      ],
      ['a rule the other way', () => inTable('replace', 'rule', 'prerouting', 'handle', handleOf('@isolated'), 'iifname != @isolated counter drop')],
      ['a chain flushed and deleted', () => [inTable('flush', 'chain', 'input'), inTable('delete', 'chain', 'input')]],
      ['a chain added', () => inTable('add', 'chain', 'mine')],
      ['another policy', () => nft('add chain inet overlayadm_test_kernel input { policy drop; }')],
    ])('%s', async (_what, change) => {
      const before = shape();
      change();
      expect(shape()).not.toBe(before);
      expect(await host.call('repairFilter')).toBe(true);
      expect(shape().split('\n').toSorted()).toEqual(before.split('\n').toSorted());
      expect(await host.call('repairFilter')).toBe(false);
    });

    test('a change finds a table gone, and makes all of it anew', async () => {
      delTable();
      await overlay({ ...SPEC, name: 'overlay2', vnetid: 101 });
      expect(elements('isolated')).toEqual(['"overlay0"', '"overlay1"', '"overlay2"']);
      inTable('delete', 'element', 'ours6', '{ 4789 . 0x64 }');
      await host.call('releaseVxlan', 'overlay1');
      expect(elements('isolated')).toEqual(['"overlay0"', '"overlay2"']);
      expect(await host.call('repairFilter')).toBe(false);
    });

    test('of a change that was not ours, nothing is hidden by one of ours', async () => {
      inTable('flush', 'set', 'at6');
      await overlay({ ...SPEC, name: 'overlay2', vnetid: 101 });
      expect(await host.call('repairFilter')).toBe(true);
      expect(elements('at6')).toEqual(['4789 . 0x64 . 2001:db8::1']);
    });
  });

  describe('a table that outlived overlayd', () => {
    beforeEach(async () => {
      await overlay();
      await overlay({ ...SPEC, name: 'overlay1', vnetid: 101 });
      await host.kill();
      expect(await framesBy2('192.0.2.11')).toBe(false);
    });
    /** With nobody of us alive. */
    async function framesBy2(address: string): Promise<boolean> {
      const bytes = (): string => ip(red, '-s', '-j', 'link', 'show', 'overlay0');
      const before = bytes();
      await peer.call('send', address, 4789, vxlanDatagram(100));
      await sleep(30);
      return bytes() !== before;
    }

    test('is adopted; what nobody names goes with the sweep', async () => {
      expect(await framesBy2('192.0.2.1')).toBe(true);
      host = lab.addHost(red);
      const before = shape();
      const link = await host.call<LinkInfo>('adoptVxlan', SPEC);
      expect(link).toMatchObject({ up: true, vxlan: { local: '192.0.2.1' } });
      expect(shape()).toBe(before);
      expect(await host.call('repairFilter')).toBe(false);
      await host.call('sweepFilter');
      expect([elements('isolated'), elements('at4')]).toEqual([['"overlay0"'], ['4789 . 0x64 . 192.0.2.1']]);
      expect(await host.call('repairFilter')).toBe(false);
    });

    test('is adopted with another listen address and MTU', async () => {
      host = lab.addHost(red);
      const moved = await host.call<LinkInfo>('adoptVxlan', { ...SPEC, listenIp: '192.0.2.11', mtu: 1300 });
      expect(moved).toMatchObject({ up: true, mtu: 1300, vxlan: { local: '192.0.2.11' } });
      expect(elements('at4')).toEqual(['4789 . 0x64 . 192.0.2.11', '4789 . 0x65 . 192.0.2.1']);
    });

    test('goes when no overlay is left', async () => {
      host = lab.addHost(red);
      await host.call('sweepFilter');
      expect(table()).toBe('');
      await host.call('sweepFilter');
    });

    test('is replaced when it is wrong, with the elements that can be read', async () => {
      nft('add', 'rule', 'inet', 'overlayadm_test_kernel', 'prerouting', 'accept');
      nft('flush', 'chain', 'inet', 'overlayadm_test_kernel', 'input');
      host = lab.addHost(red);
      await host.call('adoptVxlan', SPEC);
      expect(shape()).not.toContain('accept\n\t\t}');
      expect(elements('at4')).toEqual(['4789 . 0x64 . 192.0.2.1', '4789 . 0x65 . 192.0.2.1']);
      expect(await host.call('repairFilter')).toBe(false);
      expect(await framesBy('192.0.2.11', vxlanDatagram(100))).toBe(0);
    });
  });
});
