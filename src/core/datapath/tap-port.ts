// An overlay that is open on a TAP: what becomes of its device, its sockets and its place in the engine.
import type { KernelNetwork } from '../linux/types.ts';
import type { Unwind } from '../util/unwind.ts';
import type { Devices, SystemError } from './devices.ts';
import type { DatapathSpec, DescriptorStore } from './driver.ts';
import type { OpenMux } from './mux-sockets.ts';
import { OpenPort, type OpenPortFacts, type OpenPortParts } from './open-port.ts';
import { tapKey } from './tap-devices.ts';

export interface TapPortParts extends OpenPortParts {
  readonly io: Pick<Devices, 'setTapPersistent' | 'close'>;
  readonly kernel: Pick<KernelNetwork, 'link' | 'deleteOverlayLink' | 'releaseOverlayLink' | 'setMtu'>;
  readonly store: DescriptorStore;
}

export class TapPort extends OpenPort<TapPortParts> {
  readonly driver = 'tap';
  readonly #tap: number;

  constructor(parts: TapPortParts, spec: DatapathSpec, mux: OpenMux, facts: Omit<OpenPortFacts, 'known'> & { readonly tap: number }) {
    super(parts, spec, mux, { ...facts, known: spec.restore?.targets ?? new Uint8Array(0) });
    this.#tap = facts.tap;
  }

  /** What befalls it the engine tells. */
  watch(): void {}

  /** Every frame passes the engine. */
  counters(counted: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
    return counted;
  }

  override keep(): void {
    const { io, store, report } = this.parts;
    try {
      io.setTapPersistent(this.#tap, true);
    } catch (error) {
      report(error);
    }
    store.keep(tapKey(this.spec.name), this.#tap);
    super.keep();
  }

  protected undo(unwind: Unwind): void {
    const { io, kernel, store, muxes } = this.parts;
    const { name, vnetid } = this.spec;
    unwind.add(() => muxes.leave(this.mux, vnetid));
    // The device goes with its last descriptor, what stands on it goes with the device, and only then its isolation.
    unwind.add(() => kernel.releaseOverlayLink(name));
    const outlives = this.isKept || this.adopted;
    if (outlives) unwind.add(() => this.#deleteLink());
    unwind.add(() => io.close(this.#tap));
    if (outlives) {
      unwind.add(() => this.#makeTransient());
      unwind.add(() => store.forget(tapKey(name)));
    }
    unwind.add(() => this.closePort());
  }

  protected letGo(unwind: Unwind): void {
    const { io, kernel, muxes } = this.parts;
    unwind.add(() => muxes.release(this.mux, this.spec.vnetid));
    unwind.add(() => kernel.releaseOverlayLink(this.spec.name));
    unwind.add(() => io.close(this.#tap));
    unwind.add(() => this.closePort());
    unwind.add(() => muxes.hold(this.mux));
  }

  /** A TAP is no link of the underlay. */
  protected linkOf(): undefined {}
  protected moveLink(): void {}

  #makeTransient(): void {
    try {
      this.parts.io.setTapPersistent(this.#tap, false);
    } catch (error) {
      // Somebody has deleted the device: as good.
      if ((error as SystemError).code !== 'EBADFD') throw error;
    }
  }

  /** Its holder, another process, may not have closed its descriptor yet. */
  #deleteLink(): void {
    const { kernel } = this.parts;
    const { name } = this.spec;
    if (kernel.link(name)?.index !== this.linkIndex) return;
    try {
      kernel.deleteOverlayLink(name);
    } catch (error) {
      if (kernel.link(name)?.index === this.linkIndex) throw error;
    }
  }
}
