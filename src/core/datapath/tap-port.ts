// An overlay that is open on a TAP: what becomes of its device, its sockets and its place in the engine.
import type { UnderlaySocket } from '@overlayadm/api';
import type { EngineLink, WireDestination } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { Serial } from '../util/serial.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices, SystemError } from './devices.ts';
import type { DatapathPort, DatapathSpec, DescriptorStore } from './driver.ts';
import type { MuxSockets, OpenMux } from './mux-sockets.ts';
import type { PortClaims } from './port-claims.ts';
import { tapKey } from './tap-devices.ts';

export interface TapPortParts {
  readonly io: Pick<Devices, 'setTapPersistent' | 'close'>;
  readonly engine: EngineLink;
  readonly kernel: Pick<KernelNetwork, 'link' | 'deleteOverlayLink' | 'releaseOverlayLink' | 'setMtu'>;
  readonly store: DescriptorStore;
  readonly claims: PortClaims;
  readonly report: (error: unknown) => void;
}

/** What stands when open() is through. */
export interface TapPortFacts {
  readonly id: number;
  readonly linkIndex: number;
  readonly adopted: boolean;
  readonly tap: number;
}

export class TapPort implements DatapathPort {
  readonly driver = 'tap';
  readonly id: number;
  readonly linkIndex: number;
  readonly adopted: boolean;
  readonly known: Uint8Array;
  readonly #parts: TapPortParts;
  readonly #muxes: MuxSockets;
  readonly #serial: Serial;
  readonly #tap: number;
  #spec: DatapathSpec;
  #mux: OpenMux;
  #kept = false;
  #ended = false;

  constructor(parts: TapPortParts, muxes: MuxSockets, serial: Serial, spec: DatapathSpec, mux: OpenMux, facts: TapPortFacts) {
    this.#parts = parts;
    this.#muxes = muxes;
    this.#serial = serial;
    this.#spec = spec;
    this.#mux = mux;
    this.id = facts.id;
    this.linkIndex = facts.linkIndex;
    this.adopted = facts.adopted;
    this.#tap = facts.tap;
    this.known = spec.restore?.targets ?? new Uint8Array(0);
  }

  /** What befalls it the engine tells. */
  watch(): void {}

  /** Every frame passes the engine. */
  counters(counted: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
    return counted;
  }

  keep(): void {
    const { io, store, report } = this.#parts;
    this.#kept = true;
    try {
      io.setTapPersistent(this.#tap, true);
    } catch (error) {
      report(error);
    }
    store.keep(tapKey(this.#spec.name), this.#tap);
    this.#muxes.keep(this.#mux);
  }

  close(): Promise<void> {
    return this.#serial.run(() => this.#end((unwind) => this.#undo(unwind)));
  }

  release(): Promise<void> {
    return this.#serial.run(() => this.#end((unwind) => this.#letGo(unwind)));
  }

  setMtu(mtu: number): void {
    const { kernel, engine } = this.#parts;
    kernel.setMtu(this.#spec.name, mtu);
    engine.send({ op: 'setMtu', port: this.id, mtu });
    this.#spec = { ...this.#spec, mtu };
  }

  setPoint(point: WireDestination): void {
    this.#parts.engine.send({ op: 'setPoint', port: this.id, point });
    this.#spec = { ...this.#spec, point };
  }

  move(socket: UnderlaySocket): Promise<void> {
    return this.#serial.run(() => this.#move(socket));
  }

  /** Steps are added in the order of open() and done last first; one that fails does not keep the others from being done. */
  async #end(add: (unwind: Unwind) => void): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await using unwind = new Unwind(this.#parts.report);
    add(unwind);
  }

  #undo(unwind: Unwind): void {
    const { io, kernel, store } = this.#parts;
    const { name, vnetid } = this.#spec;
    unwind.add(() => this.#parts.claims.release(this.#spec.socket, name));
    unwind.add(() => this.#muxes.leave(this.#mux, vnetid));
    // The device goes with its last descriptor, what stands on it goes with the device, and only then its isolation.
    unwind.add(() => kernel.releaseOverlayLink(name));
    const outlives = this.#kept || this.adopted;
    if (outlives) unwind.add(() => this.#deleteLink());
    unwind.add(() => io.close(this.#tap));
    if (outlives) {
      unwind.add(() => this.#makeTransient());
      unwind.add(() => store.forget(tapKey(name)));
    }
    unwind.add(() => this.#closePort());
  }

  #letGo(unwind: Unwind): void {
    const { io, kernel } = this.#parts;
    unwind.add(() => this.#parts.claims.release(this.#spec.socket, this.#spec.name));
    unwind.add(() => this.#muxes.release(this.#mux, this.#spec.vnetid));
    unwind.add(() => kernel.releaseOverlayLink(this.#spec.name));
    unwind.add(() => io.close(this.#tap));
    unwind.add(() => this.#closePort());
    unwind.add(() => this.#muxes.hold(this.#mux));
  }

  async #closePort(): Promise<void> {
    await this.#parts.engine.call({ op: 'closePort', port: this.id });
  }

  #makeTransient(): void {
    try {
      this.#parts.io.setTapPersistent(this.#tap, false);
    } catch (error) {
      // Somebody has deleted the device: as good.
      if ((error as SystemError).code !== 'EBADFD') throw error;
    }
  }

  /** Its holder, another process, may not have closed its descriptor yet. */
  #deleteLink(): void {
    const { kernel } = this.#parts;
    const { name } = this.#spec;
    if (kernel.link(name)?.index !== this.linkIndex) return;
    try {
      kernel.deleteOverlayLink(name);
    } catch (error) {
      if (kernel.link(name)?.index === this.linkIndex) throw error;
    }
  }

  async #move(socket: UnderlaySocket): Promise<void> {
    const { engine, claims, report } = this.#parts;
    const before = this.#spec.socket;
    if (this.#ended || (socket.listenIp === before.listenIp && socket.listenPort === before.listenPort)) return;
    const spec = { ...this.#spec, socket };
    await using unwind = new Unwind(report);
    const claim = claims.move('tap', spec.encap, before, socket, spec.name);
    unwind.add(() => claim.undo());
    const mux = await this.#muxes.join(spec);
    unwind.add(() => this.#muxes.withdraw(mux, spec.vnetid));
    await engine.call({ op: 'movePort', port: this.id, mux: mux.id });
    unwind.keep();
    claim.keep();
    const left = this.#mux;
    this.#mux = mux;
    this.#spec = spec;
    if (this.#kept) this.#muxes.keep(mux);
    await this.#muxes.leave(left, spec.vnetid);
  }
}
