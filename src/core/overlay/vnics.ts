// VNICs: interfaces over overlays, made directly in the network namespace that they are for, and kept there.
import { setImmediate as turn } from 'node:timers/promises';
import { type LocalAddress, type MacAddress, messageOf, OverlayError } from '@overlayadm/api';
import type { KernelNetwork, LinkInfo, LinkStatistics } from '../linux/types.ts';
import type { PropertyText } from '../property/arguments.ts';
import type { Clock } from '../util/clock.ts';
import { LIST_SLICE_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { Serial } from '../util/serial.ts';
import { NamespaceWatch } from './namespace-watch.ts';
import { type OverlayRecord, type VnicRecord, withoutVnic, withVnic } from './record.ts';
import { byNumber, inOrder, overlayOfVnic, recordedOver, type VnicRecords, vnicIn } from './vnic-book.ts';
import { deletedMeanwhile, newVnic, notFound, type OverlayOfVnic, temporaryOnly, type VnicRequest } from './vnic-checks.ts';
import { type Entry, VnicLinks, type VnicLinksParts } from './vnic-links.ts';
import { checkMtu, defaultChanges, propertyRows, readChanges, type VnicChanges, type VnicPropertyRow } from './vnic-properties.ts';
import { absence, needsWatch } from './vnic-state.ts';

export type { VnicRequest } from './vnic-checks.ts';

export interface Vnic {
  readonly name: string;
  readonly overlay: string;
  readonly mac: MacAddress;
  /** Bytes. */
  readonly mtu: number;
  /** Undefined: overlayd's own. */
  readonly netns: string | undefined;
  readonly vid: number | undefined;
  /** Of its link, unique within its network namespace; undefined when it is not there. */
  readonly index: number | undefined;
  /** `up`, `down`, or why it is not there. */
  readonly state: string;
  /** Kept over a reboot? */
  readonly persistent: boolean;
}

export interface VnicParts {
  readonly kernel: VnicLinksParts['kernel'] & Pick<KernelNetwork, 'addressesOf' | 'statistics'>;
  readonly log: Log;
  readonly clock: Clock;
  readonly records: VnicRecords;
  /** `count` random bytes, for MAC addresses. */
  randomBytes(count: number): Uint8Array;
  /** @throws OverlayError OVERLAY_NOT_FOUND, OVERLAY_DOWN */
  overlay(name: string): { readonly facts: OverlayOfVnic };
}

export class Vnics {
  readonly #parts: VnicParts;
  readonly #links: VnicLinks;
  readonly #watch: NamespaceWatch;
  /** Those of the overlays that are there, by name. */
  readonly #entries = new Map<string, Entry>();
  /** One change at a time. */
  readonly #serial = new Serial();

  constructor(parts: VnicParts) {
    this.#parts = parts;
    const { kernel, log, clock } = parts;
    this.#links = new VnicLinks({ kernel, log, mtu: (overlay) => parts.overlay(overlay).facts.mtu });
    const isNeeded = (): boolean => [...this.#entries.values()].some(({ standing, record }) => needsWatch(standing, record));
    this.#watch = new NamespaceWatch({ clock, log, isNeeded, look: () => this.#settleDue() });
  }

  /**
   * Recorded first, then made: whoever is killed in between finds it made when overlayd is there again.
   * @throws OverlayError LINK_NAME, OVERLAY_NOT_FOUND, VNIC_EXISTS, VNIC_OVER_TEMPORARY, VNIC_VID_RANGE, VNIC_VID_NOT_CARRIED,
   * PROPERTY_*, MTU_RANGE, LINK_EXISTS, NETNS_NOT_FOUND, MAC_INVALID, MAC_IN_USE, STATE_NOT_SAVED, and what the kernel refuses
   */
  create(request: VnicRequest): Promise<Vnic> {
    return this.#serial.run(async () => {
      const { name, overlay, temporary } = request;
      const entry: Entry = { overlay, record: this.#newRecord(request), standing: { kind: 'new' } };
      try {
        await this.#parts.records.change(
          overlay,
          temporary,
          (record) => withVnic(record, entry.record),
          () => {
            if (vnicIn(this.#parts.records, 'up', overlay, name) === undefined) throw deletedMeanwhile(name, overlay);
            this.#links.add(entry);
            this.#entries.set(name, entry);
          },
        );
      } catch (error) {
        // Only where the record could not be taken back.
        if (vnicIn(this.#parts.records, 'up', overlay, name) !== undefined)
          this.#entries.set(name, { ...entry, standing: { kind: 'failed', reason: messageOf(error) } });
        throw error;
      } finally {
        this.#watch.update();
      }
      return this.#show(entry);
    });
  }

  /**
   * Also one that is not there. `temporary`: what is saved of it stays, for up-overlay.
   * @throws OverlayError VNIC_NOT_FOUND, STATE_NOT_SAVED; then nothing was changed
   */
  delete(name: string, temporary: boolean): Promise<void> {
    return this.#serial.run(async () => {
      const overlay = overlayOfVnic(this.#parts.records, name, temporary ? ['up'] : ['up', 'saved']);
      if (overlay === undefined) throw notFound(name, 'delete');
      const entry = this.#recorded(overlay).find(({ record }) => record.name === name);
      await this.#parts.records.change(
        overlay,
        temporary,
        (record) => withoutVnic(record, name),
        () => {
          if (entry === undefined) return;
          this.#links.remove(entry);
          this.#entries.delete(name);
        },
      );
      this.#watch.update();
    });
  }

  /** The overlay is there (again): what is there of its VNICs is adopted as it is, what is missing is made. Never throws; list() says how it went. */
  restore({ name: overlay, vnics }: Pick<OverlayRecord, 'name' | 'vnics'>): void {
    for (const record of vnics) {
      const known = this.#entries.get(record.name);
      if (known !== undefined && known.overlay !== overlay) {
        this.#parts.log.warn({ overlay, vnic: record.name, other: known.overlay }, 'vnic is recorded of two overlays');
        continue;
      }
      const entry: Entry = known ?? { overlay, record, standing: { kind: 'new' } };
      // What somebody deleted is made again when a person brings the overlay up.
      if (entry.standing.kind !== 'there') entry.standing = { kind: 'new' };
      this.#entries.set(record.name, entry);
      this.#settle(entry);
    }
    this.#watch.update();
  }

  /** While `work` runs nobody makes, changes or deletes a VNIC. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#serial.run(work);
  }

  /** The link of the overlay is another one: what was made on the old one at the last moment is made again. */
  remade(overlay: string): void {
    for (const entry of this.#entries.values()) {
      if (entry.overlay !== overlay) continue;
      entry.standing = { kind: 'new' };
      this.#settle(entry);
    }
    this.#watch.update();
  }

  /** By name, whole or of one overlay. @throws OverlayError VNIC_UNREADABLE */
  list(overlay?: string): readonly Vnic[] {
    const rows = this.#listed(overlay).map((entry) => this.#show(entry));
    this.#watch.update();
    return rows;
  }

  /**
   * list() of all, in slices: to look into a namespace takes a thread and some tenths of a millisecond, and there may be thousands.
   * @throws OverlayError VNIC_UNREADABLE
   */
  async listAll(): Promise<readonly Vnic[]> {
    const { clock, records } = this.#parts;
    const rows: Vnic[] = [];
    let began = clock.now();
    for (const entry of this.#listed(undefined)) {
      // It may have been deleted meanwhile.
      if (vnicIn(records, 'up', entry.overlay, entry.record.name) !== undefined) rows.push(this.#show(entry));
      if (clock.now() - began < LIST_SLICE_MS) continue;
      await turn();
      began = clock.now();
    }
    this.#watch.update();
    return rows;
  }

  /** Is there one of this name in list()? The kernel is not asked. */
  isKnown(name: string): boolean {
    return this.#entries.has(name) || overlayOfVnic(this.#parts.records, name, ['up']) !== undefined;
  }

  /** What those over this overlay that are there are called from inside it. @throws what list() and KernelNetwork.addressesOf() throw. */
  addresses(overlay: string): readonly LocalAddress[] {
    return this.list(overlay).flatMap(({ mac, index, netns }) =>
      index === undefined ? [] : [{ mac, ips: this.#parts.kernel.addressesOf(index, netns) }],
    );
  }

  /** Was a VNIC of this overlay made with this address? As it is recorded: the kernel is not asked, so this costs little. */
  has(overlay: string, mac: MacAddress): boolean {
    return this.#parts.records.get('up', overlay)?.vnics.some((vnic) => vnic.mac === mac) === true;
  }

  /** Overlayd has nothing to do with the overlay any more; links are left as they are, or went with it. */
  forget(overlay: string): void {
    for (const [name, entry] of this.#entries) if (entry.overlay === overlay) this.#entries.delete(name);
    this.#watch.update();
  }

  /** Looks after no namespace any more. */
  close(): void {
    this.#entries.clear();
    this.#watch.close();
  }

  /** Names of VNICs whose mtu is larger than this, there or not. */
  vnicsAbove(overlay: string, mtu: number): readonly string[] {
    const all = [...recordedOver(this.#parts.records, overlay), ...this.list(overlay)];
    return inOrder(all.filter((vnic) => vnic.mtu > mtu).map(({ name }) => name));
  }

  /** Names of VNICs that belong to an overlay and have no link; unless `temporary`, also those that are only saved. */
  absent(overlay: string, temporary: boolean): readonly string[] {
    const down = this.list(overlay).filter(({ index }) => index === undefined);
    const saved = temporary ? [] : recordedOver(this.#parts.records, overlay).filter(({ name }) => !this.#entries.has(name));
    return inOrder([...down, ...saved].map(({ name }) => name));
  }

  /** @throws OverlayError VNIC_NOT_FOUND, VNIC_UNREADABLE */
  properties(name: string): readonly VnicPropertyRow[] {
    const entry = this.#get(name);
    const { mtu, state } = this.#show(entry);
    const saved = vnicIn(this.#parts.records, 'saved', entry.overlay, name);
    return propertyRows({ mtu, state, record: entry.record, saved, overlayMtu: this.#parts.overlay(entry.overlay).facts.mtu });
  }

  /**
   * All of them or none; without `temporary` also for the time after a reboot.
   * @returns warnings, one line each
   * @throws OverlayError VNIC_NOT_FOUND, CHANGE_NOT_PERSISTENT, PROPERTY_*, MTU_RANGE, NETNS_NOT_FOUND, LINK_EXISTS,
   * STATE_NOT_SAVED, and what the kernel refuses; then nothing was changed, but that a VNIC that could not be made in its new
   * namespace is back in the old one without the addresses it had
   */
  set(name: string, properties: readonly PropertyText[], temporary: boolean): Promise<readonly string[]> {
    return this.#serial.run(() => this.#change(name, () => readChanges(properties), temporary));
  }

  /** The mtu of the overlay, overlayd's own namespace. `names`: null for both. @throws as set() */
  reset(name: string, names: readonly string[] | null, temporary: boolean): Promise<readonly string[]> {
    return this.#serial.run(() => this.#change(name, (overlay) => defaultChanges(names, overlay.mtu), temporary));
  }

  /** @throws OverlayError VNIC_NOT_FOUND, VNIC_ABSENT */
  statistics(name: string): LinkStatistics {
    const entry = this.#get(name);
    const { index, netns, state } = this.#show(entry);
    if (index !== undefined) return this.#parts.kernel.statistics(index, netns);
    throw new OverlayError('VNIC_ABSENT', `${name}: is not there (${state})`, { details: { vnic: name, state } });
  }

  async #change(name: string, changesOf: (overlay: OverlayOfVnic) => VnicChanges, temporary: boolean): Promise<readonly string[]> {
    const entry = this.#get(name);
    const { facts } = this.#parts.overlay(entry.overlay);
    const before = entry.record;
    const changes = changesOf(facts);
    const after: VnicRecord = { ...before, ...changes };
    if (!temporary && vnicIn(this.#parts.records, 'saved', entry.overlay, name) === undefined) throw temporaryOnly(name);
    checkMtu(name, after.mtu, facts);
    if (after.netns !== before.netns) this.#links.refuseName(entry.overlay, name, after.netns);
    const wasThere = this.#links.observe(entry) !== undefined;
    const put = (record: OverlayRecord): OverlayRecord => ({
      ...record,
      vnics: record.vnics.map((vnic) => (vnic.name === name ? { ...vnic, ...changes } : vnic)),
    });
    try {
      await this.#parts.records.change(entry.overlay, temporary, put, () => this.#links.change(entry, after));
    } finally {
      this.#watch.update();
    }
    if (!wasThere || after.netns === before.netns) return [];
    return [
      `${name}: was made anew in ${after.netns === null ? 'the namespace of overlayd' : `namespace ${after.netns}`}; its addresses and routes are gone`,
    ];
  }

  /** Everything is checked before anything is done. */
  #newRecord(request: VnicRequest): VnicRecord {
    const { overlay, records, randomBytes } = this.#parts;
    const { facts } = overlay(request.overlay);
    return newVnic(request, {
      overlay: facts,
      records,
      randomBytes,
      isUp: this.#entries.has(request.name),
      refuseName: (netns) => this.#links.refuseName(facts.name, request.name, netns),
      usedMacs: () => this.#usedMacs(facts.name),
    });
  }

  /** Addresses that VNICs of this overlay have, or will have again, and whose they are. */
  #usedMacs(overlay: string): ReadonlyMap<string, string> {
    return new Map([...recordedOver(this.#parts.records, overlay), ...this.list(overlay)].map(({ mac, name }) => [mac, name]));
  }

  #show(entry: Entry): Vnic {
    const { overlay, record } = entry;
    const link = this.#entries.has(record.name) ? this.#links.observe(entry) : undefined;
    return {
      name: record.name,
      overlay,
      // The kernel's word on what can be changed by anybody with "ip link".
      mac: link?.mac ?? (record.mac as MacAddress),
      mtu: link?.mtu ?? record.mtu,
      netns: record.netns ?? undefined,
      vid: record.vid ?? undefined,
      index: link?.index,
      state: link === undefined ? (absence(entry.standing, record) ?? 'down') : this.#linkState(record, link),
      persistent: vnicIn(this.#parts.records, 'saved', overlay, record.name) !== undefined,
    };
  }

  #linkState({ name, netns, vid }: VnicRecord, { name: now, up, carrier }: LinkInfo): string {
    if (vid !== null && this.#parts.kernel.vlanOf(now, netns ?? undefined) !== vid) return `without the tags of VLAN ${vid}`;
    const state = up && carrier ? 'up' : 'down';
    return now === name ? state : `${state}, renamed to ${now}`;
  }

  #listed(overlay: string | undefined): readonly Entry[] {
    const overlays = overlay === undefined ? this.#parts.records.names('up') : [overlay];
    return overlays.flatMap((each) => this.#recorded(each)).toSorted((a, b) => byNumber(a.record.name, b.record.name));
  }

  /** Those of an overlay; of one that is not there they are new: nobody has looked at them. */
  #recorded(overlay: string): readonly Entry[] {
    const vnics = this.#parts.records.get('up', overlay)?.vnics ?? [];
    return vnics.map((record) => this.#entries.get(record.name) ?? { overlay, record, standing: { kind: 'new' } });
  }

  #get(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw notFound(name);
    return entry;
  }

  #settleDue(): void {
    for (const entry of this.#entries.values()) if (needsWatch(entry.standing, entry.record) && this.#links.isDue(entry)) this.#settle(entry);
  }

  #settle(entry: Entry): void {
    try {
      this.#links.settle(entry);
    } catch (error) {
      entry.standing = { kind: 'failed', reason: messageOf(error) };
      this.#parts.log.warn({ overlay: entry.overlay, vnic: entry.record.name, error: messageOf(error) }, 'vnic cannot be settled');
    }
  }
}
