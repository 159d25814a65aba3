// The kernel driver: the overlay's link is a vxlan link of the kernel, which forwards known targets by itself; the engine has the others.
import { release } from 'node:os';
import { type IpAddress, ipFamily, ipScope, ipToBytes, isGroupMac, OverlayError } from '@overlayadm/api';
import type { ForeignRow, KernelLink, KnownRows, WireDestination } from '../engine/messages.ts';
import { readTargets, type TargetRecord, writeTargets } from '../engine/snapshot.ts';
import type { FdbRow, KernelNetwork, LinkInfo, VxlanSpec } from '../linux/types.ts';
import { MANY_ROWS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { macToKey } from '../util/mac-key.ts';
import { Serial } from '../util/serial.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices } from './devices.ts';
import type { DatapathDriver, DatapathPort, DatapathSpec } from './driver.ts';
import { joinUnderlay, linkBefore, portTraits } from './driver-steps.ts';
import { KernelPort } from './kernel-port.ts';
import { KernelWatch } from './kernel-watch.ts';
import { portInUse } from './mux-errors.ts';
import { loopbackOf, type MuxParts, MuxSockets, type OpenMux } from './mux-sockets.ts';
import type { PortClaims } from './port-claims.ts';

export interface KernelParts extends MuxParts {
  readonly io: Devices;
  readonly kernel: KernelNetwork;
  readonly claims: PortClaims;
  readonly log: Log;
  /** `uname -r`; handed in by tests. */
  readonly release?: string;
}

/** From this one on the kernel finds a row in one step, however many there are (drivers/net/vxlan: rhashtable). */
const QUICK = { major: 6, minor: 16 };

const wire = (ip: IpAddress, port: number): WireDestination => ({ family: ipFamily(ip), ip: ipToBytes(ip), port });

export class KernelDriver implements DatapathDriver {
  readonly name = 'kernel';
  readonly #parts: KernelParts;
  readonly #muxes: MuxSockets;
  readonly #watch: KernelWatch;
  readonly #manyRows: number | undefined;
  /** Two overlays that open and close one socket at a time would find it in use. */
  readonly #serial = new Serial();

  constructor(parts: KernelParts) {
    this.#parts = parts;
    this.#muxes = new MuxSockets(parts, 'punt');
    this.#watch = new KernelWatch(parts);
    this.#manyRows = isQuick(parts.release ?? release()) ? undefined : MANY_ROWS;
  }

  refuse({ format, socket }: Pick<DatapathSpec, 'format' | 'socket'>, except?: string): string | undefined {
    if (format.kernelKind !== 'vxlan') return 'the kernel does not forward this encapsulation for overlays';
    if (isLinkLocal(socket.listenIp)) return `${socket.listenIp} is an address of one link, and a kernel overlay is bound to none`;
    const { claims, kernel } = this.#parts;
    const loopback = loopbackOf(socket.listenIp);
    const noLoopback = kernel.hostHasAddress(loopback) ? undefined : `this host has no ${loopback}; "ip link set lo up" gives it one`;
    return claims.refuse('kernel', socket, except) ?? noLoopback ?? kernel.refuseVxlan();
  }

  isOwnSocket(ip: IpAddress, port: number): boolean {
    return this.#muxes.isOwnSocket(ip, port);
  }

  ready(): Promise<void> {
    return this.#serial.run(() => this.#muxes.ready());
  }

  discard(name: string, isLast: boolean): void {
    this.#parts.kernel.releaseVxlan(name);
    if (isLast) this.#muxes.dropAside();
  }

  /** Something has happened to links or to nftables. */
  noticed(): void {
    this.#watch.noticed();
  }

  open(spec: DatapathSpec): Promise<DatapathPort> {
    return this.#serial.run(() => this.#open(spec));
  }

  async #open(spec: DatapathSpec): Promise<DatapathPort> {
    const { engine, kernel, claims, report } = this.#parts;
    const { name, restore } = spec;
    await using unwind = new Unwind(report);
    const mux = await joinUnderlay({ claims, muxes: this.#muxes }, this.name, spec, unwind);
    const before = restore === undefined ? undefined : linkBefore(kernel, name, 'vxlan');
    const link = this.#link(spec, before, unwind);
    const rows = before === undefined ? undefined : readRows(kernel.fdbRows(link.index));
    const kernelLink = this.#kernelLink(spec, mux, link.index);
    const id = this.#parts.nextId();
    const traits = portTraits(spec);
    await engine.call({ op: 'openPort', spec: { ...traits, port: id, mux: mux.id, kernel: kernelLink, ...(rows === undefined ? {} : { rows }) } });
    unwind.add(async () => void (await engine.call({ op: 'closePort', port: id })));
    await this.#raise(spec);
    await this.#watch.start();
    const known = joined(restore?.targets ?? NOTHING, rows?.records ?? NOTHING);
    const facts = { id, linkIndex: link.index, adopted: before !== undefined, known };
    const linkOf = (to: DatapathSpec, at: OpenMux): KernelLink => this.#kernelLink(to, at, link.index);
    const port = new KernelPort({ ...this.#parts, muxes: this.#muxes, watch: this.#watch, serial: this.#serial, linkOf }, spec, mux, facts);
    unwind.keep();
    return port;
  }

  /** One that is there goes on forwarding meanwhile. */
  #link(spec: DatapathSpec, before: LinkInfo | undefined, unwind: Unwind): LinkInfo {
    const { kernel } = this.#parts;
    const vxlan = vxlanSpec(spec);
    if (before !== undefined) return kernel.adoptVxlan(vxlan);
    const link = kernel.addVxlan(vxlan);
    unwind.add(() => kernel.releaseVxlan(spec.name));
    unwind.add(() => kernel.deleteOverlayLink(spec.name));
    return link;
  }

  #kernelLink({ socket: { listenIp, listenPort = 0 }, point }: DatapathSpec, { punt }: OpenMux, index: number): KernelLink {
    if (punt === undefined) throw new RangeError('a kernel link needs a socket to punt to');
    const own = wire(isUnspecified(listenIp) ? loopbackOf(listenIp) : listenIp, listenPort);
    const many = this.#manyRows === undefined ? {} : { manyRows: this.#manyRows };
    return { index, fallback: point ?? wire(punt.ip, punt.port), own, ...many };
  }

  async #raise({ name, encap, socket: { listenIp, listenPort = 0 } }: DatapathSpec): Promise<void> {
    const { kernel } = this.#parts;
    try {
      kernel.raiseVxlan(name);
    } catch (error) {
      if (!OverlayError.is(error) || error.code !== 'PORT_IN_USE') throw error;
      throw portInUse(encap, listenIp, listenPort, await kernel.whoHasUdpPort(ipFamily(listenIp), listenIp, listenPort), error);
    }
  }
}

const isUnspecified = (ip: IpAddress): boolean => ipScope(ip) === 'unspecified';

/** fe80::/10 (RFC 4291 §2.4). */
const isLinkLocal = (ip: IpAddress): boolean => {
  const [first = 0, second = 0, ...more] = ipToBytes(ip);
  return more.length === 14 && first === 0xfe && (second & 0xc0) === 0x80;
};

function vxlanSpec({ name, vnetid, mtu, socket: { listenIp, listenPort = 0 }, restore }: DatapathSpec): VxlanSpec {
  return { name, vnetid, listenIp, port: listenPort, mtu, ...(restore?.mac === undefined ? {} : { mac: restore.mac }) };
}

/** `6.18.5-amd64`; one that cannot be read is taken for a new one. */
function isQuick(text: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  if (major === undefined || minor === undefined) return true;
  return Number(major) > QUICK.major || (Number(major) === QUICK.major && Number(minor) >= QUICK.minor);
}

const NOBODY = '00:00:00:00:00:00';

/** What stands in the table of a link that was there before: targets, where the others lead, and what is somebody else's. */
function readRows(rows: readonly FdbRow[]): KnownRows {
  const fallbacks: WireDestination[] = [];
  const foreign: ForeignRow[] = [];
  const targets: TargetRecord[] = [];
  for (const { mac, ip, port, ours } of rows) {
    const to = ip === undefined || isUnspecified(ip) ? undefined : wire(ip, port);
    // A change of the link by hand takes our mark off the row for unknown targets; what leads to loopback is ours all the same.
    if (!ours && !(mac === NOBODY && ip !== undefined && ipScope(ip) === 'loopback')) foreign.push({ mac: macToKey(mac), to });
    else if (mac === NOBODY) fallbacks.push(...(to === undefined ? [] : [to]));
    // Nothing of ours makes one of these.
    else if (isGroupMac(mac)) foreign.push({ mac: macToKey(mac), to });
    else targets.push({ mac: macToKey(mac), to: to ?? 'drop', fixed: false });
  }
  return { records: writeTargets(targets), fallbacks, foreign };
}

const NOTHING = new Uint8Array(0);

/** Each target once. */
function joined(targets: Uint8Array, rows: Uint8Array): Uint8Array {
  const byMac = new Map([...readTargets(rows), ...readTargets(targets)].map((target) => [target.mac, target]));
  return writeTargets([...byMac.values()]);
}
