// KernelNetwork over the real kernel: netlink sockets, /proc and an nftables table, held together for one state directory.
import { constants } from 'node:os';
import { type IpAddress, type IpFamily, OverlayError } from '@overlayadm/api';
import { MAX_LINK_NAME_BYTES } from '../util/limits.ts';
import { carriersOf, hasAddress, listAddresses, routeMtu } from './addresses.ts';
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
import { holderOfUdpPort } from './ports.ts';
import { mtuOf, routeTo } from './routes.ts';
import { isolateInterface } from './sysctl.ts';
import type { KernelNetwork, LinkInfo, LinkStatistics, OverlayLinkOptions, UpperLink, VnicSpec } from './types.ts';
import { announceMark } from './uevent.ts';
import { attachTags, type BpfIo, type TagPlace, tagOf } from './vlan-hooks.ts';

export interface LinuxKernelParts {
  readonly io: NetlinkIo & BpfIo;
  /** Names the state directory in marks and in the name of the nftables table: `[A-Za-z0-9_-]{1,64}`. */
  readonly stateId: string;
  /** False: VLAN tags as on a kernel before 6.6, which has no TCX. */
  readonly tcx?: boolean;
}

/** Links up to this number are read one by one. */
const FEW_LINKS = 16;

/** The name of an object for an error message. */
const at = (name: string, netns: string | undefined): string => (netns === undefined ? name : `${name} in network namespace ${netns}`);

const notFound = (name: string, netns: string | undefined): OverlayError => new OverlayError('LINK_NOT_FOUND', `${at(name, netns)}: does not exist`);

const notOurs = (name: string, netns: string | undefined, link: LinkInfo): OverlayError =>
  new OverlayError('LINK_NOT_OURS', `${at(name, netns)}: was not made by this overlayd (${link.alias ? `alias ${link.alias}` : 'it has no mark'})`, {
    details: { alias: link.alias ?? null, kind: link.kind ?? null },
    advice: 'It is left alone; choose another name.',
  });

export class LinuxKernel implements KernelNetwork {
  readonly #io: NetlinkIo & BpfIo;
  readonly #stateId: string;
  readonly #tcx: boolean;
  readonly #route: NetlinkSocket;
  readonly #isolation: IsolationTable;

  /** Opens the route socket; the nftables table is made with the first overlay. @throws OverlayError */
  constructor({ io, stateId, tcx = true }: LinuxKernelParts) {
    formatMark({ stateId, name: 'overlay0' });
    this.#io = io;
    this.#stateId = stateId;
    this.#tcx = tcx;
    this.#route = openRouteSocket(io);
    this.#isolation = new IsolationTable(io, stateId);
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
        ...(options.queueFrames === undefined ? {} : { txQueueLength: options.queueFrames }),
      });
      this.#withoutIpv6Addresses(link);
      isolateInterface(name);
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

  setMtu(name: string, mtu: number, netns?: string): void {
    const link = this.#existing(name, netns);
    if (!link.ours) throw notOurs(name, netns, link);
    this.#in(netns, (socket) => setLink(socket, link, { mtu }));
    if (netns !== undefined || !this.#isolation.has(name)) return;
    // Below 1280 bytes a link loses its IPv6 settings, and has the defaults when it grows again (net/ipv6/addrconf.c).
    this.#withoutIpv6Addresses(link);
    isolateInterface(name);
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

  close(): void {
    this.#isolation.close();
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

  #withoutIpv6Addresses(link: LinkInfo): void {
    try {
      setLink(this.#route, link, { ip6AddrGenNone: true });
    } catch (error) {
      // The host has no IPv6, or the MTU is too small for it: as good.
      const { errno } = OverlayError.is(error) ? error.details : {};
      if (errno !== constants.errno.EAFNOSUPPORT) throw error;
    }
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
