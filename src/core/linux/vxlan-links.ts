// The vxlan links of the kernel that overlays have: made, taken over, moved, each behind its filter before a frame may pass.
import { constants } from 'node:os';
import { type IpAddress, ipFamily, messageOf, OverlayError } from '@overlayadm/api';
import { listFdb } from './fdb.ts';
import type { FilterEntry } from './filter-entries.ts';
import type { KernelFilter } from './kernel-filter.ts';
import { deleteLink, getLink, getLinkAt, listLinks, setLink } from './links.ts';
import { formatMark } from './marks.ts';
import { NLM_F } from './netlink/message.ts';
import { RTM } from './netlink/rtnetlink.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { hideFromHost, notFound, notOurs } from './overlay-link.ts';
import type { FdbRow, LinkInfo, VxlanInfo, VxlanSpec } from './types.ts';
import { announceMark } from './uevent.ts';
import { encodeVxlan, encodeVxlanLocal } from './vxlan.ts';
import { differencesOf, linkDiffers, makingRefused, movingRefused, raisingRefused } from './vxlan-refusals.ts';

export interface VxlanParts {
  readonly route: NetlinkSocket;
  readonly stateId: string;
  readonly filter: KernelFilter;
}

type VxlanLink = LinkInfo & { readonly vxlan: VxlanInfo };

/** Never goes up, so that its port is nobody's; no overlay can have the name. Port and vnetid are of no use to anybody. */
const TRIAL: VxlanSpec = { name: 'overlayadm-vx', vnetid: 0xff_ffff, listenIp: '0.0.0.0' as IpAddress, port: 1, mtu: 1400 };

const anyOf = (ip: IpAddress): IpAddress => (ipFamily(ip) === 4 ? '0.0.0.0' : '::') as IpAddress;
const codeOf = (error: unknown): string | undefined => (OverlayError.is(error) ? error.code : undefined);

export class VxlanLinks {
  readonly #route: NetlinkSocket;
  readonly #stateId: string;
  readonly #filter: KernelFilter;
  #able = false;

  constructor({ route, stateId, filter }: VxlanParts) {
    this.#route = route;
    this.#stateId = stateId;
    this.#filter = filter;
  }

  /** See KernelNetwork.refuseVxlan(). */
  refuse(): string | undefined {
    if (this.#able) return undefined;
    let made: LinkInfo | undefined;
    try {
      made = this.#try();
    } catch (error) {
      const { code, errno } = OverlayError.is(error) ? error.details : {};
      if (errno === constants.errno.EOPNOTSUPP) return 'this kernel has no vxlan (EOPNOTSUPP); load it with "modprobe vxlan"';
      return codeOf(error) === 'NOT_PERMITTED' ? `a vxlan link needs CAP_NET_ADMIN (${code})` : `a vxlan link cannot be made (${messageOf(error)})`;
    }
    if (made?.vxlan === undefined) return 'a vxlan link that was made for a try has gone at once';
    if (made.vxlan.localBypass !== false) return 'Linux before 6.5 cannot leave the local bypass out (IFLA_VXLAN_LOCALBYPASS)';
    this.#able = true;
    return undefined;
  }

  /** See KernelNetwork.addVxlan(). */
  add(spec: VxlanSpec): LinkInfo {
    this.#make(spec);
    const made = this.#find(spec.name);
    if (made === undefined) throw notFound(spec.name);
    try {
      setLink(this.#route, made, { alias: formatMark({ stateId: this.#stateId, name: spec.name }), noarp: true });
      hideFromHost(this.#route, made);
      this.#filter.set(entryOf(spec, [spec.listenIp]));
      return this.#find(spec.name) ?? made;
    } catch (error) {
      this.#delete(made);
      throw error;
    }
  }

  /** See KernelNetwork.adoptVxlan(). */
  adopt(spec: VxlanSpec): LinkInfo {
    const link = this.#ours(spec.name);
    const differences = differencesOf(link, spec);
    if (Object.keys(differences).length > 0) throw linkDiffers(spec.name, differences);
    // The kernel says only by a refusal which family a link without address is of; nothing changes when it takes it.
    if (link.vxlan?.local === undefined) this.#changeLocal(link, anyOf(spec.listenIp));
    this.#listenAt(link, spec, link.vxlan?.local ?? anyOf(spec.listenIp));
    setLink(this.#route, link, { noarp: true, ...(link.mtu === spec.mtu ? {} : { mtu: spec.mtu }) });
    hideFromHost(this.#route, link);
    return this.#ours(spec.name);
  }

  /** See KernelNetwork.raiseVxlan(). */
  raise(name: string): LinkInfo {
    const link = this.#oursVxlan(name);
    try {
      setLink(this.#route, link, { up: true });
    } catch (error) {
      throw raisingRefused(name, link.vxlan.port, error);
    }
    announceMark(name, link.index);
    return this.#ours(name);
  }

  /** See KernelNetwork.moveVxlan(). */
  move(name: string, listenIp: IpAddress): void {
    const link = this.#oursVxlan(name);
    const { local, vnetid, port } = link.vxlan;
    if (local !== undefined && ipFamily(local) !== ipFamily(listenIp))
      throw linkDiffers(name, { family: `${ipFamily(local)}, not that of ${listenIp}` });
    this.#listenAt(link, { name, vnetid, port, listenIp }, local ?? anyOf(listenIp));
  }

  /** See KernelNetwork.fdbRows(). */
  rows(index: number): readonly FdbRow[] {
    const { vxlan } = getLinkAt(this.#route, index, this.#stateId) ?? {};
    if (vxlan === undefined) throw notFound(`vxlan link ${index}`);
    return listFdb(this.#route, index, vxlan.port);
  }

  /** Both addresses are let in until the link has the new one; all as before when it throws. */
  #listenAt(link: LinkInfo, spec: Guarded, from: IpAddress): void {
    const { listenIp } = spec;
    const undoFilter = this.#filter.set(entryOf(spec, [...new Set([from, listenIp])]));
    try {
      this.#changeLocal(link, listenIp);
    } catch (error) {
      undoFilter();
      throw error;
    }
    try {
      this.#filter.set(entryOf(spec, [listenIp]));
    } catch (error) {
      try {
        this.#changeLocal(link, from);
      } finally {
        undoFilter();
      }
      throw error;
    }
  }

  #changeLocal(link: LinkInfo, listenIp: IpAddress): void {
    try {
      this.#route.request({ subject: link.name, action: 'be changed' }, RTM.newLink, 0, ...encodeVxlanLocal(link.index, listenIp));
    } catch (error) {
      throw movingRefused(link.name, listenIp, error);
    }
  }

  #make(spec: VxlanSpec): void {
    try {
      this.#route.request({ subject: spec.name, action: 'be made' }, RTM.newLink, NLM_F.create | NLM_F.excl, ...encodeVxlan(spec));
    } catch (error) {
      const links = (): readonly LinkInfo[] => listLinks(this.#route, this.#stateId);
      throw makingRefused(spec, error, links, () => this.#find(spec.name) !== undefined);
    }
  }

  /** A link as it was made for a try, and deleted; undefined when somebody else has deleted it meanwhile. */
  #try(): LinkInfo | undefined {
    try {
      this.#route.request({ subject: TRIAL.name, action: 'be made' }, RTM.newLink, NLM_F.create | NLM_F.excl, ...encodeVxlan(TRIAL));
    } catch (error) {
      // That of another overlayd, or of one that was killed at this point.
      if (codeOf(error) !== 'LINK_EXISTS') throw error;
    }
    const made = this.#find(TRIAL.name);
    if (made?.vxlan?.port === TRIAL.port && made.vxlan.vnetid === TRIAL.vnetid && !made.up) this.#delete(made);
    return made;
  }

  /** Does not say that it has gone already, or that it stays: it is called where something else is said. */
  #delete(link: LinkInfo): void {
    try {
      deleteLink(this.#route, link);
    } catch {
      // See above.
    }
  }

  #find(name: string): LinkInfo | undefined {
    return getLink(this.#route, name, this.#stateId);
  }

  #ours(name: string): LinkInfo {
    const link = this.#find(name);
    if (link?.name !== name) throw notFound(name);
    if (!link.ours) throw notOurs(name, undefined, link);
    return link;
  }

  #oursVxlan(name: string): VxlanLink {
    const link = this.#ours(name);
    const { vxlan } = link;
    if (vxlan === undefined) throw linkDiffers(name, { kind: `${link.kind ?? 'none'}, not vxlan` });
    return { ...link, vxlan };
  }
}

type Guarded = Pick<VxlanSpec, 'name' | 'vnetid' | 'port' | 'listenIp'>;

const entryOf = ({ name, vnetid, port, listenIp }: Guarded, ips: readonly IpAddress[]): FilterEntry => ({
  name,
  family: ipFamily(listenIp),
  port,
  vnetid,
  ips,
});
