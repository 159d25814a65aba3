// Looks after kernel links and their filter: what somebody takes down or flushes is put back, what cannot be is told.
import { setImmediate as turn } from 'node:timers/promises';
import { messageOf, OverlayError } from '@overlayadm/api';
import type { EngineLink } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { Clock, Timer } from '../util/clock.ts';
import { KERNEL_WATCH_MS, LIST_SLICE_MS, MAX_UNDERLAY_POLL_SHARE, UNDERLAY_POLL_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices } from './devices.ts';

export interface KernelWatchParts {
  readonly io: Pick<Devices, 'openNetlink' | 'close'>;
  readonly engine: EngineLink;
  readonly kernel: Pick<KernelNetwork, 'repairFilter' | 'fragFails'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly report: (error: unknown) => void;
  nextId(): number;
}

/** An open overlay on a kernel link. */
export interface WatchedLink {
  /** Puts right what can be, and tells the overlay's health what cannot. `fragFails`: KernelNetwork.fragFails() of now. Never throws. */
  look(fragFails: number): void;
  filterIsBack(): void;
  filterIsMissing(reason: string): void;
}

/** What changes of links (RTNLGRP_LINK) and of nftables (NFNLGRP_NFTABLES) are told to (linux/rtnetlink.h, linux/netfilter/nfnetlink.h). */
const TOLD = [
  { protocol: 0, groups: [1] },
  { protocol: 12, groups: [7] },
] as const;

/** A socket that is told, and its number in the engine. */
interface Ear {
  readonly socket: number;
  readonly notice: number;
}

export class KernelWatch {
  readonly #parts: KernelWatchParts;
  readonly #links = new Set<WatchedLink>();
  #ears: readonly Ear[] | undefined;
  #timer: Timer | undefined;
  #isSoon = false;
  #isLooking = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** How long it is not looked again, ms. */
  #rest = KERNEL_WATCH_MS;
  /** Why the filter is missing. */
  #missing: string | undefined;

  constructor(parts: KernelWatchParts) {
    this.#parts = parts;
  }

  /** With the first link that is opened. Fine when it has been called before. */
  async start(): Promise<void> {
    if (this.#ears !== undefined) return;
    const { io, engine, report, nextId } = this.#parts;
    await using unwind = new Unwind(report);
    const ears: Ear[] = [];
    for (const { protocol, groups } of TOLD) {
      const socket = io.openNetlink({ protocol, groups });
      unwind.add(() => io.close(socket));
      const notice = nextId();
      await engine.call({ op: 'watch', notice, socket });
      unwind.add(async () => void (await engine.call({ op: 'unwatch', notice })));
      ears.push({ socket, notice });
    }
    unwind.keep();
    this.#ears = ears;
    this.#plan(UNDERLAY_POLL_MS);
  }

  add(link: WatchedLink): void {
    this.#links.add(link);
  }

  /** With the last one the watch ends. */
  async remove(link: WatchedLink): Promise<void> {
    this.#links.delete(link);
    const ears = this.#ears;
    if (this.#links.size > 0 || ears === undefined) return;
    this.#ears = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    const { engine, io, report } = this.#parts;
    await using unwind = new Unwind(report);
    for (const { socket, notice } of ears) {
      unwind.add(() => io.close(socket));
      // An engine that is gone reads no more.
      unwind.add(async () => void (await engine.call({ op: 'unwatch', notice })));
    }
  }

  /** Something has changed, perhaps of ours: it is looked at soon, and not more often than there is time for. */
  noticed(): void {
    if (this.#ears === undefined || this.#isSoon) return;
    this.#isSoon = true;
    this.#timer?.cancel();
    if (!this.#isLooking) this.#plan(Math.max(0, this.#lookedAt + this.#rest - this.#parts.clock.now()));
  }

  #plan(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.after(ms, () => void this.#look());
  }

  /** Many links take their time: they are looked at in slices, and then for a while not. */
  async #look(): Promise<void> {
    const { clock, kernel } = this.#parts;
    this.#isSoon = false;
    this.#isLooking = true;
    const began = clock.now();
    this.#lookAtFilter();
    const fragFails = kernel.fragFails();
    let sliceBegan = clock.now();
    let waited = 0;
    for (const link of [...this.#links]) {
      link.look(fragFails);
      const now = clock.now();
      if (now - sliceBegan < LIST_SLICE_MS) continue;
      await turn();
      sliceBegan = clock.now();
      waited += sliceBegan - now;
    }
    this.#isLooking = false;
    this.#lookedAt = clock.now();
    this.#rest = Math.max(KERNEL_WATCH_MS, (this.#lookedAt - began - waited) / MAX_UNDERLAY_POLL_SHARE);
    if (this.#ears !== undefined) this.#plan(this.#isSoon ? this.#rest : Math.max(UNDERLAY_POLL_MS, this.#rest));
  }

  #lookAtFilter(): void {
    const { kernel, log } = this.#parts;
    try {
      const repaired = kernel.repairFilter();
      if (repaired) log.warn({}, 'the nftables table of kernel links was changed by somebody, and is put back');
      if (repaired || this.#missing !== undefined) for (const link of this.#links) link.filterIsBack();
      this.#missing = undefined;
    } catch (error) {
      const reason = `the nftables table that keeps others out is missing (${messageOf(error)})`;
      if (this.#missing === undefined)
        log.error({ reason, ...(OverlayError.is(error) ? { code: error.code } : {}) }, 'the filter cannot be put back');
      this.#missing = reason;
      for (const link of this.#links) link.filterIsMissing(reason);
    }
  }
}
