// A cache that is nearly full: the kernel is asked which rows it uses, and these make no room for others.
import { expect, it, vi } from 'vitest';
import type { PortSpec } from '../../../src/core/engine/messages.ts';
import { type TargetRecord, writeTargets } from '../../../src/core/engine/snapshot.ts';
import { MAX_TARGETS_PER_OVERLAY, USAGE_MS, USAGE_SHARE } from '../../../src/core/util/limits.ts';
import { EngineRig, loopback, PUNT_PORT, to } from '../../helpers/engine-rig.ts';

// An eighth of what it is: at the full size each of these takes three seconds.
vi.mock(import('../../../src/core/util/limits.ts'), async (original) => ({ ...(await original()), MAX_TARGETS_PER_OVERLAY: 32_768 as 262_144 }));

/** Entries that one search for something to evict looks at (target-table.ts). */
const EVICT_LOOKS = 4096;
const INDEX = 11;
const WHERE = '192.0.2.2 4789';
const LONG_AGO_MS = 3_600_000;
const key = (number: number): number => 0x02_00_00_00_00_00 + number;
const TRAITS = { vnetid: 101, mtu: 1400, header: new Uint8Array(8), carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };

/** An overlay whose link had `count` rows of ours before; `unusedMs` of each. */
function openWith(count: number, unusedMs: (number: number) => number): EngineRig {
  const rig = new EngineRig(1, undefined, 64 * 1024);
  const { fdb } = rig.io;
  const targets: TargetRecord[] = [];
  fdb.addLink(INDEX);
  fdb.byHand(INDEX, 0, `127.0.0.1 ${PUNT_PORT}`, true);
  for (let number = 1; number <= count; number++) {
    fdb.byHand(INDEX, key(number), WHERE, true);
    targets.push({ mac: key(number), to: to(2), fixed: false });
    const [row] = fdb.rows(INDEX, key(number));
    if (row !== undefined) row.unusedMs = unusedMs(number);
  }
  rig.openKernel(2);
  const kernel = { index: INDEX, fallback: loopback(PUNT_PORT), own: to(1) };
  const spec: PortSpec = { port: 1, mux: 90, kernel, ...TRAITS, rows: { records: writeTargets(targets), fallbacks: [], foreign: [] } };
  rig.call({ op: 'openPort', spec });
  return rig;
}

/** Until the table has been read that is being read, and what came of it is done. */
function turns(rig: EngineRig, count: number): void {
  for (let i = 0; i < count; i++) rig.turn();
}

function add(rig: EngineRig, first: number, count: number): void {
  for (let number = first; number < first + count; number++) {
    rig.send({ op: 'cacheSet', port: 1, mac: key(number), to: to(3), fixed: false });
    if (number % 64 === 0) rig.turn();
  }
  turns(rig, 10);
}

it('is asked from a share on, and then once in a while', () => {
  const least = MAX_TARGETS_PER_OVERLAY * USAGE_SHARE;
  const rig = openWith(least - 1, () => 0);
  const { fdb } = rig.io;
  for (let i = 0; i < 3; i++) {
    rig.now += USAGE_MS;
    turns(rig, 2);
  }
  // What there was before is looked at once.
  expect(fdb.dumps).toBe(1);
  add(rig, least, 1);
  expect(fdb.dumps).toBe(2);
  turns(rig, 60);
  rig.now += USAGE_MS - 1;
  turns(rig, 60);
  expect(fdb.dumps).toBe(2);
  rig.now += 1;
  turns(rig, 60);
  expect(fdb.dumps).toBe(3);
  expect(rig.counters(1)).toMatchObject({ 'row.repaired': 0, 'row.installed': 1 });
});

it('keeps the targets that the kernel used lately, and only those it did not use make room', () => {
  // A quarter of the rows.
  const isUsed = (number: number): boolean => number % 4 === 0;
  const rig = openWith(MAX_TARGETS_PER_OVERLAY, (number) => (isUsed(number) ? USAGE_MS - 10 : LONG_AGO_MS));
  const { fdb } = rig.io;
  turns(rig, 60);
  expect(fdb.dumps).toBe(1);
  // Every entry counts as used when it is made: one search each for what is left after a round, in which none is found.
  add(rig, 500_000, MAX_TARGETS_PER_OVERLAY / EVICT_LOOKS);
  expect(rig.counters(1)).toMatchObject({ 'target.evicted': 0 });
  rig.now += USAGE_MS;
  turns(rig, 60);
  expect(fdb.dumps).toBe(2);
  add(rig, 600_000, 2000);
  turns(rig, 400);
  const evicted: number[] = [];
  for (let number = 1; number <= MAX_TARGETS_PER_OVERLAY; number++) if (fdb.rows(INDEX, key(number)).length === 0) evicted.push(number);
  expect(evicted.length).toBeGreaterThan(1000);
  expect(evicted.filter(isUsed)).toEqual([]);
  // Used ones lie between them.
  expect(evicted.at(-1)).toBeGreaterThan(1.3 * evicted.length);
  expect(rig.counters(1)).toMatchObject({ 'target.evicted': evicted.length, 'row.removed': evicted.length, 'row.repaired': 0 });
  expect(fdb.rows(INDEX, key(600_001))).toMatchObject([{ to: '192.0.2.3 4789', ours: true }]);
});
