// The two records of an overlay change together or not at all, one change after the other, whatever the disk does.
import { describe, expect, it } from 'vitest';
import type { OverlayRecord } from '../../../src/core/overlay/record.ts';
import { type Place, Records } from '../../../src/core/overlay/records.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

function rig() {
  const disk: Record<Place, Map<string, OverlayRecord | string>> = { up: new Map(), saved: new Map() };
  const failing = new Set<string>();
  const refuse = (what: string): void => {
    if (failing.has(what)) throw new Error('EIO: input/output error');
  };
  const records = new Records({
    load: async (place) => {
      const all = [...disk[place]];
      return {
        records: all.flatMap(([, record]) => (typeof record === 'string' ? [] : [record])),
        unreadable: all.flatMap(([name, problem]) => (typeof problem === 'string' ? [{ name, problem }] : [])),
      };
    },
    write: async (place, record) => {
      refuse(`write ${place}`);
      disk[place].set(record.name, record);
    },
    remove: async (place, name) => {
      refuse(`remove ${place}`);
      disk[place].delete(name);
    },
  });
  const all = () =>
    (['up', 'saved'] as const).map((place) => [...disk[place].values()].map((record) => (typeof record === 'string' ? record : record.vnetid)));
  return { disk, failing, records, all };
}
const record = (vnetid = 1, name = 'overlay0') => overlayRecord(name, { vnetid });
const notSaved = { code: 'STATE_NOT_SAVED', advice: expect.stringMatching(/./) };

describe('add', () => {
  it('writes both records, or one for what is temporary', async () => {
    const { records, all } = rig();
    await records.add(record(1), false);
    await records.add(record(2, 'overlay1'), true);
    expect(all()).toEqual([[1, 2], [1]]);
    expect([records.isSaved('overlay0'), records.isSaved('overlay1'), records.names('up')]).toEqual([true, false, ['overlay0', 'overlay1']]);
  });

  it.each(['write saved', 'write up'])('leaves nothing when it cannot %s', async (what) => {
    const { failing, records, all } = rig();
    failing.add(what);
    await expect(records.add(record(), false)).rejects.toMatchObject(notSaved);
    expect([all(), records.get('up', 'overlay0'), records.get('saved', 'overlay0')]).toEqual([[[], []], undefined, undefined]);
  });

  it('refuses a name that is recorded, and what cannot be read it keeps', async () => {
    const { disk, records } = rig();
    disk.saved.set('overlay0', 'is empty').set('overlay1', record(1, 'overlay1'));
    await records.load();
    await expect(records.add(record(), false)).rejects.toMatchObject({ code: 'STATE_KEPT', message: expect.stringContaining('is empty') });
    await expect(records.add(record(2, 'overlay1'), true)).rejects.toMatchObject({ code: 'OVERLAY_EXISTS' });
    expect(disk.saved.get('overlay0')).toBe('is empty');
  });
});

describe('change', () => {
  const to = (vnetid: number) => (old: OverlayRecord) => ({ ...old, vnetid });

  it('changes both, or what holds now; each knows its place', async () => {
    const { records, all } = rig();
    await records.add(record(), false);
    await records.change('overlay0', false, to(2));
    await records.change('overlay0', true, to(3));
    expect(all()).toEqual([[3], [2]]);
    await records.change('overlay0', false, (old, place) => ({ ...old, vnetid: place === 'up' ? 5 : 6 }));
    expect(all()).toEqual([[5], [6]]);
  });

  it.each([
    ['the disk', 'write up', () => undefined],
    [
      'what was to be done',
      '',
      () => {
        throw new Error('the kernel says no');
      },
    ],
  ])('that %s refuses is taken back in both', async (_what, failure, act) => {
    const { failing, records, all } = rig();
    await records.add(record(), false);
    failing.add(failure);
    await expect(records.change('overlay0', false, to(2), act)).rejects.toThrow();
    failing.clear();
    expect([all(), records.get('up', 'overlay0')?.vnetid, records.get('saved', 'overlay0')?.vnetid]).toEqual([[[1], [1]], 1, 1]);
  });

  it('builds on the change before it, however they come', async () => {
    const { records, all } = rig();
    await records.add(record(0), false);
    const more = (old: OverlayRecord) => ({ ...old, vnetid: old.vnetid + 1 });
    await Promise.all(Array.from({ length: 20 }, (_, i) => records.change('overlay0', i % 2 === 0, more)));
    expect(all()).toEqual([[20], [10]]);
  });
});

describe('remove', () => {
  it('removes what it is told to, and fine when there is none', async () => {
    const { records, all } = rig();
    await records.add(record(), false);
    await records.remove('overlay0', ['up']);
    expect(all()).toEqual([[], [1]]);
    await records.remove('overlay0', ['saved', 'up']);
    await records.remove('overlay0', ['saved', 'up']);
    expect(all()).toEqual([[], []]);
  });

  it.each(['remove saved', 'remove up'])('leaves everything as it was when it cannot %s', async (what) => {
    const { failing, records, all } = rig();
    await records.add(record(), false);
    failing.add(what);
    await expect(records.remove('overlay0', ['saved', 'up'])).rejects.toMatchObject(notSaved);
    expect([all(), records.isSaved('overlay0')]).toEqual([[[1], [1]], true]);
  });

  it('is refused after the changes before it were made, by who looks at what they have left', async () => {
    const { records, all } = rig();
    await records.add(record(), false);
    const changed = records.change('overlay0', false, (old) => ({ ...old, vnetid: 9 }));
    const seen: (number | undefined)[] = [];
    const removed = records.remove('overlay0', ['saved', 'up'], () => {
      seen.push(records.get('up', 'overlay0')?.vnetid);
      throw new Error('busy');
    });
    await expect(removed).rejects.toThrow('busy');
    await changed;
    expect([seen, all()]).toEqual([[9], [[9], [9]]]);
  });
});

describe('load', () => {
  it('reads what could not be read before, and keeps what it has', async () => {
    const { disk, records } = rig();
    disk.up.set('overlay0', 'is empty').set('overlay1', record(1, 'overlay1'));
    await records.load();
    expect([[...records.unreadable('up')], records.names('up')]).toEqual([[['overlay0', 'is empty']], ['overlay1']]);
    disk.up.set('overlay0', record(5)).set('overlay1', record(7, 'overlay1'));
    await records.load();
    expect([records.unreadable('up').size, records.get('up', 'overlay0')?.vnetid, records.get('up', 'overlay1')?.vnetid]).toEqual([0, 5, 1]);
  });
});
