// Kernel links are looked after from the first to the last: soon when something has happened, and never more often than there is time for.
import { describe, expect, it } from 'vitest';
import { KernelWatch, type WatchedLink } from '../../../src/core/datapath/kernel-watch.ts';
import { KERNEL_WATCH_MS, LIST_SLICE_MS, MAX_UNDERLAY_POLL_SHARE, UNDERLAY_POLL_MS } from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { FakeClock, settle } from '../../helpers/fake-clock.ts';
import { counting, FakeDevices, FakeEngine, systemError } from './fake-devices.ts';

/** A link that is looked at, which takes its time. */
class Looked implements WatchedLink {
  readonly at: number[] = [];
  readonly frags: number[] = [];
  readonly #clock: SlowClock;
  readonly #ms: number;

  constructor(clock: SlowClock, ms = 0) {
    this.#clock = clock;
    this.#ms = ms;
  }

  look(fragFails: number): void {
    this.at.push(this.#clock.now());
    this.frags.push(fragFails);
    this.#clock.spend(this.#ms);
  }

  filterIsBack(): void {}
  filterIsMissing(): void {}
}

/** Time passes also while something is done. */
class SlowClock extends FakeClock {
  #spent = 0;

  override now(): number {
    return super.now() + this.#spent;
  }

  spend(ms: number): void {
    this.#spent += ms;
  }
}

function rig() {
  const clock = new SlowClock();
  const io = new FakeDevices();
  const engine = new FakeEngine();
  const reported: unknown[] = [];
  let frags = 0;
  const kernel = { repairFilter: () => false, fragFails: () => ++frags };
  const watch = new KernelWatch({ io, engine, kernel, clock, log: silentLog, report: (error) => void reported.push(error), nextId: counting() });
  return { clock, io, engine, reported, kernel, watch };
}

describe('the watch of kernel links', () => {
  it('listens to links and to nftables, once, and not any more when the last link has gone', async () => {
    const { clock, io, engine, watch } = rig();
    await watch.start();
    await watch.start();
    expect([[...io.open.values()], engine.ops]).toEqual([
      ['netlink 0', 'netlink 12'],
      ['watch', 'watch'],
    ]);
    const [one, two] = [new Looked(clock), new Looked(clock)];
    for (const link of [one, two]) watch.add(link);
    await watch.remove(one);
    await watch.remove(one);
    expect([io.open.size, clock.timers]).toEqual([2, 1]);
    await watch.remove(two);
    expect([io.open.size, clock.timers]).toEqual([0, 0]);
    const notices = engine.messages.flatMap((message) => ('notice' in message ? [[message.op, message.notice]] : []));
    expect(notices).toEqual([
      ['watch', 1],
      ['watch', 2],
      ['unwatch', 2],
      ['unwatch', 1],
    ]);
    await watch.start();
    expect(io.open.size).toBe(2);
  });

  it.each([
    ['the second socket cannot be opened', 'netlink'],
    ['the engine refuses', 'engine'],
  ] as const)('that cannot begin because %s leaves nothing', async (_why, what) => {
    const { clock, io, engine, watch } = rig();
    let opened = 0;
    if (what === 'netlink') io.refuse = () => (++opened === 2 ? systemError('EMFILE', 'socket') : undefined);
    else engine.refusing = 'watch';
    await expect(watch.start()).rejects.toThrow();
    expect([io.open.size, clock.timers]).toEqual([0, 0]);
    expect(engine.ops).toEqual(what === 'netlink' ? ['watch', 'unwatch'] : ['watch']);
  });

  it('ends although the engine has, and says so', async () => {
    const { clock, io, engine, reported, watch } = rig();
    await watch.start();
    const link = new Looked(clock);
    watch.add(link);
    engine.gone = new Error('the packet engine has ended');
    await watch.remove(link);
    expect([io.open.size, reported.length]).toEqual([0, 2]);
  });
});

describe('links are looked at', () => {
  async function watching(...ms: readonly number[]) {
    const parts = rig();
    await parts.watch.start();
    const links = ms.map((each) => new Looked(parts.clock, each));
    for (const link of links) parts.watch.add(link);
    return { ...parts, links, first: links[0] as Looked };
  }

  it('once in a while when nothing is heard, with what the host has counted', async () => {
    const { clock, first } = await watching(0);
    await clock.advance(3 * UNDERLAY_POLL_MS);
    expect(first.at).toEqual([1, 2, 3].map((times) => times * UNDERLAY_POLL_MS));
    expect(first.frags).toEqual([1, 2, 3]);
  });

  it('at once when something is heard, and then not for a while, however much is heard', async () => {
    const { clock, watch, first } = await watching(0);
    await clock.advance(250);
    for (let i = 0; i < 5; i++) watch.noticed();
    await clock.advance(0);
    expect(first.at).toEqual([250]);
    for (let i = 0; i < 90; i++) {
      watch.noticed();
      await clock.advance(10);
    }
    const passed = 90 * 10;
    expect(first.at.length).toBeGreaterThanOrEqual(passed / KERNEL_WATCH_MS);
    expect(first.at.length).toBeLessThanOrEqual(2 + passed / KERNEL_WATCH_MS);
    await clock.advance(KERNEL_WATCH_MS);
    const { length } = first.at;
    expect(first.at.at(-1)).toBeGreaterThanOrEqual(250 + passed - 10);
    await clock.advance(UNDERLAY_POLL_MS - 1);
    expect(first.at.length).toBeLessThanOrEqual(length + 1);
  });

  it('for a share of the time at most, when it takes long', async () => {
    const { clock, watch, first } = await watching(50);
    await clock.advance(UNDERLAY_POLL_MS);
    watch.noticed();
    await clock.advance(50 / MAX_UNDERLAY_POLL_SHARE - 1);
    expect(first.at).toEqual([UNDERLAY_POLL_MS]);
    await clock.advance(1);
    expect(first.at).toHaveLength(2);
  });

  it('in slices, between which others have their turn', async () => {
    const { clock, links } = await watching(...Array.from({ length: 5 }, () => LIST_SLICE_MS));
    let turns = 0;
    const count = (): void => {
      if (links.at(-1)?.at.length === 0) setImmediate(count);
      turns++;
    };
    setImmediate(count);
    const looking = clock.advance(UNDERLAY_POLL_MS);
    await looking;
    await settle();
    expect(links.map(({ at }) => at.length)).toEqual([1, 1, 1, 1, 1]);
    expect(new Set(links.flatMap(({ at }) => at)).size).toBe(5);
    expect(turns).toBeGreaterThan(5);
  });

  it('once more when something is heard in the middle of it', async () => {
    const { clock, watch, first } = await watching(LIST_SLICE_MS, 0);
    const looking = clock.advance(UNDERLAY_POLL_MS);
    while (first.at.length === 0) await new Promise((resolve) => setImmediate(resolve));
    watch.noticed();
    await looking;
    await clock.advance(LIST_SLICE_MS / MAX_UNDERLAY_POLL_SHARE);
    expect(first.at).toHaveLength(2);
  });

  it('no more when one has gone in the middle of it, and nothing is planned then', async () => {
    const { clock, watch, links, first } = await watching(LIST_SLICE_MS, 0);
    const looking = clock.advance(UNDERLAY_POLL_MS);
    while (first.at.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const link of links) await watch.remove(link);
    await looking;
    expect(clock.timers).toBe(0);
    watch.noticed();
    await clock.advance(2 * UNDERLAY_POLL_MS);
    expect(first.at).toHaveLength(1);
  });
});
