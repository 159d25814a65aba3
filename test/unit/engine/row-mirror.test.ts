// The table of a kernel link follows the cache, whatever cache, guests, plugins, other people and lost notifications do, in whatever order.
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CacheEntry } from '../../../src/core/engine/messages.ts';
import { TargetTable } from '../../../src/core/engine/target-table.ts';
import { EngineRig, PUNT_PORT, type SimVxlan, to } from '../../helpers/engine-rig.ts';
import { frame, mac } from '../../helpers/frames.ts';

const FALLBACK = `127.0.0.1 ${PUNT_PORT}`;
const POOL_BYTES = 64 * 1024;
const MACS = 5;
const SEED = 20_101_120;
const key = (last: number): number => 0x02_00_00_00_00_00 + last;
const macs = Array.from({ length: MACS }, (_, index) => index + 1);

// Little of everything in a turn, so that changes come in between.
vi.mock(import('../../../src/core/util/limits.ts'), async (original) => ({
  ...(await original()),
  ROW_READS_PER_TURN: 2 as 16,
  ROWS_PER_LOOK: 2 as 16,
  LOOKS_PER_TURN: 2 as 64,
  MAX_STRANGE_ROWS: 3 as 1024,
}));

type Where = number | 'drop';
const wire = (where: Where) => (where === 'drop' ? where : to(where));
const text = (where: Where): string => (where === 'drop' ? where : `192.0.2.${where} 4789`);

type Step =
  | { readonly kind: 'set'; readonly mac: number; readonly where: Where; readonly fixed: boolean }
  | { readonly kind: 'invalidate' | 'remove' | 'frame' | 'resend'; readonly mac: number }
  | { readonly kind: 'flush' | 'outdate' }
  | { readonly kind: 'answer'; readonly which: number; readonly where: number | 'refused' }
  | { readonly kind: 'turns'; readonly count: number; readonly ms: number }
  | { readonly kind: 'room'; readonly rows: number }
  | { readonly kind: 'losing'; readonly on: boolean }
  | { readonly kind: 'hand'; readonly mac: number; readonly where: Where | undefined; readonly ours: boolean }
  | { readonly kind: 'hand-flush' | 'hand-fallback' };

const anyMac = fc.constantFrom(...macs);
const anyWhere = fc.constantFrom<Where>(2, 3, 4, 'drop');
const ownSteps: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('set'), mac: anyMac, where: anyWhere, fixed: fc.boolean() }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('invalidate', 'remove', 'frame', 'resend'), mac: anyMac }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('flush', 'outdate') }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('answer'), which: fc.nat({ max: 3 }), where: fc.constantFrom<number | 'refused'>(2, 3, 4, 'refused') }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('turns'), count: fc.integer({ min: 1, max: 3 }), ms: fc.constantFrom(0, 1, 600, 11_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('losing'), on: fc.boolean() }) },
];
const refusals = { weight: 1, arbitrary: fc.record({ kind: fc.constant('room' as const), rows: fc.constantFrom(2, 3, 100) }) };
const handSteps: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant('hand'), mac: anyMac, where: fc.option(anyWhere, { nil: undefined }), ours: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('hand-flush', 'hand-fallback') }) },
];
const stepsOf = (...kinds: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...kinds), { maxLength: 40, size: 'max' });

vi.setConfig({ testTimeout: 30_000 });

const tables = vi.spyOn(TargetTable.prototype, 'insert');
afterEach(() => tables.mockClear());

/** One overlay on a kernel link, and what is known of it from outside. */
class Model {
  readonly rig = new EngineRig(1, undefined, POOL_BYTES);
  readonly link: SimVxlan = this.rig.openKernel(1);

  constructor() {
    this.rig.io.fdb.rowsPerPart = 1;
  }

  /** Lookups that are out, oldest first. */
  readonly #asked: { readonly id: number; readonly mac: number }[] = [];
  /** MACs with a row of somebody else that the cache had nothing to say of when it came. */
  readonly #foreign = new Map<number, string>();
  /** Of these, those of which nobody has ever said anything else. */
  readonly #untouched = new Set<number>();
  readonly #known = new Set<number>();

  /** Has the kernel refused rows? Then there may be none where the cache has a target. */
  #wasFull = false;
  /** Then a row that went and came back may not have been missed. */
  #wasLosing = false;

  step(step: Step): void {
    const { rig, link } = this;
    const { fdb } = rig.io;
    switch (step.kind) {
      case 'set':
        this.#touch(step.mac);
        return rig.send({ op: 'cacheSet', port: 1, mac: key(step.mac), to: wire(step.where), fixed: step.fixed });
      case 'invalidate':
        return rig.send({ op: 'cacheInvalidate', port: 1, mac: key(step.mac) });
      case 'remove':
        return rig.send({ op: 'cacheRemove', call: 0, port: 1, mac: key(step.mac) });
      case 'flush':
        return rig.send({ op: 'cacheFlush', call: 0, port: 1 });
      case 'outdate':
        return rig.send({ op: 'cacheOutdated', port: 1 });
      case 'frame':
        return link.send(frame(mac(step.mac), mac(99), 'by a guest'));
      case 'resend':
        return rig.send({ op: 'resend', port: 1, frame: frame(mac(step.mac), mac(99), 'by the daemon') });
      case 'answer':
        return this.#answer(step.which, step.where);
      case 'turns':
        for (let left = step.count; left > 0; left--) this.turn(step.ms);
        return;
      case 'room':
        fdb.most = step.rows;
        this.#wasFull = true;
        return;
      case 'losing':
        fdb.losing = step.on;
        this.#wasLosing ||= step.on;
        return;
      case 'hand':
        return this.#byHand(step.mac, step.where, step.ours);
      case 'hand-flush':
        for (const each of macs) this.#byHand(each, undefined, false);
        return fdb.byHand(link.index, 0, undefined);
      case 'hand-fallback':
        return fdb.byHand(link.index, 0, undefined);
    }
  }

  turn(ms: number): void {
    this.rig.now += ms;
    this.rig.turn();
    for (const { id, frame: head } of this.rig.asked()) this.#asked.push({ id, mac: head[5] as number });
    const aborted = new Set(this.rig.aborted());
    this.#asked.splice(0, this.#asked.length, ...this.#asked.filter(({ id }) => !aborted.has(id)));
  }

  #answer(which: number, where: number | 'refused'): void {
    const [asked] = this.#asked.splice(which, 1);
    if (asked === undefined) return;
    this.#touch(asked.mac);
    const answer = where === 'refused' ? ({ kind: 'drop' } as const) : ({ kind: 'found', to: to(where) } as const);
    this.rig.send({ op: 'answers', answers: [{ id: asked.id, ...answer }] });
  }

  #byHand(last: number, where: Where | undefined, ours: boolean): void {
    const { rig, link } = this;
    const isKnown = rig.call({ op: 'cacheGet', port: 1, mac: key(last) }) !== undefined;
    rig.io.fdb.byHand(link.index, key(last), where === undefined ? undefined : text(where), ours);
    const [now] = rig.io.fdb.rows(link.index, key(last));
    const hasNoRow = !isKnown || this.#foreign.has(last) || this.#wasFull;
    const isForeign = now?.ours === false && hasNoRow;
    if (isForeign) this.#foreign.set(last, now.to);
    else if (!this.#wasLosing) this.#foreign.delete(last);
    const isFirst = !this.#known.has(last);
    this.#touch(last);
    if (isForeign && isFirst) this.#untouched.add(last);
  }

  #touch(last: number): void {
    this.#known.add(last);
    this.#untouched.delete(last);
  }

  /** Nobody does anything any more, and time passes. */
  rest(): void {
    this.rig.io.fdb.most = Number.POSITIVE_INFINITY;
    this.rig.io.fdb.losing = false;
    for (let left = 120; left > 0; left--) this.turn(300);
  }

  /** Everything that does not hold. */
  check(): string[] {
    const { rig, link } = this;
    const { fdb } = rig.io;
    const cache = new Map(
      (rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 100 }) as readonly CacheEntry[]).map((entry) => [entry.mac, entry]),
    );
    const wrong = macs.flatMap((last) => {
      const entry = cache.get(key(last));
      const rows = fdb.rows(link.index, key(last)).map(({ to: where, ours }) => `${where}${ours ? '' : ' foreign'}`);
      const own = entry === undefined ? [] : [entry.to === 'drop' ? 'drop' : `${entry.to.ip.join('.')} ${entry.to.port}`];
      const foreign = this.#foreign.get(last);
      const allowed = [...(this.#untouched.has(last) ? [] : [own.join()]), ...(foreign === undefined ? [] : [`${foreign} foreign`])];
      // What the cache has let go of while somebody made the row theirs may be either's.
      if (entry === undefined && rows.every((row) => row.endsWith(' foreign')))
        return rows.length === 0 && this.#untouched.has(last) ? [`${last}: foreign row is gone`] : [];
      return allowed.includes(rows.join()) ? [] : [`${last}: has ${rows.join()}, not ${allowed.join(' or ')}`];
    });
    const fallback = fdb.rows(link.index, 0).map(({ to: where, ours }) => `${where} ${ours}`);
    if (fallback.join() !== `${FALLBACK} true`) wrong.push(`the fallback is ${fallback.join()}`);
    const { size } = (tables.mock.contexts.at(-1) as TargetTable | undefined) ?? { size: 0 };
    if (size !== cache.size + this.#asked.length)
      wrong.push(`the table has ${size} entries for ${cache.size} targets and ${this.#asked.length} lookups`);
    const told = rig.posted.filter((message) => message.op === 'foreignRows').at(-1);
    const toldMacs = told?.op === 'foreignRows' ? told.rows.map((row) => row.mac - key(0)).toSorted() : [];
    const foreignMacs = macs.filter((last) => fdb.rows(link.index, key(last)).some(({ ours }) => !ours));
    if (toldMacs.join() !== foreignMacs.join()) wrong.push(`foreign are ${foreignMacs.join()}, told are ${toldMacs.join()}`);
    return wrong;
  }
}

function run(steps: readonly Step[]): Model {
  tables.mockClear();
  const model = new Model();
  for (const step of steps) model.step(step);
  model.rest();
  return model;
}

const runs = { seed: SEED, numRuns: 250 };
const set = (last: number, where: Where = 2): Step => ({ kind: 'set', mac: last, where, fixed: false });
const hand = (last: number, where: Where | undefined, ours = false): Step => ({ kind: 'hand', mac: last, where, ours });
const losing = (on: boolean): Step => ({ kind: 'losing', on });
const room = (rows: number): Step => ({ kind: 'room', rows });
const turn: Step = { kind: 'turns', count: 1, ms: 0 };
const invalidate = (last: number): Step => ({ kind: 'invalidate', mac: last });

/** What has gone wrong once. */
const FULL: readonly [Step[]][] = [[[room(2), set(3), set(5), set(1), turn]]];
const BY_HAND: readonly [Step[]][] = [
  [[hand(4, 2), hand(2, 2), hand(1, 2), hand(5, 2), hand(5, 4), hand(1, undefined), set(5)]],
  [[hand(3, 2), hand(5, 2), hand(1, 2), hand(2, 2), hand(4, 2), turn, set(4, 4)]],
  [[set(5), losing(true), hand(5, 2), losing(false), { kind: 'flush' }, hand(5, 2, true)]],
  [[set(1), hand(1, undefined)]],
  [[hand(4, 2), hand(4, undefined), set(4)]],
  [[hand(4, 2), turn, losing(true), set(4), hand(4, undefined)]],
  [[losing(true), hand(4, 4), turn, set(4, 4)]],
  [[hand(4, 2), hand(1, 2), losing(true), set(4), hand(3, 2), { kind: 'hand-flush' }, losing(false), hand(4, 2, true), { kind: 'flush' }]],
];
const BOTH: readonly [Step[]][] = [
  [
    [
      set(4),
      set(2),
      set(3),
      hand(1, 2),
      hand(5, 2),
      losing(true),
      hand(3, 2),
      turn,
      turn,
      losing(false),
      hand(1, undefined),
      invalidate(3),
      hand(1, 2, true),
    ],
  ],
  [[set(5), set(1), losing(true), hand(1, 2), losing(false), hand(1, undefined), { kind: 'flush' }]],
  [[room(2), set(1), hand(4, 2), { kind: 'hand-fallback' }, turn]],
  [[set(2), hand(2, undefined), set(1), room(2), hand(2, 2), invalidate(2)]],
  [[set(2), hand(2, undefined), set(1), room(2), hand(2, 2, true), invalidate(2)]],
  [[losing(true), { kind: 'hand-flush' }, set(1), hand(3, 4), set(5), hand(1, undefined), hand(1, undefined), set(3)]],
];

describe('the table of a kernel link', () => {
  it('is what the cache says, and nothing was ever repaired, when nobody else changes it, also when notifications are lost', () => {
    fc.assert(
      fc.property(stepsOf(...ownSteps), (steps) => {
        const model = run(steps);
        expect(model.check()).toEqual([]);
        expect(model.rig.counters(1)).toMatchObject({ 'row.repaired': 0, 'row.refused': 0 });
      }),
      runs,
    );
  });

  it('is what the cache says in the end when the kernel refuses rows meanwhile', () => {
    fc.assert(
      fc.property(stepsOf(...ownSteps, refusals), (steps) => {
        expect(run(steps).check()).toEqual([]);
      }),
      { ...runs, examples: [...FULL] },
    );
  });

  it('is what the cache says in the end whatever others do to it, and rows of theirs stay where the cache has had none', () => {
    fc.assert(
      fc.property(stepsOf(...ownSteps, ...handSteps), (steps) => {
        expect(run(steps).check()).toEqual([]);
      }),
      { ...runs, examples: [...BY_HAND] },
    );
  });

  it('is what the cache says in the end when both happen', () => {
    fc.assert(
      fc.property(stepsOf(...ownSteps, refusals, ...handSteps), (steps) => {
        expect(run(steps).check()).toEqual([]);
      }),
      { ...runs, examples: [...BOTH] },
    );
  });
});
