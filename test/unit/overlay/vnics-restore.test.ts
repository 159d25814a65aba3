// VNICs that last: over a restart of overlayd, a reboot, and the coming and going of their namespaces.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { VnicRecord } from '../../../src/core/overlay/record.ts';
import { absence, type Seen, type Standing, step } from '../../../src/core/overlay/vnic-state.ts';
import { MAX_NAMESPACE_POLL_SHARE, NAMESPACE_POLL_MS } from '../../../src/core/util/limits.ts';
import { macOf } from '../../helpers/frames.ts';
import { vnicRecord } from '../../helpers/overlay-record.ts';
import { VnicRig } from '../../helpers/vnic-rig.ts';

describe('where a VNIC stands', () => {
  const standings: Readonly<Record<string, Standing>> = {
    new: { kind: 'new' },
    there: { kind: 'there', namespace: 'one' },
    waiting: { kind: 'waiting' },
    deleted: { kind: 'deleted', namespace: 'one' },
    foreign: { kind: 'foreign' },
    failed: { kind: 'failed', reason: 'no' },
  };
  const seen: Readonly<Record<string, Seen>> = {
    'no namespace': { namespace: undefined, link: 'none' },
    own: { namespace: 'one', link: 'own' },
    foreign: { namespace: 'one', link: 'foreign' },
    none: { namespace: 'one', link: 'none' },
    'none, in another namespace': { namespace: 'two', link: 'none' },
  };
  const table: Readonly<Record<string, readonly string[]>> = {
    new: ['waiting', 'there', 'foreign', 'make', 'make'],
    there: ['waiting', 'there', 'foreign', 'deleted', 'make'],
    waiting: ['waiting', 'there', 'foreign', 'make', 'make'],
    deleted: ['waiting', 'there', 'foreign', 'deleted', 'make'],
    foreign: ['waiting', 'there', 'foreign', 'make', 'make'],
    failed: ['waiting', 'there', 'foreign', 'make', 'make'],
  };
  const cases = Object.entries(table).flatMap(([from, row]) => Object.keys(seen).map((what, index) => [from, what, row[index] as string] as const));

  it.each(cases)('%s, seen %s: %s', (from, what, to) => {
    const next = step(standings[from] as Standing, seen[what] as Seen);
    expect(next.make ? 'make' : next.standing.kind).toBe(to);
  });

  it('has words for every state but being there', () => {
    const netns: Pick<VnicRecord, 'netns'> = { netns: 'blue' };
    expect(Object.values(standings).map((standing) => absence(standing, netns))).toEqual([
      'waiting for its overlay',
      undefined,
      'waiting for namespace blue',
      'deleted by somebody',
      'name in use by a foreign link',
      'no',
    ]);
  });
});

describe('a restart of overlayd', () => {
  it('changes nothing of VNICs that are there, and says what is not as it was recorded', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1', vid: 7 });
    await rig.create('vnic1', { netns: 'blue' });
    rig.alter('vnic0', { mac: macOf('2:8:20:0:0:9'), mtu: 1000, up: false });
    rig.kernel.vlans.clear();
    const before = [rig.link('vnic0'), rig.link('vnic1', 'blue')];
    rig.log.length = 0;
    await rig.restart();
    expect([rig.link('vnic0'), rig.link('vnic1', 'blue')]).toEqual(before);
    expect(rig.vnics.list()).toMatchObject([{ mac: '02:08:20:00:00:09', mtu: 1000 }, { state: 'up' }]);
    const said = 'mtu 1000 instead of 1400","mac 02:08:20:00:00:09 instead of 02:08:20:00:00:01","vid null instead of 7';
    expect(rig.log).toEqual([expect.stringContaining(said)]);
  });

  it('makes what is missing as it was: address, mtu, VLAN, namespace', async () => {
    const rig = await VnicRig.start();
    const vnic = await rig.create('vnic0', {
      netns: 'blue',
      vid: 7,
      properties: [
        { name: 'mtu', text: '1000' },
        { name: 'netns', text: 'blue' },
      ],
    });
    rig.kernel.deleteVnic('vnic0', 'blue');
    await rig.restart();
    expect(rig.vnics.list()).toEqual([{ ...vnic, index: expect.any(Number) }]);
    expect(rig.kernel.vlanOf('vnic0', 'blue')).toBe(7);
  });

  it('leaves a foreign link alone, and takes the name when it is free', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    rig.alter('vnic0', { ours: false });
    const theirs = rig.link('vnic0');
    await rig.restart();
    await rig.poll();
    expect([rig.state('vnic0'), rig.link('vnic0')]).toEqual(['name in use by a foreign link', theirs]);
    rig.kernel.deleteVnic('vnic0');
    await rig.poll();
    expect(rig.state('vnic0')).toBe('up');
  });

  it('says what the kernel refuses, and tries again', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    rig.kernel.deleteVnic('vnic0');
    rig.kernel.failing = 'addVnic';
    await rig.restart();
    expect(rig.state('vnic0')).toBe('the kernel says no');
    await rig.clock.advance(5 * NAMESPACE_POLL_MS);
    expect(rig.log.filter((line) => line.includes('the kernel says no')).length).toBe(1);
    rig.kernel.failing = undefined;
    await rig.poll();
    expect(rig.state('vnic0')).toBe('up');
    expect(rig.clock.timers).toBe(0);
  });

  it('removes what a move has left when overlayd was killed in the middle of it', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1' });
    await rig.records.change('overlay0', false, (record) => ({ ...record, vnics: [vnicRecord('vnic0', { netns: 'blue' })] }));
    await rig.restart();
    expect([rig.link('vnic0'), rig.link('vnic0', 'blue')?.mac, rig.state('vnic0')]).toEqual([undefined, '02:08:20:00:00:01', 'up']);
  });

  it('makes no VNIC that is larger than its overlay is now', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    rig.kernel.deleteVnic('vnic0');
    rig.mtu = 1000;
    await rig.restart();
    expect(rig.link('vnic0')?.mtu).toBe(1000);
  });

  it('is not stopped by one VNIC that cannot be looked at', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { netns: 'blue' });
    await rig.create('vnic1');
    const { link } = rig.kernel;
    rig.kernel.link = (name, netns) => {
      if (netns === 'blue') throw new OverlayError('NETLINK_REFUSED', 'no buffers');
      return link(name, netns);
    };
    await rig.restart();
    rig.kernel.link = link;
    await rig.poll();
    expect([rig.state('vnic0'), rig.state('vnic1')]).toEqual(['up', 'up']);
  });
});

describe('the namespace of a VNIC', () => {
  it('that goes and comes back has it again as it was; meanwhile it waits, and its address is taken', async () => {
    const rig = await VnicRig.start();
    const vnic = await rig.create('vnic0', { mac: '2:8:20:0:0:1', netns: 'blue', vid: 7 });
    rig.kernel.namespaces.delete('blue');
    expect(rig.vnics.list()).toEqual([{ ...vnic, state: 'waiting for namespace blue', index: undefined }]);
    await expect(rig.create('vnic1', { mac: '2:8:20:0:0:1' })).rejects.toMatchObject({ code: 'MAC_IN_USE' });
    await rig.poll();
    expect(rig.state('vnic0')).toBe('waiting for namespace blue');
    rig.kernel.addNamespace('blue');
    await rig.poll();
    expect(rig.vnics.list()).toEqual([{ ...vnic, index: expect.any(Number) }]);
  });

  it('that was replaced while nobody looked has it again too', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { netns: 'blue' });
    await rig.create('vnic1', { netns: 'blue' });
    rig.kernel.deleteVnic('vnic1', 'blue');
    expect(rig.state('vnic1')).toBe('deleted by somebody');
    rig.kernel.namespaces.delete('blue');
    rig.kernel.addNamespace('blue');
    await rig.poll();
    expect([rig.state('vnic0'), rig.state('vnic1')]).toEqual(['up', 'up']);
    expect([...rig.kernel.linksIn('blue').keys()]).toEqual(['vnic0', 'vnic1']);
  });

  it('that is not there when overlayd comes up is waited for', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { netns: 'blue' });
    rig.kernel.namespaces.delete('blue');
    await rig.restart();
    expect(rig.state('vnic0')).toBe('waiting for namespace blue');
    rig.kernel.addNamespace('blue');
    await rig.poll();
    expect(rig.state('vnic0')).toBe('up');
  });

  it('is looked after only while there is one, and costs no link to be looked at while nothing happens', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    expect(rig.clock.timers).toBe(0);
    await rig.create('vnic1', { netns: 'blue' });
    expect(rig.clock.timers).toBe(1);
    let looks = 0;
    const { link } = rig.kernel;
    rig.kernel.link = (name, netns) => {
      looks++;
      return link(name, netns);
    };
    await rig.clock.advance(10 * NAMESPACE_POLL_MS);
    expect(looks).toBe(0);
    await rig.vnics.delete('vnic1', false);
    expect(rig.clock.timers).toBe(0);
    await rig.create('vnic1', { netns: 'blue' });
    rig.vnics.forget('overlay0');
    expect(rig.clock.timers).toBe(0);
  });

  it('takes no more than its share of the time where looking is slow, and a failure is noted once and not the end', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { netns: 'blue' });
    let late = 0;
    let looks = 0;
    const now = rig.clock.now.bind(rig.clock);
    rig.clock.now = () => now() + late;
    rig.kernel.namespaceId = () => {
      looks++;
      late += NAMESPACE_POLL_MS;
      throw new Error('no buffers');
    };
    await rig.poll();
    expect(looks).toBe(1);
    late = 0;
    await rig.clock.advance(NAMESPACE_POLL_MS / MAX_NAMESPACE_POLL_SHARE - 1);
    expect(looks).toBe(1);
    await rig.clock.advance(1);
    expect(looks).toBe(2);
    expect(rig.log.filter((line) => line.startsWith('vnics cannot be looked at')).length).toBe(1);
  });
});
