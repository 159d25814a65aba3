// The tap driver: the overlay's link is a TAP device, and the engine itself carries every frame.
import type { IpAddress } from '@overlayadm/api';
import type { EngineLink } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import { TAP_QUEUE_FRAMES } from '../util/limits.ts';
import { Serial } from '../util/serial.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices } from './devices.ts';
import type { DatapathDriver, DatapathPort, DatapathSpec } from './driver.ts';
import { joinUnderlay, linkBefore, portTraits } from './driver-steps.ts';
import { type MuxParts, MuxSockets } from './mux-sockets.ts';
import type { PortClaims } from './port-claims.ts';
import { TapDevices } from './tap-devices.ts';
import { TapPort } from './tap-port.ts';

export interface TapParts extends MuxParts {
  readonly io: Devices;
  readonly engine: EngineLink;
  readonly kernel: KernelNetwork;
  readonly claims: PortClaims;
  /** How many this process may have open; undefined when it is not known. */
  readonly mostDescriptors?: number | undefined;
}

export class TapDriver implements DatapathDriver {
  readonly name = 'tap';
  readonly #parts: TapParts;
  readonly #muxes: MuxSockets;
  readonly #devices: TapDevices;
  /** Two overlays that open and close one socket at a time would find it in use. */
  readonly #serial = new Serial();

  constructor(parts: TapParts) {
    this.#parts = parts;
    this.#muxes = new MuxSockets(parts);
    this.#devices = new TapDevices(parts);
  }

  refuse({ format, socket }: Pick<DatapathSpec, 'format' | 'socket'>, except?: string): string | undefined {
    if (format.carrier.over !== 'udp') return `IP protocol ${format.carrier.protocol} as carrier is not supported`;
    return this.#parts.claims.refuse('tap', socket, except);
  }

  isOwnSocket(ip: IpAddress, port: number): boolean {
    return this.#muxes.isOwnSocket(ip, port);
  }

  /**
   * Overlays that were there before this overlayd are open again, or cannot be just now: their sockets are read from now on, and
   * not before, so that no frame of one of them is lost while another was first. Without it they are read after RESTORE_HOLD_MS.
   */
  ready(): Promise<void> {
    return this.#serial.run(() => this.#muxes.ready());
  }

  /** An overlay that could not be restored is deleted. `isLast`: no other one waits to be restored. */
  discard(name: string, isLast: boolean): void {
    this.#devices.dropAside(name);
    if (isLast) this.#muxes.dropAside();
  }

  open(spec: DatapathSpec): Promise<DatapathPort> {
    return this.#serial.run(() => this.#open(spec));
  }

  async #open(spec: DatapathSpec): Promise<DatapathPort> {
    const { engine, kernel, claims, report } = this.#parts;
    const { name, restore } = spec;
    await using unwind = new Unwind(report);
    const mux = await joinUnderlay({ claims, muxes: this.#muxes }, this.name, spec, unwind);
    const before = restore === undefined ? undefined : linkBefore(kernel, name, 'tun');
    const tap = this.#devices.open(name, restore !== undefined);
    // The device goes with its last descriptor, what stands on it goes with the device, and only then its isolation.
    unwind.add(() => kernel.releaseOverlayLink(name));
    unwind.add(() => this.#devices.giveBack(name, tap));
    const { index } = kernel.prepareOverlayLink(name, {
      mtu: spec.mtu,
      queueFrames: TAP_QUEUE_FRAMES,
      ...(restore?.mac === undefined ? {} : { mac: restore.mac }),
    });
    const id = this.#parts.nextId();
    await engine.call({ op: 'openPort', spec: { ...portTraits(spec), port: id, mux: mux.id, tap: tap.fd } });
    unwind.keep();
    const facts = { id, linkIndex: index, adopted: before?.index === index, tap: tap.fd };
    return new TapPort({ ...this.#parts, muxes: this.#muxes, serial: this.#serial }, spec, mux, facts);
  }
}
