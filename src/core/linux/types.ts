// What the rest of the program asks of the Linux network stack, in the words of overlays: the door that tests replace by a fake.
import type { IpAddress, IpFamily, MacAddress } from '@overlayadm/api';

/**
 * All calls but whoHasUdpPort() are synchronous: the kernel answers a netlink request before the send returns, so each
 * takes microseconds to a few milliseconds. They throw OverlayError:
 *
 *   NOT_PERMITTED      the kernel said EPERM or EACCES (CAP_NET_ADMIN; for another namespace CAP_SYS_ADMIN too)
 *   LINK_EXISTS        a link of this name exists in that namespace
 *   LINK_NOT_FOUND     no such link
 *   LINK_NOT_OURS      it exists, but was not made by this state directory
 *   LINK_BUSY          the kernel said EBUSY
 *   NETNS_NOT_FOUND    no such named network namespace
 *   NETNS_NAME         a text that cannot be the name of one
 *   NFTABLES_MISSING   the kernel has no nf_tables, or one older than 5.12
 *   SYSCTL_REFUSED     /proc/sys could not be written
 *   VLAN_TAGS_REFUSED  the kernel did not take the two programs that make a VNIC a port of a VLAN
 *   NETLINK_REFUSED    anything else; details have `errno` (positive) and `code` ('EINVAL')
 *   NETLINK_NO_ANSWER  the kernel did not answer as netlink promises
 */
export interface KernelNetwork {
  /** Inode of /proc/self/ns/net: equal numbers are the same network namespace, until the next boot. */
  networkNamespaceId(): number;

  /**
   * What tells this network namespace from every other that has had, or will have, this name; undefined when there is none.
   * Equal as long as the name stays: inodes of namespaces are used again, so the time when it was given is part of it.
   */
  namespaceId(netns: string): string | undefined;

  /** Links are looked up anew on every call, by their name and not by other names they have. `netns` is a name as `ip netns` shows it; without it our own namespace. */
  link(name: string, netns?: string): LinkInfo | undefined;
  links(netns?: string): readonly LinkInfo[];

  /** Why `name` cannot be given to a new link there, as the end of the sentence "NAME ..."; undefined when it can. */
  refuseLinkName(name: string, netns?: string): string | undefined;

  /**
   * Makes a link that the caller has just made (a TAP), or one with our mark, an overlay and nothing of the host: our mark, mtu, NOARP, no IPv6
   * addresses, rp_filter, dropped at prerouting; and then up. In this order, so that at no time a frame gets past.
   * Once more on the same link is fine. When it throws the isolation is taken back; the link is the caller's to remove.
   */
  prepareOverlayLink(name: string, options: OverlayLinkOptions): LinkInfo;
  /** Forgets the isolation of `name`; call it after the link has gone. Unknown names are fine. */
  releaseOverlayLink(name: string): void;
  /** A link that nobody holds any more, with what stands on it. @throws LINK_NOT_FOUND, LINK_NOT_OURS when it has no mark of ours or is a VNIC. */
  deleteOverlayLink(name: string): void;
  /** @throws LINK_NOT_OURS when the link has no mark of ours. */
  setMtu(name: string, mtu: number, netns?: string): void;

  /**
   * A macvlan in bridge mode, made in one message in its namespace with MAC and MTU, and up; then marked. With a VLAN it is made
   * down, given its tags, marked, and set up last: no frame passes without them, and what has our mark has its tags. Undone when that fails.
   */
  addVnic(spec: VnicSpec): LinkInfo;
  /**
   * The VLAN whose tags a VNIC really has, by the programs on it; undefined when there are none, or not both.
   * @throws LINK_NOT_FOUND
   */
  vlanOf(name: string, netns?: string): number | undefined;
  /** @throws LINK_NOT_FOUND, LINK_NOT_OURS when it is no macvlan with a mark of ours. */
  deleteVnic(name: string, netns?: string): void;
  /**
   * Everything that stands on the link with this index: our VNICs and other people's, in our own and in all other network
   * namespaces that have a name or a process in them, as far as we may enter them.
   */
  linksAbove(index: number): readonly UpperLink[];
  /** VNICs with our mark in all network namespaces that have a name, other than our own. */
  vnicsElsewhere(): readonly UpperLink[];

  /** May a socket be bound to this address here? The unspecified addresses always. Not for tentative IPv6 addresses. */
  hostHasAddress(ip: IpAddress): boolean;
  /** Addresses (IPv4 and IPv6, link-local ones too) of a link: what a VNIC is called from inside its overlay. */
  addressesOf(index: number, netns?: string): readonly IpAddress[];
  /**
   * MTU of the link that carries this address of ours. For an unspecified address the smallest MTU of all links that are
   * up and have an address of that family, except loopback and what carries a mark of overlayadm. Undefined when there is no such link.
   */
  routeMtu(ip: IpAddress): number | undefined;
  /**
   * How large a packet from `from` to `to` may be as far as the kernel knows: MTU of the link it leaves by, of the route, and
   * what routers on the path have said. Undefined when it cannot be found out. Never throws.
   */
  mtuTo(from: IpAddress, to: IpAddress): number | undefined;

  /**
   * Who holds this UDP port, for an error message: "kernel vxlan link vx0 (vni 100)", "process dnsmasq (pid 812)".
   * Undefined when it cannot be found out. Never rejects. Bounded by MAX_SCANNED_PROCESSES and MAX_SCANNED_DESCRIPTORS.
   */
  whoHasUdpPort(family: IpFamily, address: IpAddress, port: number): Promise<string | undefined>;

  /** Counters of a link since it was made. @throws LINK_NOT_FOUND */
  statistics(index: number, netns?: string): LinkStatistics;

  /** Closes the sockets to the kernel; the isolation goes with them. Links stay. Nothing may be called afterwards. */
  close(): void;
}

export interface OverlayLinkOptions {
  /** Bytes, without Ethernet header. */
  readonly mtu: number;
  /** Frames that may wait for whoever reads the device (txqueuelen); without it as the device has it. */
  readonly queueFrames?: number;
}

/** As the owner of the link sees it: `rx` is what it has received. */
export interface LinkStatistics {
  readonly rxFrames: bigint;
  readonly txFrames: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
}

export interface VnicSpec {
  readonly name: string;
  /** Name of the overlay's link, in our own namespace. */
  readonly overlay: string;
  readonly mac: MacAddress;
  readonly mtu: number;
  readonly netns?: string;
  /** 1-4094: a port of this VLAN, untagged inside. */
  readonly vid?: number;
}

/** `overlayadm:<state id>:<name>` in IFLA_IFALIAS: who made the link, and what the object was called when it was made. */
export interface LinkMark {
  readonly stateId: string;
  readonly name: string;
}

export interface LinkInfo {
  readonly name: string;
  /** Unique within its network namespace only. */
  readonly index: number;
  /** Undefined for links that are no Ethernet links (tun, sit). */
  readonly mac: MacAddress | undefined;
  readonly mtu: number;
  /** IFF_UP: somebody has set it up. */
  readonly up: boolean;
  /** IFF_LOWER_UP: there is a carrier. */
  readonly carrier: boolean;
  readonly noarp: boolean;
  readonly loopback: boolean;
  /** IFLA_INFO_KIND: `tun`, `macvlan`, `vxlan`; undefined for hardware and loopback. */
  readonly kind: string | undefined;
  readonly alias: string | undefined;
  /** The alias, read as a mark, of whichever state directory. */
  readonly mark: LinkMark | undefined;
  /** The mark is there and its state id is ours. */
  readonly ours: boolean;
  /** Index of the link below, in the namespace `lowerNetnsId` when that is given. */
  readonly lowerIndex: number | undefined;
  /** Number that the link's namespace has for the namespace of the link below, when that is another one. */
  readonly lowerNetnsId: number | undefined;
  readonly vxlan?: VxlanInfo;
}

/** Of kernel vxlan links. */
export interface VxlanInfo {
  readonly port: number;
  readonly vnetid: number;
  /** Undefined when unspecified. */
  readonly local: IpAddress | undefined;
  /** One link for all VNIs (collect metadata). */
  readonly external: boolean;
}

export interface UpperLink extends LinkInfo {
  /** Name of its namespace when it has one, `pid N` of a process in it otherwise; undefined for our own namespace. */
  readonly netns: string | undefined;
}
