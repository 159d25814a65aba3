// The two records of an overlay: changed together or not at all, and what is saved is never lost to something new.
import { beforeEach, describe, expect, it } from 'vitest';
import type { OverlayRecord } from '../../../src/core/overlay/record.ts';
import { type Loaded, type Place, type RecordFiles, Records } from '../../../src/core/overlay/records.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

class Files implements RecordFiles {
  readonly kept: Readonly<Record<Place, Map<string, OverlayRecord>>> = { up: new Map(), saved: new Map() };
  unreadable: readonly { readonly name: string; readonly problem: string }[] = [];
  /** Places whose files can neither be written nor removed. */
  readonly failing = new Set<Place>();
  readonly log: string[] = [];

  async load(place: Place): Promise<Loaded> {
    return { records: [...this.kept[place].values()], unreadable: place === 'saved' ? this.unreadable : [] };
  }
  async write(place: Place, record: OverlayRecord): Promise<void> {
    this.#refuse(place);
    this.log.push(`write ${place} ${record.name} ${record.id}`);
    this.kept[place].set(record.name, record);
  }
  async remove(place: Place, name: string): Promise<void> {
    this.#refuse(place);
    this.log.push(`remove ${place} ${name}`);
    this.kept[place].delete(name);
  }
  #refuse(place: Place): void {
    if (this.failing.has(place)) throw new Error('ENOSPC: no space left on device');
  }
}

let files: Files;
let records: Records;
const ids = (name = 'overlay0') => [
  files.kept.up.get(name)?.id,
  files.kept.saved.get(name)?.id,
  records.get('up', name)?.id,
  records.get('saved', name)?.id,
];
const withId = (id: number) => (record: OverlayRecord) => ({ ...record, id });
const notSaved = expect.objectContaining({ code: 'STATE_NOT_SAVED', advice: expect.stringMatching(/./) });

beforeEach(() => {
  files = new Files();
  records = new Records(files);
});

describe('records', () => {
  it('are added to both places, saved first, or only to the one that lasts until a reboot', async () => {
    await records.add(overlayRecord('overlay0'), false);
    await records.add(overlayRecord('overlay1'), true);
    expect(files.log).toEqual(['write saved overlay0 1', 'write up overlay0 1', 'write up overlay1 1']);
    expect([records.isSaved('overlay0'), records.isSaved('overlay1'), records.names('up')]).toEqual([true, false, ['overlay0', 'overlay1']]);
  });

  it.each(['up', 'saved'] as const)('are in no place when %s cannot be written', async (place) => {
    files.failing.add(place);
    await expect(records.add(overlayRecord('overlay0'), false)).rejects.toEqual(notSaved);
    expect(ids()).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('take the place of nothing that is saved, readable or not', async () => {
    await records.add(overlayRecord('overlay0'), false);
    await records.remove('overlay0', ['up']);
    files.unreadable = [{ name: 'overlay1', problem: 'was written by a newer overlayadm (version 2)' }];
    await records.load();
    for (const temporary of [true, false]) {
      await expect(records.add(overlayRecord('overlay0', { id: 2 }), temporary)).rejects.toMatchObject({ code: 'OVERLAY_EXISTS' });
      await expect(records.add(overlayRecord('overlay1'), temporary)).rejects.toMatchObject({
        code: 'STATE_KEPT',
        message: expect.stringContaining('newer'),
      });
    }
    expect(ids()).toEqual([undefined, 1, undefined, 1]);
    await records.remove('overlay1', ['saved', 'up']);
    files.unreadable = [];
    await records.add(overlayRecord('overlay1'), false);
  });

  it('are changed where they are, and what was asked for is done when they are written', async () => {
    await records.add(overlayRecord('overlay0'), false);
    files.log.length = 0;
    await records.change('overlay0', false, withId(2), () => void files.log.push('act'));
    expect(files.log).toEqual(['write saved overlay0 2', 'write up overlay0 2', 'act']);
    await records.change('overlay0', true, withId(3));
    expect(ids()).toEqual([3, 2, 3, 2]);
  });

  it.each(['up', 'saved'] as const)('are as before when %s cannot be written, and nothing is done', async (place) => {
    await records.add(overlayRecord('overlay0'), false);
    files.failing.add(place);
    let acted = false;
    const act = () => {
      acted = true;
    };
    await expect(records.change('overlay0', false, withId(2), act)).rejects.toEqual(notSaved);
    expect([ids(), acted]).toEqual([[1, 1, 1, 1], false]);
  });

  it('are as before when what was asked for cannot be done', async () => {
    await records.add(overlayRecord('overlay0'), false);
    const act = async () => {
      expect(ids()).toEqual([2, 2, 2, 2]);
      throw new Error('the kernel says no');
    };
    await expect(records.change('overlay0', false, withId(2), act)).rejects.toThrow('the kernel says no');
    expect(ids()).toEqual([1, 1, 1, 1]);
  });

  it('are changed one after the other, each from what the one before has left', async () => {
    await records.add(overlayRecord('overlay0'), false);
    const more = (record: OverlayRecord) => ({ ...record, id: record.id + 1 });
    await Promise.all(Array.from({ length: 10 }, () => records.change('overlay0', false, more)));
    expect(ids()).toEqual([11, 11, 11, 11]);
  });

  it('of before are read again, those that can be by now', async () => {
    files.kept.saved.set('overlay0', overlayRecord('overlay0'));
    files.unreadable = [{ name: 'overlay1', problem: 'is empty' }];
    await records.load();
    expect([records.get('saved', 'overlay0')?.id, records.unreadable('saved').get('overlay1')]).toEqual([1, 'is empty']);
    files.unreadable = [];
    files.kept.saved.set('overlay1', overlayRecord('overlay1'));
    await records.load();
    expect([records.names('saved'), records.unreadable('saved').size]).toEqual([['overlay0', 'overlay1'], 0]);
  });
});
