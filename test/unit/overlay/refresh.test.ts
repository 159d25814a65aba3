// Another version of a lookup plugin: what becomes of the values that an overlay has.

import { describe, expect, it } from 'vitest';
import type { LookupDescription } from '../../../src/core/lookup/types.ts';
import { factsOf, type OverlayRecord } from '../../../src/core/overlay/record.ts';
import { refreshProperties, withDescription } from '../../../src/core/overlay/refresh.ts';
import type { PropertyDescription } from '../../../src/core/property/description.ts';
import { propertyTable } from '../../../src/core/property/table.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

const rest = { access: 'rw', required: false, summary: 'x', live: true, hasRefuse: false } as const;
const lookup = (...properties: readonly PropertyDescription[]): LookupDescription => ({ kind: 'lookup', name: 'files', properties });
const config: PropertyDescription = { ...rest, name: 'config', type: 'path', required: true };
const rate: PropertyDescription = { ...rest, name: 'rate', type: 'uint', default: 10, possible: { min: 1, max: 100 } };

/** Made with `before`, with these values given. */
function made(before: LookupDescription, values: Readonly<Record<string, string | number>>): OverlayRecord {
  const record = overlayRecord('overlay0', { search: 'files' });
  const properties = propertyTable(record.encap, before).entries.map((entry) => {
    const known = record.properties.find(({ fullName }) => fullName === entry.fullName);
    const value = values[entry.fullName];
    if (value !== undefined) return { ...entry, value, from: 'argument' as const };
    return known ?? { ...entry, value: entry.description.default, from: 'default' as const };
  });
  return { ...record, properties, setters: { 'files/config': { uid: 5, gid: 5, groups: [] } } };
}

const valueIn = ({ properties }: OverlayRecord, name: string) => properties.find(({ fullName }) => fullName === name)?.value;

describe('withDescription', () => {
  it('keeps values, adds what is new with its default, and lets go of what is no more', () => {
    const before = made(lookup(config, { ...rate, name: 'gone' }), { 'files/config': '/a', 'files/gone': 3, mtu: 1300 });
    const after = withDescription(before, lookup(config, rate));
    expect(['files/config', 'files/rate', 'files/gone', 'mtu'].map((name) => valueIn(after, name))).toEqual(['/a', 10, undefined, 1300]);
    expect(after.properties.map(({ fullName }) => fullName)).not.toContain('files/gone');
    expect(after.setters).toEqual(before.setters);
    expect(withDescription(before, lookup({ ...rate, name: 'other' })).setters).toEqual({});
  });

  it('takes the default where the value that was there is not possible any more', () => {
    const before = made(lookup(config, rate), { 'files/config': '/a', 'files/rate': 90 });
    expect(valueIn(withDescription(before, lookup(config, { ...rate, possible: { min: 1, max: 50 } })), 'files/rate')).toBe(10);
    expect(valueIn(withDescription(before, lookup(config, { ...rest, name: 'rate', type: 'boolean', default: true })), 'files/rate')).toBe(true);
  });
});

describe('refreshProperties', () => {
  function rig(description: LookupDescription | Error, id = 1) {
    let record = { ...made(lookup(config), { 'files/config': '/a' }), id };
    const learned: unknown[] = [];
    let asked = 0;
    let written = 0;
    const overlay = { facts: factsOf({ ...record, id: 1 }), learn: (facts: unknown) => void learned.push(facts) };
    const parts = {
      hosts: {
        describeLookup: async () => {
          asked++;
          if (description instanceof Error) throw description;
          return description;
        },
      },
      records: {
        get: () => record,
        change: async (_name: string, _temporary: boolean, change: (record: OverlayRecord, place: 'up') => OverlayRecord) => {
          written++;
          record = { ...change(record, 'up'), id };
        },
      },
      log: silentLog,
    };
    const run = (count = 1) =>
      refreshProperties(
        parts as never,
        Array.from({ length: count }, () => overlay as never),
      );
    return { run, learned, state: () => ({ asked, written, properties: record.properties.map(({ fullName }) => fullName) }) };
  }

  it('writes and tells what is new, and asks each plugin once', async () => {
    const { run, learned, state } = rig(lookup(config, rate));
    await run(3);
    expect(state()).toMatchObject({ asked: 1, written: 1, properties: expect.arrayContaining(['files/rate']) });
    expect(learned.length).toBe(1);
  });

  it('writes nothing when nothing is new, and when the plugin cannot be asked', async () => {
    const same = rig(lookup(config));
    await same.run(3);
    expect(same.state()).toMatchObject({ asked: 1, written: 0 });
    const failing = rig(new Error('it hangs'));
    await failing.run(3);
    expect(failing.state()).toMatchObject({ asked: 1, written: 0 });
  });

  it('leaves another overlay alone that has the name by now', async () => {
    const { run, learned, state } = rig(lookup(config, rate), 2);
    await run();
    expect(state().properties).not.toContain('files/rate');
    expect(learned).toEqual([]);
  });
});
