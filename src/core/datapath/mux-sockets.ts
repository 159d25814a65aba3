// The underlay sockets of the tap driver: one to receive and a pool to send for each listen address and port, shared by overlays.
import { type IpAddress, ipFamily, ipToBytes, OverlayError } from '@overlayadm/api';
import type { EngineLink } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import { SEND_SOCKETS, SOCKET_BUFFER_BYTES, SOURCE_PORTS } from '../util/limits.ts';
import { Unwind } from '../util/unwind.ts';
import type { Devices, SystemError } from './devices.ts';
import type { DatapathSpec } from './driver.ts';

/** Tries to find a free source port; the range has 16384 of them. */
const MAX_PORT_TRIES = 64;

export interface MuxParts {
  readonly io: Pick<Devices, 'openUdp' | 'close'>;
  readonly engine: EngineLink;
  readonly kernel: Pick<KernelNetwork, 'whoHasUdpPort'>;
  /** A number from 0 to 1, for source ports. */
  readonly random: () => number;
  readonly report: (error: unknown) => void;
}

export interface OpenMux {
  readonly id: number;
  readonly encap: string;
  readonly listenIp: IpAddress;
  readonly listenPort: number;
  readonly sockets: readonly number[];
  /** Overlays on it, by vnetid. */
  readonly overlays: Map<number, string>;
}

export class MuxSockets {
  readonly #parts: MuxParts;
  readonly #open = new Map<string, OpenMux>();
  #last = 0;

  constructor(parts: MuxParts) {
    this.#parts = parts;
  }

  isOwnSocket(ip: IpAddress, port: number): boolean {
    return this.#open.has(`${ip} ${port}`);
  }

  /** Joins the mux of this overlay's socket, which is opened when it is the first. @throws OverlayError VNETID_IN_USE, PORT_IN_USE, ADDRESS_NOT_HERE. */
  async join(spec: DatapathSpec): Promise<OpenMux> {
    const { listenIp, listenPort = 0 } = spec.socket;
    const mux = this.#shared(spec, listenIp, listenPort) ?? (await this.#openMux(spec, listenIp, listenPort));
    mux.overlays.set(spec.vnetid, spec.name);
    return mux;
  }

  /** The last overlay that leaves closes it. */
  async leave(mux: OpenMux, vnetid: number): Promise<void> {
    mux.overlays.delete(vnetid);
    if (mux.overlays.size > 0) return;
    this.#open.delete(`${mux.listenIp} ${mux.listenPort}`);
    await using unwind = new Unwind(this.#parts.report);
    for (const socket of mux.sockets) unwind.add(() => this.#parts.io.close(socket));
    // An engine that is gone reads and sends no more.
    unwind.add(async () => void (await this.#parts.engine.call({ op: 'closeMux', mux: mux.id })));
  }

  #shared(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): OpenMux | undefined {
    const mux = this.#open.get(`${listenIp} ${listenPort}`);
    if (mux === undefined) return undefined;
    const where = `${listenIp} port ${listenPort}`;
    const taken = mux.overlays.get(spec.vnetid);
    if (taken !== undefined) {
      throw new OverlayError('VNETID_IN_USE', `vnetid: ${spec.vnetid} is in use on ${where} by ${taken}`, {
        details: { vnetid: spec.vnetid, overlay: taken },
        advice: `Choose another -v, or delete ${taken}.`,
      });
    }
    if (mux.encap !== spec.encap) {
      const names = [...mux.overlays.values()];
      throw new OverlayError('PORT_IN_USE', `${spec.encap}: ${where} carries ${mux.encap} for ${names.join(', ')}`, {
        details: { address: listenIp, port: listenPort, encap: mux.encap, overlays: names },
        advice: `Choose another ${spec.encap}/listen_port.`,
      });
    }
    return mux;
  }

  async #openMux(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): Promise<OpenMux> {
    const { io, engine, report } = this.#parts;
    await using unwind = new Unwind(report);
    const receive = await this.#bind(spec, listenIp, listenPort);
    unwind.add(() => io.close(receive));
    const send: number[] = [];
    while (send.length < SEND_SOCKETS) {
      const socket = this.#bindSource(listenIp);
      unwind.add(() => io.close(socket));
      send.push(socket);
    }
    const mux: OpenMux = { id: ++this.#last, encap: spec.encap, listenIp, listenPort, sockets: [receive, ...send], overlays: new Map() };
    await engine.call({ op: 'openMux', spec: { mux: mux.id, encap: spec.encap, format: spec.format, socket: receive, sendSockets: send } });
    this.#open.set(`${listenIp} ${listenPort}`, mux);
    unwind.keep();
    return mux;
  }

  async #bind(spec: DatapathSpec, listenIp: IpAddress, listenPort: number): Promise<number> {
    try {
      return this.#udp(listenIp, listenPort, false);
    } catch (error) {
      const { code } = error as SystemError;
      if (code === 'EADDRNOTAVAIL') throw addressNotHere(spec.encap, listenIp, error);
      if (code === 'EADDRINUSE') throw await this.#portInUse(spec.encap, listenIp, listenPort, error);
      throw error;
    }
  }

  #bindSource(listenIp: IpAddress): number {
    for (let tries = 1; ; tries++) {
      const port = SOURCE_PORTS.min + Math.floor(this.#parts.random() * (SOURCE_PORTS.max - SOURCE_PORTS.min + 1));
      try {
        return this.#udp(listenIp, port, true);
      } catch (error) {
        if ((error as SystemError).code !== 'EADDRINUSE') throw error;
        if (tries === MAX_PORT_TRIES) throw noSourcePort(listenIp, error);
      }
    }
  }

  #udp(ip: IpAddress, port: number, sendOnly: boolean): number {
    return this.#parts.io.openUdp({
      family: ipFamily(ip),
      address: ipToBytes(ip),
      port,
      receiveBufferBytes: sendOnly ? 0 : SOCKET_BUFFER_BYTES,
      sendBufferBytes: sendOnly ? SOCKET_BUFFER_BYTES : 0,
      sendOnly,
    });
  }

  async #portInUse(encap: string, ip: IpAddress, port: number, cause: unknown): Promise<OverlayError> {
    const own = [...this.#open.values()].filter((mux) => mux.listenPort === port && ipFamily(mux.listenIp) === ipFamily(ip));
    const names = own.flatMap((mux) => [...mux.overlays.values()]);
    const owner = names.length > 0 ? names.join(', ') : await this.#parts.kernel.whoHasUdpPort(ipFamily(ip), ip, port);
    return new OverlayError('PORT_IN_USE', `${encap}/listen_port: ${ip} port ${port} is in use${owner === undefined ? '' : ` by ${owner}`}`, {
      details: { address: ip, port, owner: owner ?? null },
      advice: `Choose another port with -p ${encap}/listen_port=<port>, or stop what uses it.`,
      cause,
    });
  }
}

function noSourcePort(ip: IpAddress, cause: unknown): OverlayError {
  const { min, max } = SOURCE_PORTS;
  return new OverlayError('PORT_IN_USE', `${ip}: no free source port found (${MAX_PORT_TRIES} tries in ${min}-${max})`, {
    details: { address: ip, min, max, tries: MAX_PORT_TRIES },
    advice: `Stop what uses so many UDP ports; "ss -uanp" shows it.`,
    cause,
  });
}

/** The error for a listen address that this host does not have. */
function addressNotHere(encap: string, ip: IpAddress, cause?: unknown): OverlayError {
  return new OverlayError('ADDRESS_NOT_HERE', `${encap}/listen_ip: ${ip} is not an address of this host`, {
    details: { address: ip },
    advice: 'See "ip address" for the addresses there are.',
    cause,
  });
}
