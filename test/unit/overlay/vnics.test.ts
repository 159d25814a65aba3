// VNICs: which names, addresses and VLANs they may have, what is recorded of them, and what is known when others have had their hands on them.
import { describe, expect, it } from 'vitest';
import { ipOf, macOf } from '../../helpers/frames.ts';
import { VnicRig } from '../../helpers/vnic-rig.ts';

const refused = (code: string) => expect.objectContaining({ code, advice: expect.stringMatching(/./) });
const namesOf = (rig: VnicRig, overlay?: string): string[] => rig.vnics.list(overlay).map(({ name }) => name);
const recorded = (rig: VnicRig) => (['up', 'saved'] as const).map((place) => rig.files.vnics(place).map(({ name }) => name));

describe('a VNIC', () => {
  it('has the mtu of its overlay, the address that is asked for, and stands in the namespace that is named', async () => {
    const rig = await VnicRig.start();
    const made = await rig.create('vnic0', { mac: '2:8:20:0:0:1', netns: 'blue', vid: 7 });
    const facts = { name: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:00:01', mtu: 1400, netns: 'blue', vid: 7, state: 'up', persistent: true };
    expect(made).toEqual({ ...facts, index: expect.any(Number) });
    expect(rig.link('vnic0')).toBeUndefined();
    expect(rig.link('vnic0', 'blue')).toMatchObject({ mac: '02:08:20:00:00:01', mtu: 1400 });
    expect(rig.kernel.vlanOf('vnic0', 'blue')).toBe(7);
    expect(rig.vnics.list()).toEqual([made]);
    const record = { name: 'vnic0', mac: '02:08:20:00:00:01', mtu: 1400, netns: 'blue', vid: 7 };
    expect([rig.files.vnics('up'), rig.files.vnics('saved')]).toEqual([[record], [record]]);
  });

  it('that is temporary is not saved, and may stand on what is temporary', async () => {
    const rig = await VnicRig.start();
    expect(await rig.create('vnic0', { temporary: true })).toMatchObject({ persistent: false });
    expect(recorded(rig)).toEqual([['vnic0'], []]);
    expect(await rig.create('vnic1', { temporary: true, overlay: 'temp0' })).toMatchObject({ persistent: false });
    const why = expect.objectContaining({
      code: 'VNIC_OVER_TEMPORARY',
      message: expect.stringContaining("can't create persistent object on top of temporary object"),
    });
    await expect(rig.create('vnic2', { overlay: 'temp0' })).rejects.toEqual(why);
  });

  it('may be given an mtu, within that of its overlay', async () => {
    const rig = await VnicRig.start();
    const mtu = (text: string) => ({ properties: [{ name: 'mtu', text }] });
    expect(await rig.create('vnic0', mtu('576'))).toMatchObject({ mtu: 576 });
    await expect(rig.create('vnic1', mtu('1401'))).rejects.toEqual(refused('MTU_RANGE'));
    await expect(rig.create('vnic1', mtu('575'))).rejects.toEqual(refused('MTU_RANGE'));
    await expect(rig.create('vnic1', mtu('many'))).rejects.toEqual(refused('PROPERTY_INVALID'));
  });

  it('has an address drawn that is locally administered, of one receiver, and of nobody else on its overlay', async () => {
    const rig = await VnicRig.start();
    const taken = [0x02, 1, 2, 3, 4, 5];
    rig.draw(taken, [0xff, 1, 2, 3, 4, 5], taken, [0x02, 9, 9, 9, 9, 9]);
    expect((await rig.create('vnic0')).mac).toBe('02:01:02:03:04:05');
    expect((await rig.create('vnic1')).mac).toBe('fe:01:02:03:04:05');
    expect((await rig.create('vnic2')).mac).toBe('02:09:09:09:09:09');
  });

  it('may have the address of one on another overlay', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1' });
    expect((await rig.create('vnic1', { mac: '2:8:20:0:0:1', overlay: 'overlay1' })).mac).toBe('02:08:20:00:00:01');
  });

  it.each([
    ['a bad name', 'vnic', {}, 'LINK_NAME'],
    ['a name that a VNIC has, wherever it is', 'vnic0', {}, 'VNIC_EXISTS'],
    ['a name that a link has', 'overlay1', {}, 'LINK_EXISTS'],
    ['an address that is in use', 'vnic1', { mac: '02:08:20:00:00:01' }, 'MAC_IN_USE'],
    ['the address of a group', 'vnic1', { mac: '1:0:5e:0:0:1' }, 'MAC_INVALID'],
    ['no address', 'vnic1', { mac: '0:0:0:0:0:0' }, 'MAC_INVALID'],
    ['nonsense as address', 'vnic1', { mac: 'x'.repeat(1000) }, 'MAC_INVALID'],
    ['VLAN 0', 'vnic1', { vid: 0 }, 'VNIC_VID_RANGE'],
    ['VLAN 4095', 'vnic1', { vid: 4095 }, 'VNIC_VID_RANGE'],
    ['half a VLAN', 'vnic1', { vid: 1.5 }, 'VNIC_VID_RANGE'],
    ['a property that is given twice', 'vnic1', { properties: ['netns', 'netns'].map((name) => ({ name, text: 'blue' })) }, 'PROPERTY_REPEATED'],
    ['an unknown property', 'vnic1', { properties: [{ name: 'zone', text: 'blue' }] }, 'PROPERTY_UNKNOWN'],
    ['a property that nobody can set', 'vnic1', { properties: [{ name: 'state', text: 'up' }] }, 'PROPERTY_READ_ONLY'],
  ])('is refused with %s, and nothing is made or recorded', async (_what, name, options, code) => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1', netns: 'blue' });
    const before = [[...rig.kernel.known.keys()], recorded(rig)];
    await expect(rig.create(name, options)).rejects.toEqual(refused(code));
    expect([[...rig.kernel.known.keys()], recorded(rig)]).toEqual(before);
    expect(namesOf(rig)).toEqual(['vnic0']);
  });

  it('with a VLAN is refused where the encapsulation carries no tags, which is named', async () => {
    const rig = await VnicRig.start();
    rig.carriesVlanTag = false;
    const why = expect.objectContaining({ code: 'VNIC_VID_NOT_CARRIED', message: expect.stringContaining('vxlan') });
    await expect(rig.create('vnic0', { vid: 7 })).rejects.toEqual(why);
    await rig.create('vnic0');
  });

  it('that the kernel refuses is neither listed nor recorded, and can be tried again', async () => {
    const rig = await VnicRig.start();
    rig.kernel.failing = 'addVnic';
    await expect(rig.create('vnic0')).rejects.toThrow('the kernel says no');
    expect([rig.vnics.list(), recorded(rig)]).toEqual([[], [[], []]]);
    rig.kernel.failing = undefined;
    await rig.create('vnic0');
  });

  it('that cannot be recorded is not made', async () => {
    const rig = await VnicRig.start();
    rig.files.isFull = true;
    await expect(rig.create('vnic0')).rejects.toEqual(refused('STATE_NOT_SAVED'));
    expect([rig.link('vnic0'), rig.vnics.list(), recorded(rig)]).toEqual([undefined, [], [[], []]]);
  });

  it('takes the name of what a killed overlayd has left of a deleted one, and of nothing else', async () => {
    const rig = await VnicRig.start();
    const { index } = await rig.create('vnic0');
    await rig.records.change('overlay0', false, (record) => ({ ...record, vnics: [] }));
    rig.vnics.forget('overlay0');
    await expect(rig.create('vnic0', { overlay: 'overlay1' })).rejects.toEqual(refused('LINK_EXISTS'));
    rig.alter('vnic0', { mark: { stateId: 'sim', name: 'vnic7' } });
    await expect(rig.create('vnic0')).rejects.toEqual(refused('LINK_EXISTS'));
    rig.alter('vnic0', { mark: { stateId: 'sim', name: 'vnic0' } });
    const again = await rig.create('vnic0');
    expect([again.state, again.index === index]).toEqual(['up', false]);
  });

  it('is not made on an overlay that is being deleted, which in turn is not deleted when it has come first', async () => {
    const rig = await VnicRig.start();
    const refuse = (overlay: string) => () => {
      if (rig.vnics.list(overlay).length > 0) throw new Error('link busy');
    };
    const removing = rig.records.remove('overlay0', ['up', 'saved'], refuse('overlay0'));
    await expect(rig.create('vnic0')).rejects.toEqual(refused('OVERLAY_NOT_FOUND'));
    await removing;
    expect([rig.link('vnic0'), rig.vnics.list()]).toEqual([undefined, []]);
    const creating = rig.create('vnic0', { overlay: 'overlay1' });
    await Promise.resolve();
    await expect(rig.records.remove('overlay1', ['up', 'saved'], refuse('overlay1'))).rejects.toThrow('link busy');
    expect(await creating).toMatchObject({ state: 'up' });
  });

  it('is made once when two ask for its name at the same time', async () => {
    const rig = await VnicRig.start();
    const both = await Promise.allSettled([rig.create('vnic0'), rig.create('vnic0', { overlay: 'overlay1' })]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(namesOf(rig)).toEqual(['vnic0']);
  });
});

describe('what others do to a VNIC', () => {
  it.each([{ mac: macOf('2:8:20:0:0:2') }, { mtu: 1300 }])('is shown as it is now: %o', async (changed) => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1' });
    rig.alter('vnic0', changed);
    expect(rig.vnics.list()).toEqual([expect.objectContaining(changed)]);
  });

  it.each([
    ['set down', { up: false }, 'down'],
    ['without carrier', { carrier: false }, 'down'],
    ['another kind of link', { kind: 'veth' }, 'name in use by a foreign link'],
    ['without our mark', { ours: false }, 'name in use by a foreign link'],
    ['over something else', { lowerIndex: 99 }, 'name in use by a foreign link'],
  ])('is its state: %s', async (_what, changed, state) => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    rig.alter('vnic0', changed);
    expect(rig.state('vnic0')).toBe(state);
  });

  it('is said of a VNIC that lost the tags of its VLAN', async () => {
    const rig = await VnicRig.start();
    const { index } = await rig.create('vnic0', { vid: 7 });
    rig.kernel.vlans.delete(index ?? 0);
    expect(rig.state('vnic0')).toBe('without the tags of VLAN 7');
  });

  it('takes addresses: the one that it has now, and the one that a reboot gives back', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1' });
    rig.alter('vnic0', { mac: macOf('2:8:20:0:0:2') });
    for (const mac of ['2:8:20:0:0:1', '2:8:20:0:0:2']) await expect(rig.create('vnic1', { mac })).rejects.toEqual(refused('MAC_IN_USE'));
    await rig.create('vnic1', { mac: '2:8:20:0:0:3' });
  });

  it('does not take it out of the configuration: deleted, it is said to be, is not made again by itself, and its name is not free', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { netns: 'blue' });
    rig.kernel.deleteVnic('vnic0', 'blue');
    expect(rig.state('vnic0')).toBe('deleted by somebody');
    await rig.poll();
    expect([rig.state('vnic0'), rig.link('vnic0', 'blue')]).toEqual(['deleted by somebody', undefined]);
    await expect(rig.create('vnic0')).rejects.toEqual(refused('VNIC_EXISTS'));
    await rig.up('overlay0');
    expect(rig.state('vnic0')).toBe('up');
  });

  it('is not made up: one that cannot be looked at is an error, and is not forgotten', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    const { link } = rig.kernel;
    rig.kernel.link = () => {
      throw new Error('no buffers');
    };
    expect(() => rig.vnics.list()).toThrow(expect.objectContaining({ code: 'VNIC_UNREADABLE', message: expect.stringContaining('no buffers') }));
    rig.kernel.link = link;
    expect(namesOf(rig)).toEqual(['vnic0']);
  });
});

describe('the list of VNICs', () => {
  it('is in the order of their names, whole or of one overlay', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic10');
    await rig.create('vnic0', { overlay: 'overlay1' });
    await rig.create('vnic1', { netns: 'blue' });
    expect(namesOf(rig)).toEqual(['vnic0', 'vnic1', 'vnic10']);
    expect(namesOf(rig, 'overlay0')).toEqual(['vnic1', 'vnic10']);
    expect(namesOf(rig, 'overlay9')).toEqual([]);
  });

  it('has those of an overlay that is not there', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1' });
    rig.vnics.forget('overlay0');
    expect(rig.vnics.list()).toEqual([expect.objectContaining({ name: 'vnic0', state: 'waiting for its overlay', index: undefined })]);
    expect(rig.vnics.addresses('overlay0')).toEqual([]);
    await rig.vnics.delete('vnic0', false);
    expect([rig.vnics.list(), rig.link('vnic0')]).toEqual([[], undefined]);
  });

  it('gives plugins the address of each that is there with its IP addresses', async () => {
    const rig = await VnicRig.start();
    const { index, mac } = await rig.create('vnic0');
    await rig.create('vnic1', { overlay: 'overlay1' });
    await rig.create('vnic2', { netns: 'blue' });
    rig.kernel.namespaces.delete('blue');
    rig.kernel.ips.set(index ?? 0, [ipOf('10.0.0.1'), ipOf('fd00::1')]);
    expect(rig.vnics.addresses('overlay0')).toEqual([{ mac, ips: ['10.0.0.1', 'fd00::1'] }]);
    expect([rig.vnics.has('overlay0', mac), rig.vnics.has('overlay1', mac)]).toEqual([true, false]);
  });

  it('names who is larger than an mtu, there or not, and who is not there', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    await rig.create('vnic1', { properties: [{ name: 'mtu', text: '1000' }] });
    await rig.create('vnic2', { netns: 'blue' });
    await rig.create('vnic3');
    await rig.vnics.delete('vnic3', true);
    rig.kernel.namespaces.delete('blue');
    expect(rig.vnics.vnicsAbove('overlay0', 1000)).toEqual(['vnic0', 'vnic2', 'vnic3']);
    expect(rig.vnics.vnicsAbove('overlay0', 1400)).toEqual([]);
    expect(rig.vnics.absent('overlay0', true)).toEqual(['vnic2']);
    expect(rig.vnics.absent('overlay0', false)).toEqual(['vnic2', 'vnic3']);
  });
});

describe('deleting a VNIC', () => {
  it('takes the link and both records', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    await rig.vnics.delete('vnic0', false);
    expect([rig.link('vnic0'), rig.vnics.list(), recorded(rig)]).toEqual([undefined, [], [[], []]]);
    await expect(rig.vnics.delete('vnic0', false)).rejects.toEqual(refused('VNIC_NOT_FOUND'));
  });

  it('for the time being leaves what is saved: its name and address are taken, up-overlay brings it back, and it can be deleted for good', async () => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { mac: '2:8:20:0:0:1' });
    await rig.vnics.delete('vnic0', true);
    expect([rig.link('vnic0'), rig.vnics.list(), recorded(rig)]).toEqual([undefined, [], [[], ['vnic0']]]);
    await expect(rig.create('vnic0')).rejects.toEqual(refused('VNIC_EXISTS'));
    await expect(rig.create('vnic1', { mac: '2:8:20:0:0:1' })).rejects.toEqual(refused('MAC_IN_USE'));
    await expect(rig.vnics.delete('vnic0', true)).rejects.toEqual(refused('VNIC_NOT_FOUND'));
    await rig.up('overlay0');
    expect(rig.vnics.list()).toMatchObject([{ name: 'vnic0', mac: '02:08:20:00:00:01', state: 'up', persistent: true }]);
    await rig.vnics.delete('vnic0', true);
    await rig.vnics.delete('vnic0', false);
    expect(recorded(rig)).toEqual([[], []]);
  });

  it.each([
    ['the kernel', (rig: VnicRig) => Object.assign(rig.kernel, { failing: 'deleteVnic' })],
    ['the disk', (rig: VnicRig) => Object.assign(rig.files, { isFull: true })],
  ])('that is refused by %s changes nothing', async (_what, happens) => {
    const rig = await VnicRig.start();
    await rig.create('vnic0');
    happens(rig);
    await expect(rig.vnics.delete('vnic0', false)).rejects.toThrow();
    expect([recorded(rig), rig.state('vnic0'), rig.link('vnic0')?.name]).toEqual([[['vnic0'], ['vnic0']], 'up', 'vnic0']);
  });

  it.each([
    ['is waiting for its namespace', (rig: VnicRig) => void rig.kernel.namespaces.delete('blue')],
    ['somebody deleted', (rig: VnicRig) => rig.kernel.deleteVnic('vnic0', 'blue')],
    ['lost its name to another link, which stays', (rig: VnicRig) => rig.alter('vnic0', { ours: false }, 'blue')],
  ])('works for one that %s', async (_what, happens) => {
    const rig = await VnicRig.start();
    await rig.create('vnic0', { netns: 'blue' });
    happens(rig);
    const left = rig.kernel.namespaces.get('blue')?.links.get('vnic0');
    await rig.vnics.delete('vnic0', false);
    expect([rig.vnics.list(), recorded(rig)]).toEqual([[], [[], []]]);
    expect(rig.kernel.namespaces.get('blue')?.links.get('vnic0')).toEqual(left);
  });
});
