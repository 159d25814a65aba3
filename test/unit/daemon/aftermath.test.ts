// After a restart: what no record knows goes, what a record knows stays, and what is not ours is never touched.
import { describe, expect, it } from 'vitest';
import { discardOverlay, sweepLeftovers } from '../../../src/core/daemon/aftermath.ts';
import type { LinkInfo } from '../../../src/core/linux/types.ts';
import { type Loaded, Records } from '../../../src/core/overlay/records.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { overlayRecord, vnicRecord } from '../../helpers/overlay-record.ts';

const link = (name: string, more: Partial<LinkInfo> = {}): LinkInfo => ({
  name,
  index: 7,
  mac: undefined,
  mtu: 1400,
  up: true,
  carrier: true,
  noarp: true,
  loopback: false,
  kind: 'tun',
  alias: undefined,
  mark: undefined,
  ours: true,
  lowerIndex: undefined,
  lowerNetnsId: undefined,
  ...more,
});

async function rig({
  held = [] as readonly string[],
  links = [] as readonly LinkInfo[],
  elsewhere = [] as readonly LinkInfo[],
  failing = '',
  isIncomplete = false,
  isReadable = false,
} = {}) {
  const none: Loaded = { records: [], unreadable: [] };
  const newer = { name: 'overlay1', problem: 'was written by a newer overlayadm (version 2)' };
  const up: Loaded = { records: [overlayRecord('overlay0', { vnics: [vnicRecord('vnic0')] })], unreadable: isReadable ? [] : [newer] };
  const saved: Loaded = { records: [overlayRecord('overlay2')], unreadable: [] };
  const records = new Records({
    load: async (place) => (place === 'up' ? up : saved) ?? none,
    write: async () => undefined,
    remove: async () => undefined,
  });
  await records.load();
  const discarded: string[] = [];
  const deleted: string[] = [];
  const warned: string[] = [];
  const kernel = {
    links: () => links,
    deleteOverlayLink: (name: string): void => {
      if (name === failing) throw new Error('EBUSY');
      deleted.push(name);
    },
    deleteVnic: (name: string, netns?: string): void => void deleted.push(netns === undefined ? name : `${name} in ${netns}`),
    vnicsElsewhere: () => elsewhere.map((link) => ({ ...link, netns: 'blue' })),
  };
  const store = { names: () => held, discard: (name: string) => void discarded.push(name) };
  const log = { ...silentLog, warn: (_fields: object, text: string) => void warned.push(text) };
  return { parts: { kernel, store, records, log, isIncomplete }, discarded, deleted, warned };
}

describe('what is left after everything was restored', () => {
  const held = ['tap.overlay0', 'tap.overlay1', 'tap.overlay2', 'tap.overlay9', 'mux.c0000201.4789', 'something'];

  it('is let go of when no record of what is up knows it', async () => {
    const { parts, discarded } = await rig({ held, isReadable: true });
    sweepLeftovers(parts);
    expect(discarded).toEqual(['tap.overlay1', 'tap.overlay2', 'tap.overlay9', 'mux.c0000201.4789', 'something']);
  });

  it.each([
    ['cannot be restored yet', { isIncomplete: true, isReadable: true }, ['tap.overlay1', 'tap.overlay2', 'tap.overlay9']],
    ['has a record that cannot be read yet', {}, ['tap.overlay2', 'tap.overlay9']],
  ])('keeps sockets while an overlay that may need them %s', async (_what, options, gone) => {
    const { parts, discarded } = await rig({ held, ...options });
    sweepLeftovers(parts);
    expect(discarded).toEqual(gone);
  });

  it('deletes links of ours that no record knows, and says so; no others', async () => {
    const links = [
      link('overlay0'),
      link('overlay1'),
      link('overlay9'),
      link('vnic0', { kind: 'macvlan' }),
      link('renamed', { kind: 'macvlan', mark: { stateId: 'x', name: 'vnic0' } }),
      link('vnic7', { kind: 'macvlan', ours: false }),
      link('theirs', { ours: false }),
      link('eth0', { ours: false, kind: undefined }),
    ];
    const { parts, deleted, warned } = await rig({ links });
    sweepLeftovers(parts);
    expect([deleted, warned]).toEqual([['overlay9'], ['a link that no record knows is deleted']]);
  });

  it('deletes a VNIC of ours that no record knows, unless there is one that cannot be read', async () => {
    const links = [link('overlay0'), link('vnic0', { kind: 'macvlan' }), link('vnic1', { kind: 'macvlan' })];
    for (const isReadable of [true, false]) {
      const { parts, deleted } = await rig({ links, isReadable });
      sweepLeftovers(parts);
      expect(deleted).toEqual(isReadable ? ['vnic1'] : []);
    }
  });

  it('deletes it in a namespace too', async () => {
    const elsewhere = [link('vnic0', { kind: 'macvlan' }), link('vnic1', { kind: 'macvlan' })];
    const { parts, deleted } = await rig({ elsewhere, isReadable: true });
    sweepLeftovers(parts);
    expect(deleted).toEqual(['vnic1 in blue']);
  });

  it('goes on when a link cannot be deleted', async () => {
    const { parts, deleted, warned } = await rig({ links: [link('overlay8'), link('overlay9')], failing: 'overlay8' });
    sweepLeftovers(parts);
    expect(deleted).toEqual(['overlay9']);
    expect(warned).toContain('it cannot be deleted');
  });
});

describe('discardOverlay', () => {
  it('lets go of the device, and deletes the link when there is one', async () => {
    const { parts, discarded, deleted } = await rig({ failing: 'overlay9' });
    discardOverlay(parts, 'overlay0');
    discardOverlay(parts, 'overlay9');
    expect([discarded, deleted]).toEqual([['tap.overlay0', 'tap.overlay9'], ['overlay0']]);
  });
});
