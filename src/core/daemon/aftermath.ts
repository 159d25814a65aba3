// What follows when an overlay is there again: its VNICs, and what it knows from before is asked for once more.
import { messageOf } from '@overlayadm/api';
import { readTargets } from '../engine/snapshot.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { Overlay } from '../overlay/overlay.ts';
import type { Records } from '../overlay/records.ts';
import type { Past } from '../overlay/restore.ts';
import { Verification } from '../overlay/verify.ts';
import type { Clock } from '../util/clock.ts';
import type { Log } from '../util/log.ts';
import { keyToMac } from '../util/mac-key.ts';
import type { HeldStore } from './held-descriptors.ts';

/** Targets of overlays that were restored, which are asked for anew. */
export class Verifications {
  readonly #clock: Clock;
  readonly #running = new Map<string, Verification>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(overlay: Overlay, { targets }: Past): void {
    const { name } = overlay.facts;
    const known = [...readTargets(targets)].filter(({ fixed }) => !fixed).map(({ mac }) => keyToMac(mac));
    if (known.length === 0 || overlay.facts.lookup.mode === 'point') return;
    this.end(name);
    const verification = new Verification({ clock: this.#clock, ask: (macs) => overlay.lookups?.verify(macs) }, known);
    this.#running.set(name, verification);
    overlay.watch({
      up: () => verification.start(),
      down: () => verification.pause(),
      set: (mac) => verification.skip(mac),
      unanswered: (mac) => verification.again(mac),
    });
  }

  end(name: string): void {
    this.#running.get(name)?.stop();
    this.#running.delete(name);
  }
}

export interface SweepParts {
  readonly kernel: Pick<KernelNetwork, 'deleteOverlayLink' | 'deleteVnic' | 'links' | 'vnicsElsewhere'>;
  readonly store: Pick<HeldStore, 'discard' | 'names'>;
  readonly records: Records;
  readonly log: Log;
  /** Could something not be restored yet? A socket that is left may be for it. */
  readonly isIncomplete: boolean;
}

/**
 * After everything was restored: what an overlayd before us had begun or ended and no record knows. Overlays that could not be
 * restored yet keep what they have.
 */
export function sweepLeftovers({ kernel, store, records, log, isIncomplete }: SweepParts): void {
  const isKnown = (name: string): boolean => records.get('up', name) !== undefined || records.unreadable('up').has(name);
  const isWaiting = isIncomplete || records.unreadable('up').size > 0;
  for (const name of store.names()) {
    const overlay = /^tap\.(.+)$/.exec(name)?.[1];
    if (overlay === undefined ? !isWaiting : !isKnown(overlay)) store.discard(name);
  }
  const vnics = new Set(records.names('up').flatMap((name) => records.get('up', name)?.vnics.map((vnic) => vnic.name) ?? []));
  // Whose VNICs they are does not say a record that cannot be read.
  const isVnicKnown = (name: string): boolean => vnics.has(name) || records.unreadable('up').size > 0;
  for (const link of kernel.links()) {
    if (!link.ours) continue;
    const name = link.mark?.name ?? link.name;
    if ((link.kind === 'tun' || link.kind === 'vxlan') && !isKnown(name)) tryDelete(log, link.name, () => kernel.deleteOverlayLink(link.name));
    // Its deletion was recorded, and then somebody killed us.
    if (link.kind === 'macvlan' && !isVnicKnown(name)) tryDelete(log, link.name, () => kernel.deleteVnic(link.name));
  }
  for (const link of kernel.vnicsElsewhere())
    if (!isVnicKnown(link.mark?.name ?? link.name)) tryDelete(log, link.name, () => kernel.deleteVnic(link.name, link.netns));
}

function tryDelete(log: Log, link: string, act: () => void): void {
  log.warn({ link }, 'a link that no record knows is deleted');
  try {
    act();
  } catch (error) {
    log.warn({ link, error: messageOf(error) }, 'it cannot be deleted');
  }
}

/** Without the rights to look for a filter of before there is no overlay to be made either, and a command is told so. */
export function sweepFilter({ kernel, log }: { readonly kernel: Pick<KernelNetwork, 'sweepFilter'> } & Pick<SweepParts, 'log'>): void {
  try {
    kernel.sweepFilter();
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'what is left of the filter of kernel links cannot be taken away');
  }
}

/** What is left of an overlay that could not be restored and is deleted. */
export function discardOverlay(
  { kernel, store, log }: { readonly kernel: Pick<KernelNetwork, 'deleteOverlayLink'> } & Pick<SweepParts, 'store' | 'log'>,
  name: string,
): void {
  store.discard(`tap.${name}`);
  try {
    kernel.deleteOverlayLink(name);
  } catch (error) {
    log.debug({ link: name, error: messageOf(error) }, 'no link is left to delete');
  }
}
