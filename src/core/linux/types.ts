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
 *   LINK_DIFFERS       a vxlan link with our mark is not as it has to be, in what cannot be changed; details name what differs
 *   VNETID_IN_USE      another vxlan link has this vnetid on this port and address family
 *   PORT_IN_USE        a socket holds the UDP port of a vxlan link; details have `port`
 *   VXLAN_MISSING      the kernel has no vxlan
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

  /**
   * Why this kernel cannot forward for an overlay itself, as the end of the sentence "kernel: ..."; undefined when it can. Found out by a link that
   * never goes up; success is remembered, a failure is tried again the next time.
   */
  refuseVxlan(): string | undefined;
  /**
   * Makes a vxlan link that is nothing of the host, as prepareOverlayLink() says it, and leaves it down: it goes up with raiseVxlan(), when its
   * forwarding table is filled. What comes in on it is dropped for the host, and so is what comes for its port and vnetid to other addresses than
   * `listenIp`: by a table of nf_tables that stays when overlayd has gone. Undone when it throws.
   * @throws LINK_EXISTS, VNETID_IN_USE, VXLAN_MISSING, NFTABLES_MISSING, SYSCTL_REFUSED
   */
  addVxlan(spec: VxlanSpec): LinkInfo;
  /**
   * The same for a link with our mark that is there, and perhaps forwards: nothing is changed that frames could get lost by. Its own address follows
   * `listenIp`. What guards it stays when this throws.
   * @throws LINK_NOT_FOUND, LINK_NOT_OURS, LINK_DIFFERS
   */
  adoptVxlan(spec: VxlanSpec): LinkInfo;
  /** Sets it up, and tells udev of the mark. Once more is fine. @throws LINK_NOT_FOUND, LINK_NOT_OURS, PORT_IN_USE */
  raiseVxlan(name: string): LinkInfo;
  /**
   * Another listen address of the same family: both are let in while the link changes. Undone when it throws.
   * @throws LINK_NOT_FOUND, LINK_NOT_OURS, LINK_DIFFERS when it is of the other family
   */
  moveVxlan(name: string, listenIp: IpAddress): void;
  /** Forgets isolation and filter of `name`; call it after the link has gone (deleteOverlayLink()). Unknown names are fine. */
  releaseVxlan(name: string): void;
  /** The forwarding table of a vxlan link, a row for each destination. @throws LINK_NOT_FOUND when there is no vxlan link of this index. */
  fdbRows(index: number): readonly FdbRow[];
  /**
   * Is the table that guards the vxlan links as it should be? When not, it is made anew in one transaction, so that there is no moment without it,
   * and the answer is true. Costs one question to the kernel while nobody has changed nftables. False as long as there is no vxlan link.
   * @throws OverlayError when it cannot be put back.
   */
  repairFilter(): boolean;
  /** Takes out of that table what an overlayd before us has left there for overlays that nobody has added or adopted; the table when it is empty then. */
  sweepFilter(): void;

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

  /** IP packets of this network namespace that were too long for their path and may not be fragmented, since the namespace was made (RFC 1213 ipFragFails). 0 when it cannot be read. */
  fragFails(): number;

  /** Closes the sockets to the kernel; the isolation goes with them. Links stay. Nothing may be called afterwards. */
  close(): void;
}

export interface OverlayLinkOptions {
  /** Bytes, without Ethernet header. */
  readonly mtu: number;
  /** Frames that may wait for whoever reads the device (txqueuelen); without it as the device has it. */
  readonly queueFrames?: number;
  /** As it is without. */
  readonly mac?: MacAddress;
}

/** A vxlan link of the kernel, as an overlay has it. */
export interface VxlanSpec {
  readonly name: string;
  readonly vnetid: number;
  /** Unspecified (0.0.0.0, ::): every address of its family. Not a link-local one, which the kernel takes with a link below only. */
  readonly listenIp: IpAddress;
  readonly port: number;
  /** Bytes. */
  readonly mtu: number;
  /** Drawn by the kernel when it is not given. */
  readonly mac?: MacAddress;
}

/** One destination of one row of the forwarding table of a vxlan link. */
export interface FdbRow {
  /** 00:00:00:00:00:00: the default row. */
  readonly mac: MacAddress;
  /** Undefined, or an unspecified address: frames are dropped. */
  readonly ip: IpAddress | undefined;
  /** UDP port; the link's own when the kernel does not say. */
  readonly port: number;
  /** It carries NTF_EXT_LEARNED, as all of ours do. */
  readonly ours: boolean;
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
  /** Not sent: with IPv6 outside, what does not fit the path. */
  readonly txAborted: bigint;
  /** Not sent: no route, or the listen address is not here. */
  readonly txCarrier: bigint;
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
  /** Address family; undefined when `local` is unspecified, because the kernel does not say it then. */
  readonly family: IpFamily | undefined;
  /** One link for all VNIs (collect metadata). */
  readonly external: boolean;
  /** It makes rows of what it receives. */
  readonly learning: boolean;
  /** What goes to an address of the host itself is handed over within the kernel; undefined before Linux 6.5, which always does it. */
  readonly localBypass: boolean | undefined;
  /** Its datagrams are never cut into fragments. */
  readonly df: boolean;
}

export interface UpperLink extends LinkInfo {
  /** Name of its namespace when it has one, `pid N` of a process in it otherwise; undefined for our own namespace. */
  readonly netns: string | undefined;
}
