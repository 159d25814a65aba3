// The short run: every door with fixed seeds, every case that was ever found, and that nothing is held afterwards.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { NO_FLOW, whyNotConserved } from './conservation.ts';
import { CASES, readCase, tryDoor, tryInputs } from './door.ts';
import { doors } from './doors.ts';
import { Random } from './random.ts';
import { held, whyGrown } from './resources.ts';
import { closeStreams } from './stream-doors.ts';

const SEED = 20_101_120;
const ARBITRARY_BATCHES = 40;

afterAll(closeStreams);

describe('hostile input', () => {
  it.each(doors)('mutants at $name break nothing, and leave neither memory nor descriptors', async (door) => {
    const random = new Random(SEED, door.name);
    // What is loaded and compiled only once is there before it is measured.
    await tryDoor(door, random, Math.ceil(door.short / 4));
    const before = await held();
    await tryDoor(door, random, door.short);
    expect(whyGrown(before, await held())).toBeUndefined();
  });

  it.each(doors)('what fast-check makes for $name breaks nothing', async (door) => {
    const inputs = fc.array(door.arbitrary, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(inputs, (all) => tryInputs(door, all)),
      { seed: SEED, numRuns: ARBITRARY_BATCHES },
    );
  });
});

const cases = existsSync(CASES) ? readdirSync(CASES).filter((name) => name.endsWith('.hex')) : [];

describe.runIf(cases.length > 0)('cases that were found', () => {
  it.each(cases)('%s', async (name) => {
    const door = doors.find((each) => name.startsWith(`${each.name}-`) && /^[0-9a-f]+\.hex$/.test(name.slice(each.name.length + 1)));
    if (door === undefined) throw new Error(`${name} is of no door`);
    await tryInputs(door, readCase(join(CASES, name)));
  });
});

describe('the conservation law', () => {
  it('notices a frame that was neither sent nor counted, and one that was counted twice', () => {
    expect(whyNotConserved({ 'tx.frames': 1, 'too-big': 1 }, { ...NO_FLOW, read: 2 })).toBeUndefined();
    expect(whyNotConserved({ 'tx.frames': 1 }, { ...NO_FLOW, read: 2 })).toMatch(/^2 frames to send, 1 accounted for/);
    expect(whyNotConserved({ 'tx.frames': 2, 'send.failed': 1 }, { ...NO_FLOW, read: 1, resent: 1 })).toMatch(/^2 frames to send, 3/);
    expect(whyNotConserved({ 'rx.frames': 3, 'rx.segmented': 1 }, { ...NO_FLOW, datagrams: 1, segments: 3 })).toBeUndefined();
    expect(whyNotConserved({ 'rx.frames': 3 }, { ...NO_FLOW, datagrams: 4 })).toMatch(/^4 frames to receive, 3 accounted for/);
    expect(whyNotConserved({ 'punt.frames': 2, 'tx.frames': 1, 'target.drop': 1 }, { ...NO_FLOW, punted: 2 })).toBeUndefined();
    expect(whyNotConserved({ 'punt.frames': 1, 'tx.frames': 2 }, { ...NO_FLOW, punted: 2 })).toBe('2 frames were punted, 1 are counted');
    expect(whyNotConserved({ 'tx.frames': -1 }, NO_FLOW)).toBe('counter tx.frames is -1');
  });
});
