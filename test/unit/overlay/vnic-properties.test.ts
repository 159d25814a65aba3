// Link properties of VNICs: what is shown, what may be set for now or for good, and that a refusal changes nothing.
import { describe, expect, it } from 'vitest';
import { vnicRecord } from '../../helpers/overlay-record.ts';
import { VnicRig } from '../../helpers/vnic-rig.ts';

const MAC = '02:08:20:00:00:01';
const refused = (code: string) => expect.objectContaining({ code, advice: expect.stringMatching(/./) });
const texts = (values: Readonly<Record<string, string>>) => Object.entries(values).map(([name, text]) => ({ name, text }));

async function start(options: Parameters<VnicRig['create']>[1] = {}) {
  const rig = await VnicRig.start();
  rig.kernel.addNamespace('red');
  await rig.create('vnic0', { mac: MAC, ...options });
  const everything = () => [
    ...rig.files.vnics('up'),
    ...rig.files.vnics('saved'),
    rig.link('vnic0'),
    rig.link('vnic0', 'blue'),
    rig.link('vnic0', 'red'),
  ];
  return { rig, everything, set: (values: Readonly<Record<string, string>>, temporary = false) => rig.vnics.set('vnic0', texts(values), temporary) };
}

describe('the properties of a VNIC', () => {
  it('are shown as they are now and as a reboot brings them back', async () => {
    const { rig, set } = await start();
    await set({ mtu: '1300' });
    await set({ mtu: '1200', netns: 'blue' }, true);
    expect(rig.vnics.properties('vnic0')).toEqual([
      { property: 'mtu', access: 'rw', value: '1200', persistent: '1300', default: '1400', possible: '576-1400' },
      { property: 'netns', access: 'rw', value: 'blue', persistent: null, default: null, possible: null },
      { property: 'state', access: 'r-', value: 'up', persistent: null, default: 'up', possible: 'up,down' },
    ]);
    rig.kernel.namespaces.delete('blue');
    expect(rig.vnics.properties('vnic0').map(({ value }) => value)).toEqual(['1200', 'blue', 'waiting for namespace blue']);
    expect(() => rig.vnics.properties('vnic9')).toThrow(refused('VNIC_NOT_FOUND'));
  });

  it('are set on the link and in both records', async () => {
    const { rig, everything, set } = await start({ vid: 7 });
    expect(await set({ mtu: '1300' })).toEqual([]);
    const record = vnicRecord('vnic0', { mac: MAC, mtu: 1300, vid: 7 });
    expect(everything()).toEqual([record, record, expect.objectContaining({ mtu: 1300 }), undefined, undefined]);
    expect(await set({ netns: 'blue' })).toEqual([expect.stringContaining('its addresses and routes are gone')]);
    const moved = { ...record, netns: 'blue' };
    expect(everything()).toEqual([moved, moved, undefined, expect.objectContaining({ mtu: 1300, mac: MAC }), undefined]);
    expect(rig.kernel.vlanOf('vnic0', 'blue')).toBe(7);
    expect(rig.state('vnic0')).toBe('up');
  });

  it('that are set for now are not saved, and what else was changed for now does not get saved with the next', async () => {
    const { rig, set } = await start();
    await set({ mtu: '1300' }, true);
    await set({ netns: 'blue' });
    expect(rig.files.vnics('up')).toMatchObject([{ mtu: 1300, netns: 'blue' }]);
    expect(rig.files.vnics('saved')).toMatchObject([{ mtu: 1400, netns: 'blue' }]);
    expect(rig.link('vnic0', 'blue')).toMatchObject({ mtu: 1300 });
  });

  it('go back to the mtu of the overlay, and to the namespace of overlayd only when that is said', async () => {
    const { rig, set } = await start();
    await set({ mtu: '1300', netns: 'blue' });
    await rig.vnics.reset('vnic0', ['mtu'], false);
    expect(rig.files.vnics('saved')).toMatchObject([{ mtu: 1400, netns: 'blue' }]);
    await set({ mtu: '1300' });
    await rig.vnics.reset('vnic0', null, false);
    expect(rig.files.vnics('saved')).toMatchObject([{ mtu: 1400, netns: 'blue' }]);
    await rig.vnics.reset('vnic0', ['netns'], false);
    expect(rig.files.vnics('saved')).toMatchObject([{ mtu: 1400, netns: null }]);
    expect([rig.link('vnic0')?.mtu, rig.link('vnic0', 'blue')]).toEqual([1400, undefined]);
    await expect(rig.vnics.reset('vnic0', ['state'], false)).rejects.toEqual(refused('PROPERTY_READ_ONLY'));
    await expect(rig.vnics.reset('vnic0', ['zone'], false)).rejects.toEqual(refused('PROPERTY_UNKNOWN'));
  });

  it('can be set on one that waits: it is made where it is to be now, or goes on waiting', async () => {
    const { rig, set } = await start({ netns: 'blue' });
    rig.kernel.namespaces.delete('blue');
    expect(await set({ mtu: '1300' })).toEqual([]);
    expect(await set({ netns: 'red' })).toEqual([]);
    expect([rig.state('vnic0'), rig.link('vnic0', 'red')?.mtu]).toEqual(['up', 1300]);
  });

  it('undo what somebody did with "ip link"', async () => {
    const { rig, set } = await start();
    rig.alter('vnic0', { mtu: 1000 });
    await set({ mtu: '1400' });
    expect(rig.link('vnic0')?.mtu).toBe(1400);
  });

  it.each<[string, Readonly<Record<string, string>>, string]>([
    ['an mtu above that of the overlay, which is named', { mtu: '1401' }, 'MTU_RANGE'],
    ['an mtu that is too small', { mtu: '575' }, 'MTU_RANGE'],
    ['an mtu that is no number', { mtu: '1k' }, 'PROPERTY_INVALID'],
    ['a namespace that is not there', { netns: 'green' }, 'NETNS_NOT_FOUND'],
    ['a namespace where its name is taken', { netns: 'red' }, 'LINK_EXISTS'],
    ['a good one with a bad one', { netns: 'blue', mtu: '9000' }, 'MTU_RANGE'],
    ['one that nobody can set', { state: 'down' }, 'PROPERTY_READ_ONLY'],
    ['one that is not known', { zone: 'blue' }, 'PROPERTY_UNKNOWN'],
  ])('are refused: %s, and nothing changes', async (_what, values, code) => {
    const { rig, everything, set } = await start();
    rig.kernel.addVnic({ name: 'vnic0', overlay: 'overlay1', mac: rig.vnics.list()[0]?.mac ?? ('' as never), mtu: 1400, netns: 'red' });
    const before = everything();
    await expect(set(values)).rejects.toMatchObject({ code });
    expect(everything()).toEqual(before);
    if (code === 'MTU_RANGE') await expect(set(values)).rejects.toThrow('576-1400');
  });

  it('of a temporary VNIC are only for now', async () => {
    const { rig, everything, set } = await start({ temporary: true });
    const before = everything();
    await expect(set({ mtu: '1300' })).rejects.toEqual(refused('CHANGE_NOT_PERSISTENT'));
    expect(everything()).toEqual(before);
    await set({ mtu: '1300' }, true);
    expect([rig.link('vnic0')?.mtu, rig.files.vnics('saved')]).toEqual([1300, []]);
  });

  it.each<[string, (rig: VnicRig) => unknown, Readonly<Record<string, string>>]>([
    ['the disk', (rig) => Object.assign(rig.files, { isFull: true }), { mtu: '1300', netns: 'blue' }],
    ['the kernel, the mtu', (rig) => Object.assign(rig.kernel, { failing: 'setMtu' }), { mtu: '1300' }],
    ['the kernel, the old link', (rig) => Object.assign(rig.kernel, { failing: 'deleteVnic' }), { mtu: '1300', netns: 'blue' }],
  ])('that are refused by %s are all as before', async (_what, happens, values) => {
    const { rig, everything, set } = await start();
    const before = everything();
    happens(rig);
    await expect(set(values)).rejects.toThrow();
    expect(everything()).toEqual(before);
    expect(rig.state('vnic0')).toBe('up');
  });

  it('that fail when the old link has gone bring it back where it was', async () => {
    const { rig, set } = await start({ vid: 7 });
    const addVnic = rig.kernel.addVnic.bind(rig.kernel);
    rig.kernel.addVnic = (spec) => {
      if (spec.netns === 'blue') throw new Error('no memory');
      return addVnic(spec);
    };
    const before = [...rig.files.vnics('up'), ...rig.files.vnics('saved')];
    await expect(set({ netns: 'blue', mtu: '1300' })).rejects.toThrow('no memory');
    expect([...rig.files.vnics('up'), ...rig.files.vnics('saved')]).toEqual(before);
    expect([rig.link('vnic0')?.mtu, rig.kernel.vlanOf('vnic0'), rig.state('vnic0'), rig.link('vnic0', 'blue')]).toEqual([1400, 7, 'up', undefined]);
  });
});

describe('the statistics of a VNIC', () => {
  it('are those of its link, where there is one', async () => {
    const { rig } = await start({ netns: 'blue' });
    const asked: unknown[] = [];
    const { statistics } = rig.kernel;
    rig.kernel.statistics = (...where: readonly unknown[]) => {
      asked.push(where);
      return { ...statistics(), rxFrames: 7n };
    };
    expect(rig.vnics.statistics('vnic0').rxFrames).toBe(7n);
    expect(asked).toEqual([[rig.link('vnic0', 'blue')?.index, 'blue']]);
    rig.kernel.namespaces.delete('blue');
    expect(() => rig.vnics.statistics('vnic0')).toThrow(
      expect.objectContaining({ code: 'VNIC_ABSENT', message: expect.stringContaining('waiting for namespace') }),
    );
    expect(() => rig.vnics.statistics('vnic9')).toThrow(refused('VNIC_NOT_FOUND'));
  });
});

it('a property that is known and cannot be set is named before one that is not known', async () => {
  const { set } = await start();
  await expect(set({ nope: '1', state: 'up' })).rejects.toMatchObject({ code: 'PROPERTY_READ_ONLY', message: 'state: read-only property' });
  await expect(set({ nope: '1' })).rejects.toMatchObject({ code: 'PROPERTY_UNKNOWN', message: "invalid link property 'nope'" });
});
