// Named counters in a typed array: counting is one addition and allocates nothing.

/**
 * What happens to frames without dropping them. Then work that the sender left to hardware, entries that made
 * room, and what only a kernel link has: frames it had no row for, and its rows.
 */
const NO_DROPS = [
  'tx.frames',
  'tx.bytes',
  'rx.frames',
  'rx.bytes',
  'tx.injected',
  'tx.injected-bytes',
  'lookup.asked',
  'lookup.queued',
  'question.asked',
  'question.redirected',
  'rx.checksum-completed',
  'rx.segmented',
  'target.evicted',
  'punt.frames',
  'punt.bytes',
  'punt.checksum-completed',
  'row.installed',
  'row.removed',
  'row.forced',
  'row.repaired',
  'row.refused',
] as const;

/** What happens to the frames of one overlay. Names of drops say the area and the reason. */
export const PORT_COUNTERS = [
  ...NO_DROPS,
  // Drops on the way out.
  'frame.short',
  'frame.too-long',
  'frame.vlan-not-carried',
  'target.drop',
  'target.refused',
  'target.queue-full',
  'target.overlay-full',
  'target.pool-full',
  'target.lookups-full',
  'target.table-full',
  'lookup.refused',
  'lookup.teardown',
  'group.not-served',
  'question.not-served',
  'question.repeated',
  'question.limit',
  'question.unanswered',
  'too-big',
  'send.congested',
  'send.failed',
  // Drops on the way in.
  'rx.short',
  'rx.vlan-not-carried',
  'rx.too-long',
  'tap.failed',
] as const;
export type PortCounter = (typeof PORT_COUNTERS)[number];

/** Counted outside of the engine, and no frames. */
const NO_FRAMES: readonly string[] = ['lookup.wrong-destination', 'filter.repaired', 'link.repaired'];

/** Does the counter of this name count frames that were dropped? Those of a mux and of a format all do. */
export const isDrop = (name: string): boolean => !NO_DROPS.some((counter) => counter === name) && !NO_FRAMES.includes(name);

/** Drops of a mux that belong to no overlay; those of the format (`vxlan.i-flag-clear`) come behind. */
export const MUX_COUNTERS = ['mux.truncated', 'mux.unknown-vnetid'] as const;
/** The same of a mux that takes frames from kernel links. */
export const PUNT_COUNTERS = ['punt.truncated', 'punt.unknown-vnetid', 'punt.wrong-source', 'punt.overflow'] as const;

export class Counters<N extends string = string> {
  readonly names: readonly N[];
  readonly #values: Float64Array;
  readonly #index: ReadonlyMap<N, number>;

  constructor(names: readonly N[]) {
    this.names = names;
    this.#values = new Float64Array(names.length);
    this.#index = new Map(names.map((name, index) => [name, index]));
  }

  /** Resolved once, used per frame. @throws RangeError for a name that is not there. */
  index(name: N): number {
    const index = this.#index.get(name);
    if (index === undefined) throw new RangeError(`no counter ${name}`);
    return index;
  }

  // HOT: per frame.
  add(index: number, amount: number): void {
    this.#values[index] = (this.#values[index] as number) + amount;
  }

  count(name: N, amount = 1): void {
    this.add(this.index(name), amount);
  }

  read(): Record<string, number> {
    return Object.fromEntries(this.names.map((name, index) => [name, this.#values[index] as number]));
  }
}
