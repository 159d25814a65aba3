// All overlays of this host: made, restored, found, deleted; what the engine reports finds its overlay here.
import { messageOf, type OverlayError } from '@overlayadm/api';
import type { FromEngine } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import { type Broken, BrokenOverlays } from './broken-overlays.ts';
import { type Created, type CreateRequest, createOverlay } from './create.ts';
import { EngineReports } from './engine-reports.ts';
import { checkLinkName, freeOverlayName } from './names.ts';
import type { OpenParts } from './open.ts';
import type { Overlay } from './overlay.ts';
import { busy, notFound, nothingSaved, notThere, onlySaved, shuttingDown, taken, type UnderWay, underWay, unreadable } from './overlay-errors.ts';
import { type OverlayRecord, type VnicRecord, withVnic } from './record.ts';
import type { Place } from './records.ts';
import { NO_PAST, type Past, restoreOverlay } from './restore.ts';
import { UnderlayWatch } from './underlay-watch.ts';
import { overlayOfVnic } from './vnic-book.ts';

export interface OverlaysParts extends OpenParts {
  readonly kernel: KernelNetwork;
  /** What was known of an overlay when the overlayd before us ended, and how it is forgotten. */
  past(record: OverlayRecord): Promise<Past>;
  forget(name: string): Promise<void>;
  /** An overlay is there again, for what stands on it, and for checking what it knows. */
  restored(overlay: Overlay, record: OverlayRecord, past: Past): Promise<void>;
  /** Called when an overlay has gone, for what stood on it. */
  gone(name: string): void;
  /** Names of VNICs that belong to it and that no link shows; unless `temporary`, also those that are only saved. */
  absentVnics(name: string, temporary: boolean): readonly string[];
  /** Whatever is left of a link that could not be restored. */
  discard(name: string): void;
}

const BOTH: readonly Place[] = ['saved', 'up'];

export class Overlays {
  readonly #parts: OverlaysParts;
  readonly #byName = new Map<string, Overlay>();
  readonly #reports: EngineReports;
  /** Names that something is under way with: nobody else may have them. */
  readonly #reserved = new Map<string, UnderWay>();
  readonly #broken: BrokenOverlays;
  readonly #watch: UnderlayWatch;
  #closed = false;

  constructor(parts: OverlaysParts) {
    this.#parts = parts;
    this.#reports = new EngineReports(parts.overlay.engine);
    const { clock, log } = parts.overlay;
    this.#watch = new UnderlayWatch({ clock, kernel: parts.kernel, log });
    const isThere = (name: string): boolean => this.#isThere(name);
    this.#broken = new BrokenOverlays({ clock, log, records: parts.records, isThere, open: (name) => this.#open(name) });
  }

  /** Those that are there, by name. */
  names(): readonly string[] {
    return [...this.#byName.keys()].toSorted(byNumber);
  }

  /** Also those that should be there, that are saved and not up, or that have a record nobody can read. */
  allNames(): readonly string[] {
    const { records } = this.#parts;
    const unreadable = [...records.unreadable('up').keys(), ...records.unreadable('saved').keys()];
    const down = records.names('saved').filter((name) => this.isDown(name));
    return [...new Set([...this.#byName.keys(), ...this.#broken.names(), ...unreadable, ...down])].toSorted(byNumber);
  }

  /** Is it saved, and nothing else: taken down by a person, and asked for by nobody? */
  isDown(name: string): boolean {
    const under = this.#reserved.get(name);
    if (this.#byName.has(name) || under === 'created' || under === 'deleted') return false;
    return this.#parts.records.isSaved(name) && this.broken(name) === undefined;
  }

  /** Is it in allNames()? */
  knows(name: string): boolean {
    return this.#byName.has(name) || this.isDown(name) || this.broken(name) !== undefined;
  }

  all(): Iterable<Overlay> {
    return this.#byName.values();
  }

  /** Why it is not there, or not as it is saved; undefined when nothing is wrong with it. */
  broken(name: string): Broken | undefined {
    return this.#broken.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @throws OverlayError OVERLAY_NOT_FOUND, OVERLAY_DOWN */
  get(name: string): Overlay {
    const overlay = this.#byName.get(name);
    if (overlay !== undefined) return overlay;
    const broken = this.#broken.reason(name);
    if (broken !== undefined) throw notThere(name, broken);
    throw this.isDown(name) ? onlySaved(name) : this.#notFound(name);
  }

  /** @throws OverlayError of the step that refused; OVERLAY_EXISTS, LINK_NAME, SHUTTING_DOWN. */
  async create(request: Omit<CreateRequest, 'name'> & { readonly name?: string }): Promise<Created> {
    if (this.#closed) throw shuttingDown();
    const name = request.name ?? freeOverlayName((candidate) => this.#isTaken(candidate) || this.#exists(candidate));
    checkLinkName(name);
    if (this.#isTaken(name)) throw this.#taken(name);
    this.#reserved.set(name, 'created');
    try {
      await this.#parts.forget(name);
      const created = await createOverlay(this.#parts, { ...request, name });
      this.#enter(created.overlay);
      this.#parts.overlay.log.info({ overlay: name, vnetid: request.vnetid, encap: request.encap, search: request.search }, 'overlay created');
      if (!this.#closed) return created;
      await this.#drop(created.overlay, BOTH, () => undefined);
      throw shuttingDown();
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** Takes over, or makes anew, what the overlayd before us had. What cannot be had is tried again from time to time. */
  async restore(): Promise<void> {
    const { records, overlay } = this.#parts;
    await this.#broken.tryAll();
    for (const place of BOTH)
      for (const [name, problem] of records.unreadable(place)) overlay.log.warn({ overlay: name, problem }, 'record cannot be used');
  }

  /**
   * Makes a saved overlay that is not there, or what of it is not there. One that cannot be had just now, as at boot before its
   * address is there, is tried again from time to time.
   * @throws OverlayError OVERLAY_NOT_FOUND, STATE_UNREADABLE, or what refused
   */
  async up(name: string): Promise<void> {
    if (this.#closed) throw shuttingDown();
    const overlay = this.#byName.get(name);
    if (overlay !== undefined) this.#refuseReserved(name);
    const isGone = overlay !== undefined && this.#isDeviceGone(overlay);
    const saved = this.#parts.records.get('saved', name);
    if (saved === undefined && !isGone) throw this.#notSaved(name);
    if (isGone) await this.#leave(overlay, () => overlay.close());
    else if (overlay !== undefined) return this.#bringBackVnics(overlay);
    this.#refuseReserved(name);
    try {
      await this.#open(name);
    } catch (error) {
      this.#broken.add(name, error);
      this.#broken.plan();
      throw error;
    }
  }

  /** Those that are saved and were deleted for now, or by somebody else. */
  async #bringBackVnics(overlay: Overlay): Promise<void> {
    const { records, restored } = this.#parts;
    const { name } = overlay.facts;
    const isMissing = ({ name: vnic }: VnicRecord): boolean => !records.get('up', name)?.vnics.some((other) => other.name === vnic);
    const missing = (): readonly VnicRecord[] => records.get('saved', name)?.vnics.filter(isMissing) ?? [];
    // Looked at once more when it is its turn: one may have been deleted for good meanwhile.
    if (missing().length > 0) await records.change(name, true, (record) => missing().reduce(withVnic, record));
    const record = records.get('up', name);
    if (record !== undefined) await restored(overlay, record, NO_PAST);
  }

  /** Names of what is saved, readable or not. */
  savedNames(): readonly string[] {
    const { records } = this.#parts;
    return [...new Set([...records.names('saved'), ...records.unreadable('saved').keys()])].toSorted(byNumber);
  }

  /**
   * `temporary`: what is saved stays, for up(). @throws OverlayError OVERLAY_NOT_FOUND, OVERLAY_DOWN, OVERLAY_BUSY with the
   * names of what stands on it, STATE_NOT_SAVED; then nothing was changed.
   */
  async delete(name: string, temporary: boolean): Promise<void> {
    const overlay = this.#byName.get(name);
    const places = temporary ? (['up'] as const) : BOTH;
    if (overlay !== undefined) this.#refuseReserved(name);
    if (overlay !== undefined) return this.#drop(overlay, places, () => this.#refuseBusy(overlay, temporary));
    const { records, discard, forget } = this.#parts;
    const isUp = records.get('up', name) !== undefined || records.unreadable('up').has(name);
    const isSaved = records.get('saved', name) !== undefined || records.unreadable('saved').has(name);
    const isNothing = !isUp && (temporary || !isSaved);
    const under = this.#reserved.get(name);
    if (isNothing && this.isDown(name)) throw onlySaved(name);
    if (isNothing || under === 'created' || under === 'deleted') throw this.#notFound(name);
    this.#refuseReserved(name);
    this.#reserved.set(name, 'deleted');
    try {
      await records.remove(name, places);
      this.#broken.remove(name);
      discard(name);
      await forget(name);
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** Lets go of everything, for the overlayd that comes next, and refuses to make anything new. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#broken.close();
    await Promise.all([...this.#byName.values()].map((overlay) => this.#leave(overlay, () => overlay.release())));
  }

  /** Its listen address may be another one since it was watched. */
  listenAnew(overlay: Overlay): void {
    this.#watch.remove(overlay);
    this.#watch.add(overlay);
  }

  /** While `work` makes the link of an overlay anew nobody deletes the overlay, or brings it up. @throws OverlayError OVERLAY_BUSY */
  async whileRemade<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.#refuseReserved(name);
    this.#reserved.set(name, 'given another data path');
    try {
      return await work();
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** Another data path carries it; `before`: the number of its old port in the engine. */
  reopened(overlay: Overlay, before: number): void {
    this.#reports.move(overlay, before);
  }

  fromEngine(message: Exclude<FromEngine, { readonly op: 'done' | 'notice' }>): void {
    this.#reports.take(message);
  }

  /** Recorded first, then made: also an overlayd that comes after us tries what is recorded as up. */
  async #open(name: string): Promise<void> {
    const { records } = this.#parts;
    this.#reserved.set(name, 'brought up');
    try {
      const saved = records.get('saved', name);
      if (records.get('up', name) === undefined && saved !== undefined) await records.putUp(saved);
      const record = records.get('up', name);
      if (record === undefined) throw this.#notFound(name);
      const past = await this.#parts.past(record);
      const { overlay, adopted } = await restoreOverlay(this.#parts, record, past);
      if (this.#closed) {
        await overlay.release();
        throw shuttingDown();
      }
      this.#enter(overlay);
      this.#broken.remove(name);
      this.#parts.overlay.log.info({ overlay: name, vnetid: record.vnetid, encap: record.encap.name, adopted }, 'overlay restored');
      // A VNIC that was deleted meanwhile must not come back.
      const known = { ...past, targets: overlay.port?.known ?? past.targets };
      await this.#parts.restored(overlay, records.get('up', name) ?? record, known);
    } finally {
      this.#reserved.delete(name);
    }
  }

  #enter(overlay: Overlay): void {
    this.#byName.set(overlay.facts.name, overlay);
    this.#reports.add(overlay);
    this.#watch.add(overlay);
  }

  #refuseBusy(overlay: Overlay, temporary: boolean): void {
    const { name } = overlay.facts;
    const above = this.#parts.kernel.linksAbove(overlay.port?.linkIndex ?? -1);
    const there = above.map((link) => (link.netns === undefined ? link.name : `${link.name} in ${link.netns}`));
    const names = [...there, ...this.#parts.absentVnics(name, temporary)];
    if (names.length > 0) throw busy(name, names, above[0]?.name ?? (names[0] as string));
  }

  /**
   * Its records first: what is not recorded any more is not restored, whatever happens to us now. `refuse` is asked when no
   * change of its records is under way any more, and what it throws leaves everything as it was.
   */
  async #drop(overlay: Overlay, places: readonly Place[], refuse: () => void): Promise<void> {
    const { name } = overlay.facts;
    refuse();
    this.#byName.delete(name);
    this.#reserved.set(name, 'deleted');
    try {
      await this.#parts.records.remove(name, places, refuse);
    } catch (error) {
      this.#byName.set(name, overlay);
      this.#reserved.delete(name);
      throw error;
    }
    // Its name is not free before its targets are forgotten: they could be those of the next one of this name.
    await this.#leave(overlay, () => overlay.close().finally(() => this.#parts.forget(name)));
    this.#parts.overlay.log.info({ overlay: name }, 'overlay deleted');
  }

  async #leave(overlay: Overlay, end: () => Promise<void>): Promise<void> {
    const { name } = overlay.facts;
    this.#byName.delete(name);
    this.#reports.remove(overlay);
    this.#watch.remove(overlay);
    this.#reserved.set(name, 'deleted');
    try {
      await end();
    } finally {
      this.#reserved.delete(name);
      this.#parts.gone(name);
    }
  }

  /** Somebody deleted its link, or put another one in its place. */
  #isDeviceGone({ facts, port }: Overlay): boolean {
    return this.#parts.kernel.link(facts.name)?.index !== port?.linkIndex;
  }

  #isThere(name: string): boolean {
    return this.#byName.has(name) || this.#reserved.has(name);
  }

  #isTaken(name: string): boolean {
    const { records } = this.#parts;
    const isRecorded = BOTH.some((place) => records.get(place, name) !== undefined || records.unreadable(place).has(name));
    return this.#isThere(name) || isRecorded;
  }

  #taken(name: string): OverlayError {
    return taken(name, !this.#isThere(name));
  }

  #refuseReserved(name: string): void {
    const what = this.#reserved.get(name);
    if (what !== undefined) throw underWay(name, what);
  }

  #notFound(name: string): OverlayError {
    return notFound(name, this.#exists(name) || overlayOfVnic(this.#parts.records, name, BOTH) !== undefined);
  }

  #notSaved(name: string): OverlayError {
    const problem = this.#parts.records.unreadable('saved').get(name);
    if (problem !== undefined) return unreadable(name, problem);
    return this.#byName.has(name) ? nothingSaved(name) : this.#notFound(name);
  }

  #exists(name: string): boolean {
    try {
      return this.#parts.kernel.link(name) !== undefined;
    } catch (error) {
      this.#parts.overlay.log.warn({ overlay: name, error: messageOf(error) }, 'link cannot be looked at');
      return false;
    }
  }
}

/** overlay2 before overlay10. */
const byNumber = (a: string, b: string): number => collator.compare(a, b);
const collator = new Intl.Collator('en', { numeric: true });
