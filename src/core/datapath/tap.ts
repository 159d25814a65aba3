// The tap driver: the overlay's link is a TAP device, and the engine itself carries every frame.
import { type IpAddress, OverlayError } from '@overlayadm/api';
import type { EngineLink } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import { TAP_QUEUE_FRAMES } from '../util/limits.ts';
import { Serial } from '../util/serial.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices, SystemError } from './devices.ts';
import type { DatapathDriver, DatapathPort, DatapathSpec } from './driver.ts';
import { type MuxParts, MuxSockets } from './mux-sockets.ts';

export interface TapParts extends MuxParts {
  readonly io: Devices;
  readonly engine: EngineLink;
  readonly kernel: KernelNetwork;
}

export class TapDriver implements DatapathDriver {
  readonly name = 'tap';
  readonly #parts: TapParts;
  readonly #muxes: MuxSockets;
  /** Two overlays that open and close one socket at a time would find it in use. */
  readonly #serial = new Serial();
  #last = 0;

  constructor(parts: TapParts) {
    this.#parts = parts;
    this.#muxes = new MuxSockets(parts);
  }

  refuse({ format }: Pick<DatapathSpec, 'format'>): string | undefined {
    return format.carrier.over === 'udp' ? undefined : `IP protocol ${format.carrier.protocol} as carrier is not supported`;
  }

  isOwnSocket(ip: IpAddress, port: number): boolean {
    return this.#muxes.isOwnSocket(ip, port);
  }

  open(spec: DatapathSpec): Promise<DatapathPort> {
    return this.#serial.run(() => this.#open(spec));
  }

  async #open(spec: DatapathSpec): Promise<DatapathPort> {
    const { io, engine, kernel, report } = this.#parts;
    await using unwind = new Unwind(report);
    const mux = await this.#muxes.join(spec);
    unwind.add(() => this.#muxes.leave(mux, spec.vnetid));
    const tap = openTap(io, spec.name);
    // The device goes with its last descriptor, what stands on it goes with the device, and only then its isolation.
    unwind.add(() => kernel.releaseOverlayLink(spec.name));
    unwind.add(() => io.close(tap));
    const { index } = kernel.prepareOverlayLink(spec.name, { mtu: spec.mtu, queueFrames: TAP_QUEUE_FRAMES });
    const id = ++this.#last;
    const { vnetid, mtu, header, carriesVlanTag, group, resolves, servesDhcp, point } = spec;
    const dynamic = { group, resolves, servesDhcp, ...(point === undefined ? {} : { point }) };
    await engine.call({ op: 'openPort', spec: { port: id, mux: mux.id, tap, vnetid, mtu, header, carriesVlanTag, ...dynamic } });
    unwind.add(async () => void (await engine.call({ op: 'closePort', port: id })));
    const undo = unwind.keep();
    return { driver: 'tap', id, linkIndex: index, close: () => this.#serial.run(() => closeAll(undo, report)) };
  }
}

/** Undoes what open() did, last first; a step that fails does not keep the ones below from being undone. */
async function closeAll(undo: ReturnType<Unwind['keep']>, report: (error: unknown) => void): Promise<void> {
  await using unwind = new Unwind(report);
  for (const step of undo) unwind.add(step);
}

const TAP_ERRORS: Readonly<Record<string, { code: string; message: string; advice: string }>> = {
  ENOENT: {
    code: 'TUN_MISSING',
    message: 'there is no /dev/net/tun',
    advice: 'Load the driver ("modprobe tun"); in a container, pass the device in.',
  },
  ENODEV: { code: 'TUN_MISSING', message: 'the kernel has no TUN/TAP driver', advice: 'Load the driver ("modprobe tun").' },
  EBUSY: { code: 'LINK_EXISTS', message: 'a link of this name exists', advice: 'Choose another name; "ip link" shows the ones there are.' },
  EEXIST: { code: 'LINK_EXISTS', message: 'a link of this name exists', advice: 'Choose another name; "ip link" shows the ones there are.' },
  EPERM: { code: 'NOT_PERMITTED', message: 'permission denied', advice: 'overlayd needs CAP_NET_ADMIN; start it as root.' },
  EACCES: { code: 'NOT_PERMITTED', message: 'permission denied', advice: 'overlayd needs CAP_NET_ADMIN and /dev/net/tun; start it as root.' },
};

function openTap(io: Devices, name: string): number {
  try {
    return io.openTap({ name, exclusive: true });
  } catch (cause) {
    const known = TAP_ERRORS[(cause as SystemError).code];
    if (known === undefined) throw cause;
    throw new OverlayError(known.code, `${name}: ${known.message}`, { details: { overlay: name }, advice: known.advice, cause });
  }
}
