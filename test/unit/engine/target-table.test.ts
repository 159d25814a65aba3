// The hash table of targets against a Map, and its bounds.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { STATE, TargetTable } from '../../../src/core/engine/target-table.ts';

const halves = (key: number): [number, number] => [Math.floor(key / 0x1_0000_0000), key | 0];

function insert(table: TargetTable, key: number): number {
  const entry = table.insert(...halves(key));
  if (entry >= 0) table.state[entry] = STATE.forward;
  return entry;
}

describe('TargetTable', () => {
  it('finds what a Map finds, whatever is inserted and removed', () => {
    const key = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 2 ** 48 - 1 }));
    const step = fc.record({ remove: fc.boolean(), key });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = new TargetTable(10_000);
        const model = new Map<number, number>();
        for (const { remove, key } of steps) {
          const found = table.find(...halves(key));
          expect(found).toBe(model.get(key) ?? -1);
          if (remove && found >= 0) {
            table.remove(found);
            model.delete(key);
          } else if (!remove && found < 0) model.set(key, insert(table, key));
        }
        expect(table.size).toBe(model.size);
        for (const [key, entry] of model) {
          expect(table.find(...halves(key))).toBe(entry);
          expect(table.key(entry)).toBe(key);
        }
      }),
    );
  });

  it('cannot be made slow by guests who choose their targets, because they do not know its seed', () => {
    const count = 8192;
    /** Looks at entries while every key is searched for once. */
    const looksFor = (keys: readonly number[]): number => {
      const table = new TargetTable(count, 0x2545_f491);
      for (const key of keys) if (table.find(...halves(key)) < 0) insert(table, key);
      let looks = 0;
      const { low } = table;
      table.low = new Proxy(low, {
        get: (target, index) => {
          looks++;
          return target[Number(index)];
        },
      });
      for (const key of keys) table.find(...halves(key));
      return looks / keys.length;
    };
    const attacks = [
      // What one hash without a seed maps to one place: the low half undoes what the high half does.
      (i: number) => i * 0x1_0000_0000 + (Math.imul(i, 0x9e3779b1) >>> 0),
      (i: number) => i * 0x1_0000_0000 + i,
      (i: number) => (i & 63) * 0x400_0000_0000 + (i >> 6) * 0x200_0000,
      (i: number) => i * 0x8_0000,
      (i: number) => i,
    ];
    for (const attack of attacks) expect(looksFor(Array.from({ length: count }, (_, i) => attack(i)))).toBeLessThan(4);
  });

  it('keeps its columns when it grows', () => {
    const table = new TargetTable(5000);
    for (let key = 0; key < 5000; key++) {
      const entry = insert(table, key);
      table.udpPort[entry] = key;
    }
    for (let key = 0; key < 5000; key++) expect(table.udpPort[table.find(...halves(key))]).toBe(key);
  });

  it('holds no more than it may', () => {
    const table = new TargetTable(3);
    for (const key of [1, 2, 3]) expect(insert(table, key)).toBeGreaterThanOrEqual(0);
    expect(insert(table, 4)).toBe(-1);
    table.remove(table.find(...halves(2)));
    expect(insert(table, 4)).toBeGreaterThanOrEqual(0);
  });

  it('evicts what was not used since the last time round, never what a person has set', () => {
    const table = new TargetTable(64);
    const entries = Array.from({ length: 64 }, (_, key) => insert(table, key));
    for (const entry of entries.slice(0, 10)) table.setFixed(entry, true);
    const first = table.evictable();
    expect(entries.indexOf(first)).toBeGreaterThanOrEqual(10);
    table.remove(first);
    for (const entry of entries) if (entry !== first && entries.indexOf(entry) !== 40) table.touch(entry);
    expect(entries.indexOf(table.evictable())).toBe(40);
  });

  it('evicts nothing that waits for an answer', () => {
    const table = new TargetTable(8);
    for (let key = 0; key < 8; key++) table.state[insert(table, key)] = STATE.pending;
    expect(table.evictable()).toBe(-1);
  });
});
