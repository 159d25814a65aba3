// The links of VNICs: looked at, adopted, made, moved and deleted, so that each is where its record says.
import { type MacAddress, messageOf, OverlayError } from '@overlayadm/api';
import type { KernelNetwork, LinkInfo, VnicSpec } from '../linux/types.ts';
import type { Log } from '../util/log.ts';
import type { VnicRecord } from './record.ts';
import { absence, OWN_NAMESPACE, type Seen, type Standing, step } from './vnic-state.ts';

/** A VNIC of this host, there or not. */
export interface Entry {
  readonly overlay: string;
  /** As it is recorded. */
  record: VnicRecord;
  standing: Standing;
}

export interface VnicLinksParts {
  readonly kernel: Pick<
    KernelNetwork,
    'addVnic' | 'deleteVnic' | 'link' | 'links' | 'linksAbove' | 'namespaceId' | 'refuseLinkName' | 'setMtu' | 'vlanOf'
  >;
  readonly log: Log;
  /** MTU of an overlay, bytes. @throws OverlayError when it is not there */
  mtu(overlay: string): number;
}

interface Sight extends Seen {
  readonly info: LinkInfo | undefined;
}

const codeOf = (error: unknown): string | undefined => (OverlayError.is(error) ? error.code : undefined);
const isVnicOver = (link: LinkInfo, overlay: LinkInfo | undefined): boolean =>
  link.ours && link.kind === 'macvlan' && link.lowerIndex !== undefined && link.lowerIndex === overlay?.index;
const netnsOf = ({ netns }: VnicRecord): string | undefined => netns ?? undefined;

export class VnicLinks {
  readonly #parts: VnicLinksParts;

  constructor(parts: VnicLinksParts) {
    this.#parts = parts;
  }

  /** Its link when it is there; otherwise `standing` says why not. Changes nothing else. @throws OverlayError VNIC_UNREADABLE */
  observe(entry: Entry): LinkInfo | undefined {
    const { info, ...seen } = this.#look(entry);
    this.#stand(entry, step(entry.standing, seen).standing);
    return entry.standing.kind === 'there' ? info : undefined;
  }

  /** Brings it to where its record says, if that can be. `standing` says how that went. @throws OverlayError VNIC_UNREADABLE */
  settle(entry: Entry): void {
    const { info, ...seen } = this.#look(entry);
    const isNew = entry.standing.kind === 'new';
    const next = step(entry.standing, seen);
    if (isNew && info !== undefined && next.standing.kind === 'there') this.#nameDifferences(entry, info);
    this.#stand(entry, next.make ? this.#made(entry, seen.namespace ?? OWN_NAMESPACE) : next.standing);
  }

  /** Has its namespace come, gone or been replaced since it was looked at, or is there another reason to try again? */
  isDue({ record, standing }: Entry): boolean {
    if (standing.kind !== 'there' && standing.kind !== 'deleted') return true;
    return record.netns !== null && this.#parts.kernel.namespaceId(record.netns) !== standing.namespace;
  }

  /**
   * May a VNIC that is not recorded there be made under this name? What overlayd has left there when it was killed while it
   * deleted one is removed. @throws OverlayError LINK_EXISTS, NETNS_NOT_FOUND, NETNS_NAME
   */
  refuseName(overlay: string, name: string, netns: string | null): void {
    const { kernel, log } = this.#parts;
    const where = netns ?? undefined;
    const reason = kernel.refuseLinkName(name, where);
    if (reason === undefined) return;
    const link = kernel.link(name, where);
    if (link === undefined || link.mark?.name !== name || !isVnicOver(link, kernel.link(overlay))) {
      throw new OverlayError('LINK_EXISTS', `${name} ${reason}`, { details: { vnic: name }, advice: 'Choose another name.' });
    }
    kernel.deleteVnic(name, where);
    log.info({ overlay, vnic: name, netns }, 'what a deleted vnic had left was removed');
  }

  /** @throws OverlayError of KernelNetwork.addVnic() */
  add(entry: Entry): void {
    const { netns } = entry.record;
    this.#add(entry);
    const namespace = netns === null ? OWN_NAMESPACE : this.#parts.kernel.namespaceId(netns);
    entry.standing = namespace === undefined ? { kind: 'waiting' } : { kind: 'there', namespace };
  }

  /** Fine when it is not there. */
  remove(entry: Entry): void {
    const link = this.observe(entry);
    if (link === undefined) return this.#removeRenamed(entry);
    try {
      this.#parts.kernel.deleteVnic(link.name, netnsOf(entry.record));
    } catch (error) {
      // It went meanwhile, with its namespace or without.
      if (codeOf(error) !== 'LINK_NOT_FOUND' && codeOf(error) !== 'NETNS_NOT_FOUND') throw error;
    }
  }

  /**
   * Changes the link to this record, all of it or nothing. Another namespace means another link: a link that is moved loses its
   * addresses, its routes and its queueing disciplines, and with these its VLAN tags on kernels without TCX, and comes down
   * (net/core/dev.c, __dev_change_net_namespace()), so that moving it saves nothing and could only end half way.
   * @throws OverlayError of the kernel
   */
  change(entry: Entry, to: VnicRecord): void {
    const from = entry.record;
    const link = this.observe(entry);
    const isThere = link !== undefined;
    if (to.netns === from.netns) {
      if (isThere && to.mtu !== link.mtu) this.#parts.kernel.setMtu(link.name, to.mtu, netnsOf(to));
      entry.record = to;
      return;
    }
    if (isThere) this.remove(entry);
    entry.record = to;
    try {
      this.add(entry);
    } catch (error) {
      entry.record = from;
      entry.standing = { kind: 'new' };
      if (isThere) this.settle(entry);
      throw error;
    }
  }

  /** Whoever has the namespace may call it otherwise (as containers do: eth0); it is no less on the overlay. */
  #removeRenamed({ overlay, record }: Entry): void {
    const { kernel, log } = this.#parts;
    const above = kernel.linksAbove(kernel.link(overlay)?.index ?? -1);
    const isIt = ({ ours, kind, mark, netns }: (typeof above)[number]): boolean =>
      ours && kind === 'macvlan' && mark?.name === record.name && netns === netnsOf(record);
    for (const { name, netns } of above.filter(isIt)) {
      kernel.deleteVnic(name, netns);
      log.info({ overlay, vnic: record.name, link: name, netns }, 'vnic was deleted under the name it has now');
    }
  }

  #look({ overlay, record }: Entry): Sight {
    const { kernel } = this.#parts;
    try {
      const namespace = record.netns === null ? OWN_NAMESPACE : kernel.namespaceId(record.netns);
      if (namespace === undefined) return { namespace, link: 'none', info: undefined };
      const below = kernel.link(overlay);
      const named = kernel.link(record.name, netnsOf(record));
      if (named !== undefined && isVnicOver(named, below)) return { namespace, link: 'own', info: named };
      // Whoever has the namespace may call it otherwise, as containers do: eth0.
      const renamed = kernel.links(netnsOf(record)).find((link) => isVnicOver(link, below) && link.mark?.name === record.name);
      if (renamed !== undefined) return { namespace, link: 'own', info: renamed };
      return { namespace, link: named === undefined ? 'none' : 'foreign', info: named };
    } catch (error) {
      if (codeOf(error) === 'NETNS_NOT_FOUND') return { namespace: undefined, link: 'none', info: undefined };
      throw new OverlayError('VNIC_UNREADABLE', `${record.name}: cannot be looked at (${messageOf(error)})`, {
        details: { vnic: record.name },
        cause: error,
      });
    }
  }

  #made(entry: Entry, namespace: string): Standing {
    try {
      this.#addAgain(entry);
      this.#parts.log.info({ overlay: entry.overlay, vnic: entry.record.name }, 'vnic made again');
      return { kind: 'there', namespace };
    } catch (error) {
      if (codeOf(error) === 'NETNS_NOT_FOUND') return { kind: 'waiting' };
      if (codeOf(error) === 'LINK_EXISTS') return { kind: 'foreign' };
      return { kind: 'failed', reason: messageOf(error) };
    }
  }

  /** When overlayd was killed while it moved a VNIC, its link may be left where it was, and has its address. */
  #addAgain(entry: Entry): void {
    try {
      this.#add(entry);
    } catch (error) {
      if (codeOf(error) !== 'VNIC_MAC_IN_USE' || !this.#removeLeftover(entry)) throw error;
      this.#add(entry);
    }
  }

  #removeLeftover({ overlay, record }: Entry): boolean {
    const { kernel, log } = this.#parts;
    const above = kernel.linksAbove(kernel.link(overlay)?.index ?? -1);
    const isLeft = ({ name, ours, kind, mark, mac }: LinkInfo): boolean =>
      name === record.name && ours && kind === 'macvlan' && mark?.name === name && mac === record.mac;
    // A namespace without a name ("pid 7") cannot be entered; what is in it goes with it.
    const left = above.find((link) => isLeft(link) && !link.netns?.includes(' '));
    if (left === undefined) return false;
    kernel.deleteVnic(left.name, left.netns);
    log.info({ overlay, vnic: left.name, netns: left.netns }, 'what a move had left was removed');
    return true;
  }

  #add({ overlay, record }: Entry): void {
    const { name, netns, vid } = record;
    const spec: VnicSpec = {
      name,
      overlay,
      mac: record.mac as MacAddress,
      // The kernel makes no macvlan that is larger than what it stands on.
      mtu: Math.min(record.mtu, this.#parts.mtu(overlay)),
      ...(netns === null ? {} : { netns }),
      ...(vid === null ? {} : { vid }),
    };
    this.#parts.kernel.addVnic(spec);
  }

  #stand(entry: Entry, standing: Standing): void {
    const before = absence(entry.standing, entry.record);
    entry.standing = standing;
    const state = absence(standing, entry.record);
    if (state !== before && state !== undefined)
      this.#parts.log.info({ overlay: entry.overlay, vnic: entry.record.name, state }, 'vnic is not there');
  }

  /** Adopted as it is: others may have had their reasons. */
  #nameDifferences({ overlay, record }: Entry, info: LinkInfo): void {
    const { kernel, log } = this.#parts;
    const vid = record.vid === null ? null : (kernel.vlanOf(info.name, netnsOf(record)) ?? null);
    const now = { name: info.name, mtu: info.mtu, mac: info.mac, vid };
    const differing = (['name', 'mtu', 'mac', 'vid'] as const).filter((what) => now[what] !== record[what]);
    const differences = differing.map((what) => `${what} ${now[what]} instead of ${record[what]}`);
    if (differences.length > 0) log.warn({ overlay, vnic: record.name, differences }, 'vnic is not as it was recorded');
  }
}
