// Sockets for each listen address and port, shared by overlays: one to receive, from the underlay or from kernel links that punt, and a pool to send.
import { type IpAddress, ipFamily, ipFromBytes, ipScope, ipToBytes, type OverlayError } from '@overlayadm/api';
import type { EngineLink } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import { type Clock, sleep, type Timer } from '../util/clock.ts';
import {
  LET_GO_POLL_MS,
  LET_GO_TIMEOUT_MS,
  MAX_RESTORE_HOLD_MS,
  PUNT_BUFFER_BYTES,
  PUNT_PORTS,
  RESTORE_HOLD_MS,
  SEND_SOCKETS,
  SOCKET_BUFFER_BYTES,
  SOURCE_PORTS,
} from '../util/limits.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices, SystemError } from './devices.ts';
import type { DatapathSpec, DescriptorStore } from './driver.ts';
import { addressNotHere, noPort, otherEncap, portInUse, portNotPermitted, usedByItself, vnetidInUse } from './mux-errors.ts';

/** Tries to find a free port in a range of some hundreds, or 16384. */
const MAX_PORT_TRIES = 64;

export interface MuxParts {
  readonly io: Pick<Devices, 'openUdp' | 'udpAddress' | 'adopt' | 'close'>;
  readonly engine: EngineLink;
  readonly kernel: Pick<KernelNetwork, 'whoHasUdpPort'>;
  readonly store: DescriptorStore;
  readonly clock: Clock;
  /** A number from 0 to 1, for source ports. */
  readonly random: () => number;
  readonly report: (error: unknown) => void;
  /** Numbers of muxes and ports in the engine, each given once. */
  nextId(): number;
}

/**
 * What the receiving socket is for: datagrams of the underlay, or the frames that kernel links have no row for. The latter is bound to
 * loopback, so that nothing outside of the host reaches it, and to a port that only root may have: the link goes on sending there when
 * nobody of ours is left, and whoever had the port then would read what tenants send.
 */
export type MuxKind = 'underlay' | 'punt';

export interface OpenMux {
  readonly id: number;
  readonly encap: string;
  readonly listenIp: IpAddress;
  readonly listenPort: number;
  /** The one that receives first. */
  readonly sockets: readonly [number, ...number[]];
  /** Where kernel links punt to; undefined for one of the underlay. */
  readonly punt: { readonly ip: IpAddress; readonly port: number } | undefined;
  /** Is the receiving socket one that outlived the overlayd before? */
  readonly inherited: boolean;
  /** Overlays on it, by vnetid. */
  readonly overlays: Map<number, string>;
}

/** What the receiving socket is called in the store. */
const muxKey = (kind: MuxKind, ip: IpAddress, port: number): string =>
  `${kind === 'punt' ? 'punt' : 'mux'}.${Buffer.from(ipToBytes(ip)).toString('hex')}.${port}`;

/** Loopback of the family. */
export const loopbackOf = (ip: IpAddress): IpAddress => (ipFamily(ip) === 4 ? '127.0.0.1' : '::1') as IpAddress;
/** What a kernel link with this listen address sends to loopback from. */
const puntSource = (ip: IpAddress): IpAddress => (ipScope(ip) === 'unspecified' ? loopbackOf(ip) : ip);

export class MuxSockets {
  readonly #parts: MuxParts;
  readonly #kind: MuxKind;
  readonly #open = new Map<string, OpenMux>();
  /** Their receiving sockets are at the holder. */
  readonly #kept = new WeakSet<OpenMux>();
  /** Opened for overlays that are restored, and not read yet: frames for those that are restored later would be nobody's. */
  readonly #unread = new Set<OpenMux>();
  #restoring = true;
  #ready: Timer | undefined;
  /** When the first of them was opened, ms of the clock. */
  #unreadSince = 0;
  /** Not read any more: only to be released. */
  readonly #held = new WeakSet<OpenMux>();
  /** Taken from the store, which gives it once, for an overlay that then could not be opened. */
  readonly #aside = new Map<string, { readonly socket: number; readonly listenIp: IpAddress; readonly listenPort: number }>();
  /** Ports of sockets that were forgotten, and until when the holder may still have them bound. */
  readonly #forgotten = new Map<number, number>();

  constructor(parts: MuxParts, kind: MuxKind = 'underlay') {
    this.#parts = parts;
    this.#kind = kind;
  }

  isOwnSocket(ip: IpAddress, port: number): boolean {
    return this.#open.has(`${ip} ${port}`);
  }

  /** Joins the mux of this overlay's socket, which is opened when it is the first. @throws OverlayError VNETID_IN_USE, PORT_IN_USE, ADDRESS_NOT_HERE. */
  async join(spec: DatapathSpec): Promise<OpenMux> {
    const { listenIp, listenPort = 0 } = spec.socket;
    const mux = this.#shared(spec, listenIp, listenPort) ?? (await this.#openMux(spec, listenIp, listenPort));
    mux.overlays.set(spec.vnetid, spec.name);
    if (this.#unread.has(mux)) this.#readLater();
    return mux;
  }

  /** What there was to restore is restored: from now on every socket is read as soon as it is open. */
  async ready(): Promise<void> {
    this.#restoring = false;
    this.#ready?.cancel();
    for (const mux of this.#unread) {
      this.#unread.delete(mux);
      await this.#parts.engine.call({ op: 'readMux', mux: mux.id });
    }
  }

  /** The receiving socket outlives overlayd from now on. */
  keep(mux: OpenMux): void {
    if (this.#kept.has(mux)) return;
    this.#kept.add(mux);
    this.#parts.store.keep(muxKey(this.#kind, mux.listenIp, mux.listenPort), mux.sockets[0]);
  }

  /** Before overlays are released: nothing of this mux is read any more, also for those that are released later. */
  async hold(mux: OpenMux): Promise<void> {
    if (this.#held.has(mux)) return;
    this.#held.add(mux);
    await this.#parts.engine.call({ op: 'holdMux', mux: mux.id });
  }

  /** The last overlay that leaves closes it, at the holder too. */
  leave(mux: OpenMux, vnetid: number): Promise<void> {
    return this.#leave(mux, vnetid, (receive) => {
      if (mux.inherited || this.#kept.has(mux)) this.#forget(mux.listenIp, mux.listenPort);
      this.#parts.io.close(receive);
    });
  }

  /** As leave(), but the holder goes on holding it. */
  release(mux: OpenMux, vnetid: number): Promise<void> {
    return this.#leave(mux, vnetid, (receive) => this.#parts.io.close(receive));
  }

  /** Undoes join(): the overlay could not be opened. */
  withdraw(mux: OpenMux, vnetid: number): Promise<void> {
    return this.#leave(mux, vnetid, (receive) => this.#giveBack(mux, receive));
  }

  async #leave(mux: OpenMux, vnetid: number, close: (receive: number) => void): Promise<void> {
    mux.overlays.delete(vnetid);
    if (mux.overlays.size > 0) return;
    this.#open.delete(`${mux.listenIp} ${mux.listenPort}`);
    this.#unread.delete(mux);
    await using unwind = new Unwind(this.#parts.report);
    const [receive, ...send] = mux.sockets;
    unwind.add(() => close(receive));
    for (const socket of send) unwind.add(() => this.#parts.io.close(socket));
    // An engine that is gone reads and sends no more.
    unwind.add(async () => void (await this.#parts.engine.call({ op: 'closeMux', mux: mux.id })));
  }

  /** One overlay whose restoring takes long must not keep the others from receiving for ever; many that take little each may. */
  #readLater(): void {
    const { clock, report } = this.#parts;
    this.#ready?.cancel();
    const left = this.#unreadSince + MAX_RESTORE_HOLD_MS - clock.now();
    this.#ready = clock.after(Math.max(0, Math.min(RESTORE_HOLD_MS, left)), () => void this.ready().catch(report));
  }

  #giveBack({ listenIp, listenPort, inherited }: Pick<OpenMux, 'listenIp' | 'listenPort' | 'inherited'>, receive: number): void {
    if (inherited) this.#aside.set(muxKey(this.#kind, listenIp, listenPort), { socket: receive, listenIp, listenPort });
    else this.#parts.io.close(receive);
  }

  /** Nothing is left that could be restored: what was taken for it goes, at the holder too. */
  dropAside(): void {
    for (const [key, { socket, listenIp, listenPort }] of this.#aside) {
      this.#aside.delete(key);
      this.#forget(listenIp, listenPort);
      this.#parts.io.close(socket);
    }
  }

  #forget(listenIp: IpAddress, listenPort: number): void {
    const { store, clock } = this.#parts;
    store.forget(muxKey(this.#kind, listenIp, listenPort));
    this.#forgotten.set(listenPort, clock.now() + LET_GO_TIMEOUT_MS);
  }

  #shared(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): OpenMux | undefined {
    const mux = this.#open.get(`${listenIp} ${listenPort}`);
    if (mux === undefined) return undefined;
    const taken = mux.overlays.get(spec.vnetid);
    if (taken !== undefined) throw vnetidInUse(mux, spec.vnetid, taken);
    if (mux.encap !== spec.encap) throw otherEncap(mux, spec.encap);
    return mux;
  }

  async #openMux(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): Promise<OpenMux> {
    const { io, engine, report, clock } = this.#parts;
    await using unwind = new Unwind(report);
    const inherited = this.#inherited(listenIp, listenPort);
    const receive = inherited ?? (await this.#openReceiver(spec, listenIp, listenPort));
    const punt = this.#kind === 'punt' ? boundTo(io, receive) : undefined;
    const facts = { encap: spec.encap, listenIp, listenPort, punt, inherited: inherited !== undefined };
    unwind.add(() => this.#giveBack(facts, receive));
    const send: number[] = [];
    while (send.length < SEND_SOCKETS) {
      const socket = this.#bindOneOf(spec.encap, listenIp, SOURCE_PORTS, true);
      unwind.add(() => io.close(socket));
      send.push(socket);
    }
    const mux: OpenMux = { ...facts, id: this.#parts.nextId(), sockets: [receive, ...send], overlays: new Map() };
    const unread = this.#restoring && spec.restore !== undefined;
    const sockets = { socket: receive, sendSockets: send, ...(punt === undefined ? {} : { punt: { source: ipToBytes(puntSource(listenIp)) } }) };
    await engine.call({ op: 'openMux', spec: { mux: mux.id, encap: spec.encap, format: spec.format, ...sockets, unread } });
    if (unread) {
      if (this.#unread.size === 0) this.#unreadSince = clock.now();
      this.#unread.add(mux);
    }
    this.#open.set(`${listenIp} ${listenPort}`, mux);
    unwind.keep();
    return mux;
  }

  /** The socket that outlived the overlayd before, with the datagrams that wait in it. One that is bound to anything else is closed. */
  #inherited(listenIp: IpAddress, listenPort: number): number | undefined {
    const { io, store } = this.#parts;
    const key = muxKey(this.#kind, listenIp, listenPort);
    const socket = this.#aside.get(key)?.socket ?? store.take(key);
    if (socket === undefined) return undefined;
    this.#aside.delete(key);
    if (this.#isReceiver(socket, listenIp, listenPort)) return socket;
    this.#forget(listenIp, listenPort);
    io.close(socket);
    return undefined;
  }

  #isReceiver(socket: number, listenIp: IpAddress, listenPort: number): boolean {
    const { io } = this.#parts;
    try {
      io.adopt(socket);
      const bound = boundTo(io, socket);
      if (this.#kind !== 'punt') return bound.ip === listenIp && bound.port === listenPort;
      return bound.ip === loopbackOf(listenIp) && bound.port >= PUNT_PORTS.min && bound.port <= PUNT_PORTS.max;
    } catch {
      return false;
    }
  }

  async #openReceiver(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): Promise<number> {
    if (this.#kind !== 'punt') return await this.#bind(spec, listenIp, listenPort);
    return this.#bindOneOf(spec.encap, loopbackOf(listenIp), PUNT_PORTS, false);
  }

  async #bind(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): Promise<number> {
    const { clock } = this.#parts;
    const until = this.#forgotten.get(listenPort) ?? Number.NEGATIVE_INFINITY;
    for (;;) {
      try {
        return this.#udp(listenIp, listenPort, false);
      } catch (error) {
        const { code } = error as SystemError;
        if (code === 'EADDRNOTAVAIL') throw addressNotHere(spec.encap, listenIp, error);
        if (code !== 'EADDRINUSE') throw error;
        // Its holder, another process, may not have closed it yet.
        if (clock.now() >= until) throw await this.#portInUse(spec, listenIp, listenPort, error);
        await sleep(clock, LET_GO_POLL_MS);
      }
    }
  }

  #bindOneOf(encap: string, ip: IpAddress, range: { readonly min: number; readonly max: number }, sendOnly: boolean): number {
    for (let tries = 1; ; tries++) {
      const port = range.min + Math.floor(this.#parts.random() * (range.max - range.min + 1));
      try {
        return this.#udp(ip, port, sendOnly);
      } catch (error) {
        const { code } = error as SystemError;
        // The receiving socket may have outlived its address, with the overlayd before us.
        if (code === 'EADDRNOTAVAIL') throw addressNotHere(encap, ip, error);
        if (code === 'EACCES') throw portNotPermitted(range, error);
        if (code !== 'EADDRINUSE') throw error;
        if (tries === MAX_PORT_TRIES) throw noPort(ip, range, MAX_PORT_TRIES, error);
      }
    }
  }

  #udp(ip: IpAddress, port: number, sendOnly: boolean): number {
    return this.#parts.io.openUdp({
      family: ipFamily(ip),
      address: ipToBytes(ip),
      port,
      receiveBufferBytes: sendOnly ? 0 : this.#kind === 'punt' ? PUNT_BUFFER_BYTES : SOCKET_BUFFER_BYTES,
      sendBufferBytes: sendOnly ? SOCKET_BUFFER_BYTES : 0,
      sendOnly,
    });
  }

  async #portInUse({ encap, name }: DatapathSpec, ip: IpAddress, port: number, cause: unknown): Promise<OverlayError> {
    const own = [...this.#open.values()].filter((mux) => mux.listenPort === port && ipFamily(mux.listenIp) === ipFamily(ip));
    const names = own.flatMap((mux) => [...mux.overlays.values()]);
    // Of two addresses of which one is every address a port can be had for one at a time only.
    if (names.length === 1 && names[0] === name) return usedByItself(encap, name, ip, port, cause);
    const owner = names.length > 0 ? names.join(', ') : await this.#parts.kernel.whoHasUdpPort(ipFamily(ip), ip, port);
    return portInUse(encap, ip, port, owner, cause);
  }
}

/** @throws when it is no UDP socket. */
function boundTo(io: MuxParts['io'], socket: number): { readonly ip: IpAddress; readonly port: number } {
  const { address, port } = io.udpAddress(socket);
  return { ip: ipFromBytes(address), port };
}
