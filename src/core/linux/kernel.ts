// KernelNetwork over the real kernel: netlink sockets, /proc and an nftables table, held together for one state directory.
import type { IpAddress, IpFamily } from '@overlayadm/api';
import { MAX_LINK_NAME_BYTES } from '../util/limits.ts';
import { carriersOf, hasAddress, listAddresses, routeMtu } from './addresses.ts';
import { KernelFilter } from './kernel-filter.ts';
import { addMacvlan, deleteLink, getLink, getLinkAt, getStatistics, listLinks, setLink, withoutQdisc } from './links.ts';
import { formatMark } from './marks.ts';
import {
  namespaceId,
  namespacePath,
  type OtherNamespace,
  openRouteSocket,
  otherNamespaces,
  ourIdIn,
  ownNamespaceId,
  withNamespaceFd,
} from './namespaces.ts';
import { NETLINK, type NetlinkIo, NetlinkSocket } from './netlink/socket.ts';
import { IsolationTable } from './nftables.ts';
import { hideFromHost, notFound, notOurs } from './overlay-link.ts';
import { holderOfUdpPort } from './ports.ts';
import { mtuOf, routeTo } from './routes.ts';
import { fragFails } from './snmp.ts';
import type { FdbRow, KernelNetwork, LinkInfo, LinkStatistics, OverlayLinkOptions, UpperLink, VnicSpec, VxlanSpec } from './types.ts';
import { announceMark } from './uevent.ts';
import { attachTags, type BpfIo, type TagPlace, tagOf } from './vlan-hooks.ts';
import { VxlanLinks } from './vxlan-links.ts';

export interface LinuxKernelParts {
  readonly io: NetlinkIo & BpfIo;
  /** Names the state directory in marks and in the name of the nftables table: `[A-Za-z0-9_-]{1,64}`. */
  readonly stateId: string;
  /** False: VLAN tags as on a kernel before 6.6, which has no TCX. */
  readonly tcx?: boolean;
}

/** Links up to this number are read one by one. */
const FEW_LINKS = 16;

export class LinuxKernel implements KernelNetwork {
  readonly #io: NetlinkIo & BpfIo;
  readonly #stateId: string;
  readonly #tcx: boolean;
  readonly #route: NetlinkSocket;
  readonly #isolation: IsolationTable;
  readonly #filter: KernelFilter;
  readonly #vxlans: VxlanLinks;

  /** Opens the route socket; the nftables tables are made with the first overlay that needs them. @throws OverlayError */
  constructor({ io, stateId, tcx = true }: LinuxKernelParts) {
    formatMark({ stateId, name: 'overlay0' });
    this.#io = io;
    this.#stateId = stateId;
    this.#tcx = tcx;
    this.#route = openRouteSocket(io);
    this.#isolation = new IsolationTable(io, stateId);
    this.#filter = new KernelFilter(io, stateId);
    this.#vxlans = new VxlanLinks({ route: this.#route, stateId, filter: this.#filter });
  }

  networkNamespaceId(): number {
    return ownNamespaceId();
  }

  namespaceId(netns: string): string | undefined {
    return namespaceId(netns);
  }

  link(name: string, netns?: string): LinkInfo | undefined {
    const link = this.#find(name, netns);
    return link?.name === name ? link : undefined;
  }

  links(netns?: string): readonly LinkInfo[] {
    return this.#in(netns, (socket) => listLinks(socket, this.#stateId));
  }

  refuseLinkName(name: string, netns?: string): string | undefined {
    if (name === '' || Buffer.byteLength(name) > MAX_LINK_NAME_BYTES) return `is not a name of a link (1-${MAX_LINK_NAME_BYTES} bytes)`;
    const link = this.#find(name, netns);
    if (link === undefined) return undefined;
    const where = netns === undefined ? '' : ` in network namespace ${netns}`;
    return link.name === name ? `exists already${where} (${link.kind ?? 'a link'})` : `is another name of the link ${link.name}${where}`;
  }

  prepareOverlayLink(name: string, options: OverlayLinkOptions): LinkInfo {
    const link = this.#overlay(name);
    const alreadyIsolated = this.#isolation.has(name);
    try {
      setLink(this.#route, link, {
        alias: this.#mark(name),
        mtu: options.mtu,
        noarp: true,
        ...(options.mac === undefined ? {} : { mac: options.mac }),
        ...(options.queueFrames === undefined ? {} : { txQueueLength: options.queueFrames }),
      });
      hideFromHost(this.#route, link);
      this.#isolation.add(name);
      if (!link.up) withoutQdisc(this.#route, link);
      setLink(this.#route, link, { up: true });
      announceMark(name, link.index);
      return this.#existing(name, undefined);
    } catch (error) {
      if (!alreadyIsolated) this.#isolation.remove(name);
      throw error;
    }
  }

  releaseOverlayLink(name: string): void {
    this.#isolation.remove(name);
  }

  deleteOverlayLink(name: string): void {
    const link = this.#existing(name, undefined);
    if (!link.ours || link.kind === 'macvlan') throw notOurs(name, undefined, link);
    deleteLink(this.#route, link);
    this.#isolation.remove(name);
  }

  refuseVxlan(): string | undefined {
    return this.#vxlans.refuse();
  }

  addVxlan(spec: VxlanSpec): LinkInfo {
    return this.#vxlans.add(spec);
  }

  adoptVxlan(spec: VxlanSpec): LinkInfo {
    return this.#vxlans.adopt(spec);
  }

  raiseVxlan(name: string): LinkInfo {
    return this.#vxlans.raise(name);
  }

  moveVxlan(name: string, listenIp: IpAddress): void {
    this.#vxlans.move(name, listenIp);
  }

  releaseVxlan(name: string): void {
    this.#filter.remove(name);
  }

  fdbRows(index: number): readonly FdbRow[] {
    return this.#vxlans.rows(index);
  }

  repairFilter(): boolean {
    return this.#filter.repair();
  }

  sweepFilter(): void {
    this.#filter.sweep();
  }

  setMtu(name: string, mtu: number, netns?: string): void {
    const link = this.#existing(name, netns);
    if (!link.ours) throw notOurs(name, netns, link);
    this.#in(netns, (socket) => setLink(socket, link, { mtu }));
    if (netns !== undefined || !(this.#isolation.has(name) || this.#filter.has(name))) return;
    // Below 1280 bytes a link loses its IPv6 settings, and has the defaults when it grows again (net/ipv6/addrconf.c).
    hideFromHost(this.#route, link);
  }

  addVnic(spec: VnicSpec): LinkInfo {
    const { name, mac, mtu, netns, vid } = spec;
    const lowerIndex = this.#overlay(spec.overlay).index;
    const macvlan = { name, lowerIndex, mac, mtu, down: vid !== undefined };
    if (netns === undefined) addMacvlan(this.#route, macvlan);
    else withNamespaceFd(netns, (netnsFd) => addMacvlan(this.#route, { ...macvlan, netnsFd }));
    return this.#in(netns, (socket) => {
      const made = getLink(socket, name, this.#stateId);
      if (made === undefined) throw notFound(name, netns);
      try {
        if (vid !== undefined) attachTags(this.#tagPlace(socket, made, netns), vid, this.#tcx);
        setLink(socket, made, { alias: this.#mark(name) });
        if (vid !== undefined) setLink(socket, made, { up: true });
        if (netns === undefined) announceMark(name, made.index);
        return getLink(socket, name, this.#stateId) ?? made;
      } catch (error) {
        deleteLink(socket, made);
        throw error;
      }
    });
  }

  vlanOf(name: string, netns?: string): number | undefined {
    const link = this.#existing(name, netns);
    return this.#in(netns, (socket) => tagOf(this.#tagPlace(socket, link, netns)));
  }

  deleteVnic(name: string, netns?: string): void {
    const link = this.#existing(name, netns);
    if (!link.ours || link.kind !== 'macvlan') throw notOurs(name, netns, link);
    this.#in(netns, (socket) => deleteLink(socket, link));
  }

  linksAbove(index: number): readonly UpperLink[] {
    const here = this.links().filter((link) => link.lowerIndex === index && link.lowerNetnsId === undefined);
    const elsewhere = otherNamespaces().flatMap((namespace) => this.#linksAboveIn(namespace, index));
    return [...here.map((link) => ({ ...link, netns: undefined })), ...elsewhere];
  }

  vnicsElsewhere(): readonly UpperLink[] {
    const named = otherNamespaces().filter(({ label }) => !label.startsWith('pid '));
    return named.flatMap((namespace) => this.#linksIn(namespace).filter((link) => link.ours && link.kind === 'macvlan'));
  }

  hostHasAddress(ip: IpAddress): boolean {
    return hasAddress(listAddresses(this.#route), ip);
  }

  addressesOf(index: number, netns?: string): readonly IpAddress[] {
    const addresses = this.#in(netns, (socket) => listAddresses(socket));
    return addresses.filter((address) => address.linkIndex === index).map((address) => address.ip);
  }

  routeMtu(ip: IpAddress): number | undefined {
    const addresses = listAddresses(this.#route);
    return routeMtu(addresses, this.#linksAt(carriersOf(addresses, ip)), ip);
  }

  mtuTo(from: IpAddress, to: IpAddress): number | undefined {
    try {
      const route = routeTo(this.#route, from, to);
      return mtuOf(route, this.#linksAt(new Set(route === undefined ? [] : [route.linkIndex])));
    } catch {
      return undefined;
    }
  }

  async whoHasUdpPort(family: IpFamily, address: IpAddress, port: number): Promise<string | undefined> {
    try {
      return await holderOfUdpPort(this.links(), family, address, port);
    } catch {
      return undefined;
    }
  }

  statistics(index: number, netns?: string): LinkStatistics {
    return this.#in(netns, (socket) => getStatistics(socket, index));
  }

  fragFails(): number {
    return fragFails();
  }

  close(): void {
    this.#isolation.close();
    this.#filter.close();
    this.#route.close();
  }

  #mark(name: string): string {
    return formatMark({ stateId: this.#stateId, name });
  }

  #in<T>(netns: string | undefined, use: (socket: NetlinkSocket) => T): T {
    if (netns === undefined) return use(this.#route);
    const socket = openRouteSocket(this.#io, netns);
    try {
      return use(socket);
    } finally {
      socket.close();
    }
  }

  #tagPlace(socket: NetlinkSocket, link: LinkInfo, netns: string | undefined): TagPlace {
    return { io: this.#io, socket, link, namespace: netns === undefined ? undefined : namespacePath(netns) };
  }

  /** Also by another name. */
  #find(name: string, netns: string | undefined): LinkInfo | undefined {
    return this.#in(netns, (socket) => getLink(socket, name, this.#stateId));
  }

  /** Read one by one where they are few, because a host may have thousands of others. */
  #linksAt(indexes: ReadonlySet<number>): readonly LinkInfo[] {
    if (indexes.size > FEW_LINKS) return this.links();
    return [...indexes].flatMap((index) => getLinkAt(this.#route, index, this.#stateId) ?? []);
  }

  #existing(name: string, netns: string | undefined): LinkInfo {
    const link = this.link(name, netns);
    if (link === undefined) throw notFound(name, netns);
    return link;
  }

  /** A link that may be, or become, an overlay of ours: one without any alias has just been made by the caller. */
  #overlay(name: string): LinkInfo {
    const link = this.#existing(name, undefined);
    if (!link.ours && link.alias !== undefined) throw notOurs(name, undefined, link);
    return link;
  }

  #linksAboveIn(namespace: OtherNamespace, index: number): UpperLink[] {
    return this.#linksIn(namespace).filter((link) => link.lowerIndex === index && link.lowerNetnsId === link.ourId);
  }

  /** With the number that our own namespace has there; none where nobody there knows it. */
  #linksIn(namespace: OtherNamespace): (UpperLink & { readonly ourId: number })[] {
    let socket: NetlinkSocket;
    try {
      socket = new NetlinkSocket(this.#io, { protocol: NETLINK.route, namespace: namespace.path });
    } catch {
      // The namespace went, or is not ours to enter; what it hides shows as the kernel's own refusal.
      return [];
    }
    try {
      const ourId = ourIdIn(socket);
      if (ourId === undefined) return [];
      return listLinks(socket, this.#stateId).map((link) => ({ ...link, netns: namespace.label, ourId }));
    } finally {
      socket.close();
    }
  }
}
