// Hosts in one process, turn by turn: whole lives of lookups, questions and overlays, with the real daemon and engine.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineProperties, type LookupAnswer, type LookupHost, type LookupPlugin, type LookupRequest } from '@overlayadm/api';
import direct from '@overlayadm/plugin-direct';
import files from '@overlayadm/plugin-files';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, describe, expect, it } from 'vitest';
import { LOOKUP_TIMEOUT_MS, TOO_BIG_QUIET_MS } from '../../src/core/util/limits.ts';
import { arpRequest, frame, ipOf, mac, macOf, textOf } from '../helpers/frames.ts';
import { runTogether, SimHost } from '../helpers/sim-host.ts';
import { SimUnderlay } from '../helpers/sim-io.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

/** A lookup plugin whose answers the test gives, when it wants to. */
class Puppet {
  readonly asked: { readonly request: LookupRequest; answer(answer: LookupAnswer): void; readonly signal: AbortSignal }[] = [];
  host: LookupHost | undefined;
  readonly plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'puppet',
    properties: defineProperties([]),
    create: (_needs, _values, host) => {
      this.host = host;
      return {
        mode: 'dynamic',
        start: async () => undefined,
        stop: async () => undefined,
        lookup: (request, signal) => new Promise((answer) => this.asked.push({ request, answer, signal })),
      };
    },
  };
}

const at = (last: number) => ({ ip: ipOf(`192.0.2.${last}`), port: 4789 });
const running: SimHost[] = [];

async function start(underlay: SimUnderlay, last: number, puppet = new Puppet()): Promise<SimHost> {
  const host = new SimHost(underlay, [`192.0.2.${last}`], [vxlan, direct, files, puppet.plugin]);
  running.push(host);
  await host.start();
  return host;
}

const listen = (last: number) => ({ 'vxlan/listen_ip': `192.0.2.${last}` });

afterEach(async () => {
  for (const host of running.splice(0)) {
    await host.destroy();
    expect(host.io.open).toBeLessThanOrEqual(1); // the poll descriptor ends with the engine's thread
    expect([...host.kernel.known.keys()]).toEqual([]);
    expect(host.store.names).toEqual([]);
    expect(host.kernel.closed).toBe(true);
  }
});

/** Two hosts with one overlay from one file: who has which MAC and address. */
async function pair(): Promise<{ underlay: SimUnderlay; a: SimHost; b: SimHost }> {
  const underlay = new SimUnderlay();
  const config = join(temporaryFolder(), 'net.json');
  const entry = (last: number) => ({ ip: `192.0.2.${last}`, port: 4789, arp: `10.0.0.${last}`, ndp: `fd00::${last}` });
  writeFileSync(config, JSON.stringify({ [mac(1)]: entry(1), [mac(2)]: entry(2) }));
  const [a, b] = [await start(underlay, 1), await start(underlay, 2)];
  await a.create('overlay0', 'files', 100, { ...listen(1), 'files/config': config });
  await b.create('overlay0', 'files', 100, { ...listen(2), 'files/config': config });
  return { underlay, a, b };
}

describe('two hosts with one file of mappings', () => {
  it('find each other: question, answer, lookup, frame, and the way back', async () => {
    const { underlay, a, b } = await pair();
    a.io.tap('overlay0').out.push(arpRequest(mac(1), '10.0.0.1', '10.0.0.2'));
    await runTogether(a, b);
    const [reply] = a.io.tap('overlay0').in;
    // Operation 2, sender: the address that was asked for.
    expect([...(reply?.subarray(20, 32) ?? [])]).toEqual([0, 2, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2]);
    expect(underlay.carried).toEqual([]);
    a.io.tap('overlay0').out.push(frame(mac(2), mac(1), 'there'));
    await runTogether(a, b);
    expect(b.io.tap('overlay0').in.map(textOf)).toEqual(['there']);
    b.io.tap('overlay0').out.push(frame(mac(1), mac(2), 'back'));
    await runTogether(a, b);
    expect(a.io.tap('overlay0').in.slice(1).map(textOf)).toEqual(['back']);
    expect((await a.call('overlay.targets', { name: 'overlay0', after: null })).rows).toEqual([
      { overlay: 'overlay0', target: '2:0:0:0:0:2', destination: '192.0.2.2:4789' },
    ]);
    // The answer to the question brought the destination along: the first frame needed no lookup.
    expect(await a.counters('overlay0')).toMatchObject({ 'lookup.asked': 0, 'question.asked': 1 });
    expect(await b.counters('overlay0')).toMatchObject({ 'lookup.asked': 1 });
  });

  it('do not answer for addresses that are not in the file', async () => {
    const { a } = await pair();
    a.io.tap('overlay0').out.push(arpRequest(mac(1), '10.0.0.1', '10.0.0.77'));
    await a.turns();
    expect(a.io.tap('overlay0').in).toEqual([]);
    expect(await a.counters('overlay0')).toMatchObject({ 'question.unanswered': 1 });
  });
});

describe('a lookup', () => {
  it('that takes its time loses nothing, and frames to other targets pass meanwhile', async () => {
    const underlay = new SimUnderlay();
    const puppet = new Puppet();
    const a = await start(underlay, 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    const tap = a.io.tap('overlay0');
    for (let i = 0; i < 10; i++) tap.out.push(frame(mac(8), mac(1), `slow ${i}`));
    tap.out.push(frame(mac(9), mac(1), 'quick'));
    await a.turns();
    const ask = (number: number) => puppet.asked.find(({ request }) => request.to === mac(number));
    ask(9)?.answer({ kind: 'found', destination: at(3) });
    await a.turns();
    expect(underlay.carried.map(({ to }) => to)).toEqual(['192.0.2.3 4789']);
    ask(8)?.answer({ kind: 'found', destination: at(2) });
    await a.turns();
    expect(underlay.carried.slice(1).map(({ bytes }) => textOf(bytes.subarray(8)))).toEqual(Array.from({ length: 10 }, (_, i) => `slow ${i}`));
    expect(puppet.asked.length).toBe(2);
  });

  it('that is never answered is given up after LOOKUP_TIMEOUT_MS', async () => {
    const puppet = new Puppet();
    const a = await start(new SimUnderlay(), 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    a.io.tap('overlay0').out.push(frame(mac(8), mac(1)));
    await a.turns();
    await a.clock.advance(LOOKUP_TIMEOUT_MS + 2000);
    await a.turns();
    expect(puppet.asked[0]?.signal.aborted).toBe(true);
    expect(await a.counters('overlay0')).toMatchObject({ 'lookup.refused': 1 });
  });

  it.each([
    ['of the other family', { ip: ipOf('2001:db8::1'), port: 4789 }, 'IPv6'],
    ['that is a multicast group', { ip: ipOf('239.0.0.1'), port: 4789 }, 'multicast'],
    ['that is unspecified', { ip: ipOf('0.0.0.0'), port: 4789 }, 'unspecified'],
    ['that is loopback', { ip: ipOf('127.0.0.1'), port: 4789 }, 'loopback'],
    ['that is broadcast', { ip: ipOf('255.255.255.255'), port: 4789 }, 'broadcast'],
    ['that is our own socket', { ip: ipOf('192.0.2.1'), port: 4789 }, "this host's own"],
  ])('answered with a destination %s is refused, counted and degrades with MAC and value', async (_what, destination, said) => {
    const underlay = new SimUnderlay();
    const puppet = new Puppet();
    const a = await start(underlay, 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    a.io.tap('overlay0').out.push(frame(mac(8), mac(1)));
    await a.turns();
    puppet.asked[0]?.answer({ kind: 'found', destination });
    await a.turns();
    expect(underlay.carried).toEqual([]);
    expect(await a.counters('overlay0')).toMatchObject({ 'lookup.refused': 1, 'lookup.wrong-destination': 1 });
    const health = await a.call('overlay.health', { name: 'overlay0' });
    expect(health.status).toBe('DEGRADED');
    expect(health.details).toContain('2:0:0:0:0:8');
    expect(health.details).toContain(said);
    await a.clock.advance(TOO_BIG_QUIET_MS + 1);
    expect((await a.call('overlay.health', { name: 'overlay0' })).status).toBe('ONLINE');
  });

  it('is asked again when the plugin host dies under it, and answered after that', async () => {
    const underlay = new SimUnderlay();
    const puppet = new Puppet();
    const a = await start(underlay, 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    a.io.tap('overlay0').out.push(frame(mac(8), mac(1), 'x'));
    await a.turns();
    a.plugins.started.findLast(({ launch }) => launch.package === 'test-plugin-puppet')?.die();
    await a.turns();
    expect((await a.call('overlay.health', { name: 'overlay0' })).status).toBe('DEGRADED');
    await a.clock.advance(2000);
    await a.turns();
    expect(puppet.asked.length).toBe(2);
    puppet.asked[1]?.answer({ kind: 'found', destination: at(2) });
    await a.turns();
    expect(underlay.carried.map(({ bytes }) => textOf(bytes.subarray(8)))).toEqual(['x']);
    expect((await a.call('overlay.health', { name: 'overlay0' })).status).toBe('ONLINE');
  });
});

describe('a plugin that speaks unasked', () => {
  it('sets and invalidates targets, announces, degrades and restores', async () => {
    const underlay = new SimUnderlay();
    const puppet = new Puppet();
    const a = await start(underlay, 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    puppet.host?.setTarget(macOf('2:0:0:0:0:8'), at(2));
    puppet.host?.announce(ipOf('10.0.0.8'), mac(8));
    puppet.host?.degrade('the directory does not answer');
    await a.turns();
    const tap = a.io.tap('overlay0');
    expect([...(tap.in[0]?.subarray(12, 14) ?? [])]).toEqual([8, 6]);
    tap.out.push(frame(mac(8), mac(1), 'x'));
    await a.turns();
    expect(underlay.carried.length).toBe(1);
    expect(await a.call('overlay.health', { name: 'overlay0' })).toMatchObject({ details: 'the directory does not answer' });
    puppet.host?.invalidateTarget(mac(8));
    puppet.host?.restore();
    await a.turns();
    expect((await a.call('overlay.targets', { name: 'overlay0', after: null })).rows).toEqual([]);
    expect(await a.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
  });
});

describe('direct', () => {
  it('sends everything to its one destination, and is listed so', async () => {
    const underlay = new SimUnderlay();
    const [a, b] = [await start(underlay, 1), await start(underlay, 2)];
    const to = (last: number) => ({ ...listen(3 - last), 'direct/dest_ip': `192.0.2.${last}`, 'direct/dest_port': '4789' });
    await a.create('overlay5', 'direct', 9, to(2));
    await b.create('overlay0', 'direct', 9, to(1));
    a.io.tap('overlay5').out.push(arpRequest(mac(1), '10.0.0.1', '10.0.0.2'), frame(mac(77), mac(1), 'x'));
    await runTogether(a, b);
    expect(b.io.tap('overlay0').in.length).toBe(2);
    expect((await a.call('overlay.targets', { name: 'overlay5', after: null })).rows).toEqual([
      { overlay: 'overlay5', target: '*:*:*:*:*:*', destination: '192.0.2.2:4789' },
    ]);
  });
});

describe('create-overlay', () => {
  const good = { ...listen(1), 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

  it.each([
    ['a bad name', '0overlay', 'direct', 5, good, 'LINK_NAME'],
    ['an unknown lookup plugin', 'overlay1', 'nosuch', 5, good, 'PLUGIN_UNKNOWN'],
    ['a vnetid out of range', 'overlay1', 'direct', 16_777_216, good, 'VNETID_RANGE'],
    ['a vnetid in use', 'overlay1', 'direct', 100, good, 'VNETID_IN_USE'],
    ['a missing property', 'overlay1', 'direct', 5, { ...listen(1) }, 'PROPERTY_MISSING'],
    ['an unknown property', 'overlay1', 'direct', 5, { ...good, nosuch: '1' }, 'PROPERTY_UNKNOWN'],
    ['a value the plugin refuses', 'overlay1', 'direct', 5, { ...good, 'vxlan/listen_ip': '224.0.0.1' }, 'PROPERTY_INVALID'],
    ['an address of another host', 'overlay1', 'direct', 5, { ...good, 'vxlan/listen_ip': '192.0.2.99' }, 'ADDRESS_NOT_HERE'],
    ['a destination that is this host', 'overlay1', 'direct', 5, { ...good, 'direct/dest_ip': '192.0.2.1' }, 'DESTINATION_WRONG'],
    ['a file that is not there', 'overlay1', 'files', 5, { ...listen(1), 'files/config': '/nonexistent/net.json' }, 'LOOKUP_START_FAILED'],
    ['a name that is taken by an overlay', 'overlay0', 'direct', 5, good, 'OVERLAY_EXISTS'],
    ['a name that is taken by a link', 'eth0', 'direct', 5, good, 'LINK_EXISTS'],
    ['a data path it cannot have', 'overlay1', 'direct', 5, { ...good, datapath: 'kernel' }, 'DATAPATH_REFUSED'],
    ['a data path that there is not', 'overlay1', 'direct', 5, { ...good, datapath: 'moon' }, 'PROPERTY_INVALID'],
  ])('refuses %s, says so with advice, and leaves nothing behind', async (_what, name, search, vnetid, properties, code) => {
    const a = await start(new SimUnderlay(), 1);
    await a.create('overlay0', 'direct', 100, good);
    a.kernel.known.set('eth0', { ...(a.kernel.known.get('overlay0') as NonNullable<ReturnType<typeof a.kernel.link>>), name: 'eth0' });
    const before = { links: [...a.kernel.known.keys()], descriptors: a.io.open };
    await expect(a.create(name, search, vnetid, properties)).rejects.toMatchObject({ code, advice: expect.stringMatching(/./) });
    await a.turns();
    expect({ links: [...a.kernel.known.keys()], descriptors: a.io.open }).toEqual(before);
    a.kernel.known.delete('eth0');
  });

  it('undoes everything when the kernel refuses at the last step', async () => {
    const a = await start(new SimUnderlay(), 1);
    const before = a.io.open;
    a.kernel.failing = 'prepareOverlayLink';
    await expect(a.create('overlay0', 'direct', 100, good)).rejects.toMatchObject({ message: expect.stringContaining('(data path)') });
    expect(a.io.open).toBe(before);
    a.kernel.failing = undefined;
    expect(await a.create('overlay0', 'direct', 100, good)).toEqual({ name: 'overlay0', warnings: [] });
  });

  it('takes the lowest free name, and warns when the mtu does not fit the underlay', async () => {
    const a = await start(new SimUnderlay(), 1);
    a.kernel.pathMtu = 1450;
    const list = Object.entries(good).map(([name, text]) => ({ name, text }));
    const create = (vnetid: number) => a.call('overlay.create', { encap: 'vxlan', search: 'direct', vnetid, properties: list, temporary: false });
    const first = await create(1);
    expect(first.name).toBe('overlay0');
    // 1400 + 14 Ethernet + 8 VXLAN + 8 UDP + 20 IPv4 + 4 of a VLAN tag.
    expect(first.warnings).toEqual([expect.stringContaining('1454 bytes leave with a VLAN tag, 192.0.2.1 carries 1450; at most 1396 fits')]);
    expect((await create(2)).name).toBe('overlay1');
    await a.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect((await create(3)).name).toBe('overlay0');
  });
});

describe('delete-overlay', () => {
  it('refuses while something stands on the overlay, and names it', async () => {
    const puppet = new Puppet();
    const a = await start(new SimUnderlay(), 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    await a.call('vnic.create', { name: 'vnic0', overlay: 'overlay0', properties: [], temporary: false });
    await expect(a.call('overlay.delete', { name: 'overlay0', temporary: false })).rejects.toMatchObject({
      code: 'OVERLAY_BUSY',
      message: expect.stringContaining('link busy (vnic0)'),
    });
    await a.call('vnic.delete', { name: 'vnic0', temporary: false });
    await a.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect(await a.call('overlay.names', { saved: false })).toEqual([]);
  });

  it('never waits for lookups that are out', async () => {
    const puppet = new Puppet();
    const a = await start(new SimUnderlay(), 1, puppet);
    await a.create('overlay0', 'puppet', 7, listen(1));
    for (let i = 0; i < 300; i++) a.io.tap('overlay0').out.push(frame(mac(1000 + i), mac(1)));
    await a.turns();
    expect(puppet.asked.length).toBe(300);
    await a.call('overlay.delete', { name: 'overlay0', temporary: false });
    await a.turns();
    expect(puppet.asked.every(({ signal }) => signal.aborted)).toBe(true);
  });
});

describe('VNICs', () => {
  it('get an address that is theirs alone, or the one that is asked for', async () => {
    const a = await start(new SimUnderlay(), 1);
    await a.create('overlay0', 'puppet', 7, listen(1));
    const drawn = await a.call('vnic.create', { name: 'vnic0', overlay: 'overlay0', properties: [], temporary: false });
    expect(Number.parseInt(drawn.mac.split(':')[0] ?? '', 16) & 3).toBe(2);
    const given = await a.call('vnic.create', { name: 'vnic1', overlay: 'overlay0', mac: '2:8:20:0:0:1', properties: [], temporary: false });
    expect(given).toEqual({
      vnic: 'vnic1',
      overlay: 'overlay0',
      mac: '2:8:20:0:0:1',
      mtu: 1400,
      vid: null,
      netns: null,
      state: 'up',
      persistent: true,
    });
    const again = { name: 'vnic2', overlay: 'overlay0', mac: '02:08:20:00:00:01', properties: [], temporary: false };
    await expect(a.call('vnic.create', again)).rejects.toMatchObject({ code: 'MAC_IN_USE' });
    for (const bad of ['1:0:0:0:0:0', 'ff:ff:ff:ff:ff:ff', '0:0:0:0:0:0', 'nonsense'])
      await expect(a.call('vnic.create', { ...again, mac: bad })).rejects.toMatchObject({ code: 'MAC_INVALID' });
    await expect(a.call('vnic.create', { ...again, name: 'vnic1' })).rejects.toMatchObject({ code: 'VNIC_EXISTS' });
    await expect(a.call('vnic.create', { ...again, overlay: 'overlay9' })).rejects.toMatchObject({ code: 'OVERLAY_NOT_FOUND' });
    expect((await a.call('vnic.list', { overlay: 'overlay0' })).map(({ vnic }) => vnic)).toEqual(['vnic0', 'vnic1']);
  });

  it('that are gone from the kernel are kept and say so, until somebody deletes them', async () => {
    const a = await start(new SimUnderlay(), 1);
    await a.create('overlay0', 'puppet', 7, listen(1));
    await a.call('vnic.create', { name: 'vnic0', overlay: 'overlay0', properties: [], temporary: false });
    a.kernel.known.delete('vnic0');
    expect(await a.call('vnic.list', { overlay: null })).toMatchObject([{ vnic: 'vnic0', state: 'deleted by somebody' }]);
    await expect(a.call('overlay.delete', { name: 'overlay0', temporary: false })).rejects.toMatchObject({ code: 'OVERLAY_BUSY' });
    await a.call('vnic.delete', { name: 'vnic0', temporary: false });
    await a.call('overlay.delete', { name: 'overlay0', temporary: false });
  });
});

describe('a path that is too narrow', () => {
  it('degrades with destination and size, and heals when it is quiet', async () => {
    const underlay = new SimUnderlay();
    const a = await start(underlay, 1);
    await a.create('overlay0', 'direct', 100, { ...listen(1), 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' });
    underlay.carry = () => 90;
    a.kernel.pathMtu = 1000;
    a.io.tap('overlay0').out.push(frame(mac(8), mac(1), 'x'.repeat(1000)));
    await a.turns();
    expect(await a.call('overlay.health', { name: 'overlay0' })).toMatchObject({
      status: 'DEGRADED',
      details: 'a packet of 1050 bytes to 192.0.2.2:4789 does not fit the path of 1000; at most 946 fits as mtu (1400)',
    });
    await a.clock.advance(TOO_BIG_QUIET_MS + 1);
    expect(await a.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
  });
});
