// An overlay that is open on a kernel link: what becomes of the link, its filter, its socket and its place in the engine.
import { ipFromBytes, ipScope, messageOf, type UnderlaySocket } from '@overlayadm/api';
import type { KernelLink, WireDestination } from '../engine/messages.ts';
import type { KernelNetwork, LinkInfo, LinkStatistics } from '../linux/types.ts';
import type { Log } from '../util/log.ts';
import { ETHERNET_HEADER_BYTES, IP_UDP_BYTES, VLAN_TAG_BYTES } from '../util/packet-sizes.ts';
import type { Unwind } from '../util/unwind.ts';
import type { DatapathSpec, PortEvents } from './driver.ts';
import { countKernel, type Unsent, unsentSince } from './kernel-counters.ts';
import type { KernelWatch, WatchedLink } from './kernel-watch.ts';
import type { OpenMux } from './mux-sockets.ts';
import { OpenPort, type OpenPortFacts, type OpenPortParts } from './open-port.ts';

export interface KernelPortParts extends OpenPortParts {
  readonly kernel: KernelNetwork;
  readonly watch: KernelWatch;
  readonly log: Log;
  /** What the engine has to know of the link when it is as in `spec`, behind this mux. */
  linkOf(spec: DatapathSpec, mux: OpenMux): KernelLink;
}

export class KernelPort extends OpenPort<KernelPortParts> implements WatchedLink {
  readonly driver = 'kernel';
  /** What the link had counted when it was opened: counters of an overlay begin with overlayd. */
  readonly #before: LinkStatistics;
  #events: PortEvents | undefined;
  #filterRepairs = 0;
  #linkRepairs = 0;
  /** What the link and the host had counted when it was looked at last, and what of it has been told apart. */
  #seen: { readonly link: LinkStatistics; readonly fragFails: number };
  #unsent: Unsent = { tooBig: 0, dropped: 0 };
  /** Something did not fit, and it is not known where. */
  #isNarrow = false;

  constructor(parts: KernelPortParts, spec: DatapathSpec, mux: OpenMux, facts: OpenPortFacts) {
    super(parts, spec, mux, facts);
    this.#before = parts.kernel.statistics(facts.linkIndex);
    this.#seen = { link: this.#before, fragFails: parts.kernel.fragFails() };
    parts.watch.add(this);
  }

  watch(events: PortEvents): void {
    this.#events = events;
  }

  counters(counted: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
    this.#countUnsent(this.parts.kernel.fragFails());
    const kernel = countKernel(counted, this.#before, this.#seen.link, this.#unsent);
    return { ...kernel, 'filter.repaired': this.#filterRepairs, 'link.repaired': this.#linkRepairs };
  }

  look(fragFails: number): void {
    if (this.hasEnded) return;
    const { kernel, log } = this.parts;
    const { name } = this.spec;
    try {
      const link = kernel.link(name);
      if (link?.index !== this.linkIndex) return this.#events?.trouble('device', this.#whereTo(name));
      if (!link.up) {
        kernel.raiseVxlan(name);
        this.#linkRepairs++;
        log.warn({ overlay: name }, 'its link was taken down by somebody, and is up again');
      }
      const changed = whatChanged(link, this.spec.socket);
      if (changed === undefined) this.#events?.over('device');
      else this.#events?.trouble('device', `the link of ${name} was changed by somebody: ${changed}`);
      if (this.#countUnsent(fragFails)) this.#findNarrow();
    } catch (error) {
      this.#events?.trouble('device', `${name} cannot be put right (${messageOf(error)})`);
    }
  }

  /** True when something did not fit since the last time. */
  #countUnsent(fragFails: number): boolean {
    const { kernel } = this.parts;
    const before = this.#seen;
    this.#seen = { link: kernel.statistics(this.linkIndex), fragFails };
    const { tooBig, dropped } = unsentSince(before.link, this.#seen.link, this.#seen.fragFails - before.fragFails);
    this.#unsent = { tooBig: this.#unsent.tooBig + tooBig, dropped: this.#unsent.dropped + dropped };
    this.#isNarrow ||= tooBig > 0;
    return this.#isNarrow;
  }

  /** The kernel does not say what did not fit where: the first destination with a path that is too narrow for what the overlay may send. */
  #findNarrow(): void {
    this.#isNarrow = false;
    const { engine, report } = this.parts;
    engine
      .call({ op: 'destinations', port: this.id })
      .then((found) => this.#tellNarrow((found ?? []) as readonly WireDestination[]))
      .catch(report);
  }

  #tellNarrow(destinations: readonly WireDestination[]): void {
    const { kernel } = this.parts;
    const { mtu, header, carriesVlanTag, socket, point } = this.spec;
    for (const to of point === undefined ? destinations : [point]) {
      const plain = mtu + IP_UDP_BYTES[to.family] + header.length + ETHERNET_HEADER_BYTES;
      const largest = plain + (carriesVlanTag ? VLAN_TAG_BYTES : 0);
      const path = kernel.mtuTo(socket.listenIp, ipFromBytes(to.ip));
      // What fits without a tag had one.
      if (path !== undefined && path < largest) return this.#events?.tooBig(to, path < plain ? plain : largest);
    }
  }

  filterIsBack(): void {
    this.#filterRepairs++;
    this.#events?.over('filter');
  }

  filterIsMissing(reason: string): void {
    this.#events?.trouble('filter', reason);
  }

  /** The link is not there under its name. */
  #whereTo(name: string): string {
    const now = this.parts.kernel.links().find(({ index }) => index === this.linkIndex);
    if (now === undefined) return `${name} was deleted by somebody`;
    return `the link of ${name} was renamed to ${now.name} by somebody; "ip link set ${now.name} name ${name}" gives it its name back`;
  }

  protected undo(unwind: Unwind): void {
    const { kernel, muxes, watch } = this.parts;
    const { name, vnetid } = this.spec;
    unwind.add(() => muxes.leave(this.mux, vnetid));
    // Its rows go with the link, what stands on it too, and only then its filter.
    unwind.add(() => kernel.releaseVxlan(name));
    unwind.add(() => this.#deleteLink());
    unwind.add(() => this.closePort());
    unwind.add(() => watch.remove(this));
  }

  /** The link goes on forwarding by its rows, behind its filter; frames without row wait in the socket. */
  protected letGo(unwind: Unwind): void {
    const { muxes, watch } = this.parts;
    unwind.add(() => muxes.release(this.mux, this.spec.vnetid));
    unwind.add(() => this.closePort());
    unwind.add(() => muxes.hold(this.mux));
    unwind.add(() => watch.remove(this));
  }

  protected linkOf(spec: DatapathSpec, mux: OpenMux): KernelLink {
    return this.parts.linkOf(spec, mux);
  }

  /** The filter takes both addresses meanwhile. */
  protected moveLink({ name, socket }: DatapathSpec): void {
    this.parts.kernel.moveVxlan(name, socket.listenIp);
  }

  /** Also under another name. */
  #deleteLink(): void {
    const { kernel } = this.parts;
    const named = kernel.link(this.spec.name);
    const link = named?.index === this.linkIndex ? named : kernel.links().find(({ index }) => index === this.linkIndex);
    if (link !== undefined) kernel.deleteOverlayLink(link.name);
  }
}

/** What "ip link set type vxlan" can do to a link that is up, and forwarding depends on. */
function whatChanged({ vxlan }: LinkInfo, { listenIp }: UnderlaySocket): string | undefined {
  if (vxlan === undefined) return undefined;
  if (vxlan.learning) return 'it learns from what comes in ("nolearning" ends that)';
  const local = ipScope(listenIp) === 'unspecified' ? undefined : listenIp;
  return vxlan.local === local
    ? undefined
    : `it sends from ${vxlan.local ?? 'any address'} instead of ${listenIp} ("local ${listenIp}" puts it right)`;
}
