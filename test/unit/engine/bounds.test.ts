// What guests can make the engine keep is bounded, in bytes too.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type * as Limits from '../../../src/core/util/limits.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { EngineRig, to } from '../../helpers/engine-rig.ts';
import { arpRequest, frame, mac, macOf } from '../../helpers/frames.ts';

// Small bounds, so that a test reaches them; the engine works with whatever stands in limits.ts.
vi.mock('../../../src/core/util/limits.ts', async (original) => ({
  ...(await original<typeof Limits>()),
  MAX_TARGETS_PER_OVERLAY: 8,
  MAX_LOOKUPS_PER_OVERLAY: 4,
  MAX_REFUSALS_PER_OVERLAY: 3,
  MAX_QUEUED_BYTES_PER_OVERLAY: 10_000,
  MAX_QUESTIONS_PER_OVERLAY: 6,
  MAX_QUESTIONS_PER_SOURCE: 3,
  MAX_GROUP_FRAMES: 2,
}));

const key = (number: number): number => macToKey(mac(number));
const group = (last: number) => macOf(`01:00:5e:00:00:${last.toString(16).padStart(2, '0')}`);
const padded = (bytes: Uint8Array, length: number): Uint8Array => {
  const longer = new Uint8Array(length);
  longer.set(bytes);
  return longer;
};

describe('entries', () => {
  it('that were not used lately make room, what a person has set never does', () => {
    const rig = new EngineRig();
    rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(1), to: to(1), fixed: true });
    for (let n = 2; n <= 20; n++) rig.send({ op: 'cacheSet', port: 1, mac: key(n), to: to(2), fixed: false });
    const rows = rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 100 }) as readonly { mac: number }[];
    expect(rows.length).toBeLessThanOrEqual(9);
    expect(rows.map((row) => row.mac)).toContain(key(1));
    expect(rows.map((row) => row.mac)).toContain(key(20));
    expect(rig.counters(1)['target.evicted']).toBe(20 - rows.length);
  });

  it('that are full of what a person has set leave no room: frames are dropped and counted, nothing breaks', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (let n = 1; n <= 30; n++) rig.send({ op: 'cacheSet', port: 1, mac: key(n), to: 'drop', fixed: true });
    tap.out.push(frame(mac(99), mac(1)));
    rig.turn();
    expect(rig.asked()).toEqual([]);
    // 8 + 4 + 3 entries, then 15 refused ones and a frame.
    expect(rig.counters(1)['target.table-full']).toBe(16);
    expect(rig.call({ op: 'cacheRemove', port: 1, mac: key(1) })).toBe(true);
    tap.out.push(frame(mac(99), mac(1)));
    rig.turn();
    expect(rig.asked().length).toBe(1);
  });
});

describe('a page', () => {
  it('has the lowest MACs above its mark, in order, whatever the order in which they came', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 60 }), { maxLength: 8 }), fc.integer({ min: 1, max: 5 }), (numbers, count) => {
        const rig = new EngineRig();
        rig.open(1);
        for (const n of numbers) rig.send({ op: 'cacheSet', port: 1, mac: key(n), to: n % 2 === 0 ? to(2) : 'drop', fixed: true });
        const listed: number[] = [];
        for (let after = -1; ; ) {
          const rows = rig.call({ op: 'cacheIterate', port: 1, after, count }) as readonly { mac: number }[];
          expect(rows.length).toBeLessThanOrEqual(count);
          listed.push(...rows.map((row) => row.mac));
          if (rows.length < count) break;
          after = listed.at(-1) ?? 0;
        }
        expect(listed).toEqual(numbers.map(key).toSorted((a, b) => a - b));
      }),
      { numRuns: 50 },
    );
  });
});

describe('lookups', () => {
  it('in flight are bounded, and each answer makes room for the next', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (let n = 1; n <= 6; n++) tap.out.push(frame(mac(n), mac(99)));
    rig.turn();
    const asked = rig.asked();
    expect(asked.length).toBe(4);
    expect(rig.counters(1)['target.lookups-full']).toBe(2);
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'drop' });
    tap.out.push(frame(mac(6), mac(99)));
    rig.turn();
    expect(rig.asked().length).toBe(1);
  });

  it('that were refused are remembered up to a bound; one more is only asked for again, and no count leaks', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (let round = 0; round < 5; round++) {
      for (let n = 1; n <= 4; n++) {
        tap.out.push(frame(mac(100 * round + n), mac(99)));
        rig.turn();
        for (const { id } of rig.asked()) rig.answer({ id, kind: 'drop' });
      }
      rig.now += 2000;
      rig.turn();
    }
    const counted = rig.counters(1);
    expect(counted['lookup.refused']).toBe(20);
    expect(counted['target.lookups-full']).toBe(0);
  });

  it('keep no more bytes waiting than an overlay may, all targets together', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (let n = 1; n <= 4; n++) tap.out.push(frame(mac(n), mac(99), 'x'.repeat(2986)));
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'lookup.queued': 3, 'target.overlay-full': 1 });
    for (const { id } of rig.asked()) rig.answer({ id, kind: 'found', to: to(2) });
    tap.out.push(frame(mac(4), mac(99), 'x'.repeat(2986)));
    rig.turn();
    expect(rig.counters(1)['lookup.queued']).toBe(4);
  });
});

describe('questions', () => {
  it('of one source, and of an overlay, are bounded', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (const source of [1, 2, 3]) for (let n = 1; n <= 5; n++) tap.out.push(arpRequest(mac(source), '10.0.0.1', `10.0.${source}.${n}`));
    rig.turn();
    expect(rig.asked().length).toBe(6);
    expect(rig.counters(1)['question.limit']).toBe(9);
  });

  it('are bounded in bytes: padding does not make the daemon keep more', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    const big = (n: number) => padded(arpRequest(mac(n), '10.0.0.1', `10.0.1.${n}`), 4000);
    for (const n of [1, 2, 3]) tap.out.push(big(n));
    rig.turn();
    const asked = rig.asked();
    expect(asked.length).toBe(2);
    expect(rig.counters(1)['question.limit']).toBe(1);
    for (const { id } of asked) rig.answer({ id, kind: 'done' });
    tap.out.push(big(3));
    rig.turn();
    expect(rig.asked().length).toBe(1);
  });

  it('of further askers count with their bytes, and give them back', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (const n of [1, 2, 3]) tap.out.push(padded(arpRequest(mac(n), '10.0.0.1', '10.0.0.9'), 4000));
    rig.turn();
    const asked = rig.asked();
    expect(asked.map(({ kind }) => kind)).toEqual([1, 2]);
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'drop' });
    tap.out.push(padded(arpRequest(mac(3), '10.0.0.1', '10.0.0.9'), 4000));
    rig.turn();
    expect(rig.asked().map(({ kind }) => kind)).toEqual([1]);
  });
});

describe('group frames that wait', () => {
  it('are bounded for one group address, and in bytes for the overlay', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { group: true });
    const big = (last: number) => frame(group(last), mac(last), 'x'.repeat(3986));
    tap.out.push(frame(group(1), mac(1)), frame(group(1), mac(1)), frame(group(1), mac(1)));
    tap.out.push(big(2), big(3), big(4));
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'target.queue-full': 1, 'target.overlay-full': 1 });
    const asked = rig.asked();
    expect(asked.length).toBe(3);
    for (const { id } of asked) rig.answer({ id, kind: 'found', to: to(2) });
    expect(rig.sent().length).toBe(4);
    tap.out.push(big(4));
    rig.turn();
    expect(rig.asked().length).toBe(1);
  });
});

describe('a target that a person has set to drop', () => {
  it('is not asked about by unicast ARP either', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: 'drop', fixed: true });
    const unicast = arpRequest(mac(1), '10.0.0.1', '10.0.0.9');
    unicast.set([2, 0, 0, 0, 0, 9]);
    tap.out.push(unicast);
    rig.turn();
    expect(rig.asked()).toEqual([]);
    expect(rig.counters(1)['target.drop']).toBe(1);
  });
});
