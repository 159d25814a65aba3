// What every open overlay is, whatever its link: a port of the engine behind a mux, which moves to another socket, and ends once.
import type { UnderlaySocket } from '@overlayadm/api';
import type { EngineLink, KernelLink, WireDestination } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { Serial } from '../util/serial.ts';
import { Unwind } from '../util/unwind.ts';
import type { DatapathPort, DatapathSpec, DriverName, PortEvents } from './driver.ts';
import type { MuxSockets, OpenMux } from './mux-sockets.ts';
import type { PortClaims } from './port-claims.ts';

export interface OpenPortParts {
  readonly engine: EngineLink;
  readonly kernel: Pick<KernelNetwork, 'setMtu'>;
  readonly claims: PortClaims;
  readonly muxes: MuxSockets;
  /** That of the driver. */
  readonly serial: Serial;
  readonly report: (error: unknown) => void;
}

/** What stands when open() is through. */
export interface OpenPortFacts {
  readonly id: number;
  readonly linkIndex: number;
  readonly adopted: boolean;
  readonly known: Uint8Array;
}

export abstract class OpenPort<Parts extends OpenPortParts> implements DatapathPort {
  abstract readonly driver: DriverName;
  readonly id: number;
  readonly linkIndex: number;
  readonly adopted: boolean;
  readonly known: Uint8Array;
  protected readonly parts: Parts;
  protected spec: DatapathSpec;
  protected mux: OpenMux;
  protected isKept = false;
  protected hasEnded = false;

  constructor(parts: Parts, spec: DatapathSpec, mux: OpenMux, facts: OpenPortFacts) {
    this.parts = parts;
    this.spec = spec;
    this.mux = mux;
    this.id = facts.id;
    this.linkIndex = facts.linkIndex;
    this.adopted = facts.adopted;
    this.known = facts.known;
  }

  abstract watch(events: PortEvents): void;
  abstract counters(counted: Readonly<Record<string, number>>): Readonly<Record<string, number>>;
  /** Adds the steps of close(), in the order of open(): they are done last first. */
  protected abstract undo(unwind: Unwind): void;
  /** As undo(), of release(). */
  protected abstract letGo(unwind: Unwind): void;
  /** What the engine has to know of the link when it is as in `spec`, behind this mux. */
  protected abstract linkOf(spec: DatapathSpec, mux: OpenMux): KernelLink | undefined;
  /** The last step of a move: the link itself. Throws when it stays where it is. */
  protected abstract moveLink(spec: DatapathSpec): void;

  keep(): void {
    this.isKept = true;
    this.parts.muxes.keep(this.mux);
  }

  close(): Promise<void> {
    return this.parts.serial.run(() => this.#end((unwind) => this.undo(unwind)));
  }

  release(): Promise<void> {
    return this.parts.serial.run(() => this.#end((unwind) => this.letGo(unwind)));
  }

  setMtu(mtu: number): void {
    const { kernel, engine } = this.parts;
    kernel.setMtu(this.spec.name, mtu);
    engine.send({ op: 'setMtu', port: this.id, mtu });
    this.spec = { ...this.spec, mtu };
  }

  setPoint(point: WireDestination): void {
    this.parts.engine.send({ op: 'setPoint', port: this.id, point });
    this.spec = { ...this.spec, point };
  }

  move(socket: UnderlaySocket): Promise<void> {
    return this.parts.serial.run(() => this.#move(socket));
  }

  protected async closePort(): Promise<void> {
    await this.parts.engine.call({ op: 'closePort', port: this.id });
  }

  /** One step that fails does not keep the others from being done. */
  async #end(add: (unwind: Unwind) => void): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const { claims, report } = this.parts;
    await using unwind = new Unwind(report);
    unwind.add(() => claims.release(this.spec.socket, this.spec.name));
    add(unwind);
  }

  /** The engine is told first, and takes frames from the old address too, while the link gets the new one. */
  async #move(socket: UnderlaySocket): Promise<void> {
    const { claims, muxes, report } = this.parts;
    const { name, encap, vnetid, socket: before } = this.spec;
    if (this.hasEnded || (socket.listenIp === before.listenIp && socket.listenPort === before.listenPort)) return;
    const spec = { ...this.spec, socket };
    await using unwind = new Unwind(report);
    const claim = claims.move(this.driver, encap, before, socket, name);
    unwind.add(() => claim.undo());
    const mux = await muxes.join(spec);
    unwind.add(() => muxes.withdraw(mux, vnetid));
    await this.#movePort(spec, mux);
    unwind.add(() => this.#movePort(this.spec, this.mux));
    this.moveLink(spec);
    unwind.keep();
    claim.keep();
    const left = this.mux;
    this.mux = mux;
    this.spec = spec;
    if (this.isKept) muxes.keep(mux);
    await muxes.leave(left, vnetid);
  }

  async #movePort(spec: DatapathSpec, mux: OpenMux): Promise<void> {
    const kernel = this.linkOf(spec, mux);
    await this.parts.engine.call({ op: 'movePort', port: this.id, mux: mux.id, ...(kernel === undefined ? {} : { kernel }) });
  }
}
