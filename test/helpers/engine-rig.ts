// One engine with simulated I/O, turn by turn: what tests of the engine drive.
import vxlan from '@overlayadm/plugin-vxlan';
import { Engine } from '../../src/core/engine/engine.ts';
import { Memory } from '../../src/core/engine/memory.ts';
import type {
  CallResult,
  EngineAnswer,
  EngineCall,
  FromEngine,
  LookupBatch,
  PortSpec,
  ToEngine,
  WireDestination,
} from '../../src/core/engine/messages.ts';
import { compileHeader } from '../../src/core/wire/header-format.ts';
import { SimIo, SimUnderlay } from './sim-io.ts';

const VXLAN_FORMAT = vxlan.format;

export interface Asked {
  readonly id: number;
  readonly port: number;
  readonly kind: number;
  readonly frame: Uint8Array;
}

/** A kernel link: what a VNIC sends on it, it forwards. */
export interface SimVxlan {
  readonly index: number;
  send(frame: Uint8Array): void;
}

const PUNT_MUX = 90;
export const PUNT_PORT = 47890;
export const loopback = (port: number): WireDestination => ({ family: 4, ip: Uint8Array.of(127, 0, 0, 1), port });

export const to = (last: number, port = 4789): WireDestination => ({ family: 4, ip: Uint8Array.of(192, 0, 2, last), port });

export class EngineRig {
  readonly underlay: SimUnderlay;
  readonly io: SimIo;
  readonly engine: Engine;
  readonly posted: FromEngine[] = [];
  now = 0;
  readonly #inbox: ToEngine[] = [];
  #call = 0;
  #hasPunt = false;

  /** @param address last octet of this host's underlay address, 192.0.2.N. */
  constructor(address = 1, underlay = new SimUnderlay(), poolBytes = 4 * 1024 * 1024) {
    this.underlay = underlay;
    this.io = new SimIo(underlay);
    this.engine = new Engine(
      {
        io: this.io,
        wake: this.io.openWake(),
        now: () => this.now,
        take: () => this.#inbox.shift(),
        post: (message) => this.posted.push(message),
      },
      new Memory(poolBytes),
    );
    this.openMux(1, address);
  }

  /** One more on 192.0.2.N, port 4789; where it receives, as the underlay names it. */
  openMux(mux: number, address: number): string {
    const listen = { family: 4, address: Uint8Array.of(192, 0, 2, address), receiveBufferBytes: 0, sendBufferBytes: 0 } as const;
    const socket = this.io.openUdp({ ...listen, port: 4789, sendOnly: false });
    const sendSockets = [50001, 50002].map((port) => this.io.openUdp({ ...listen, port, sendOnly: true }));
    this.call({ op: 'openMux', spec: { mux, encap: 'vxlan', format: VXLAN_FORMAT, socket, sendSockets } });
    return `192.0.2.${address} 4789`;
  }

  send(message: ToEngine): void {
    this.#inbox.push(message);
  }

  call(message: EngineCall): CallResult {
    const call = ++this.#call;
    this.send({ ...message, call } as ToEngine);
    this.turn();
    const done = this.posted.find((posted) => posted.op === 'done' && posted.call === call);
    if (done?.op !== 'done') throw new Error(`no answer to ${message.op}`);
    return done.result;
  }

  turn(): void {
    this.engine.turn(0);
  }

  /** Opens overlay `port` (TAP `overlayN`, vnetid 100 + N). */
  open(port: number, options: Partial<PortSpec> = {}): ReturnType<SimIo['tap']> {
    const name = `overlay${port}`;
    const vnetid = 100 + port;
    const dynamic = { carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };
    const tap = options.tap ?? this.io.openTap({ name, exclusive: true });
    const spec = { port, mux: 1, tap, vnetid, mtu: 1400, header: compileHeader(VXLAN_FORMAT, vnetid) };
    this.call({ op: 'openPort', spec: { ...spec, ...dynamic, ...options } });
    return this.io.tap(name);
  }

  /** Opens overlay `port` on a kernel link (index 10 + N, vnetid 100 + N), which forwards what it is given by its rows. */
  openKernel(port: number, options: Partial<PortSpec> = {}): SimVxlan {
    const index = 10 + port;
    const vnetid = 100 + port;
    if (!this.#hasPunt) this.#openPunt();
    const dynamic = { carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };
    const kernel = { index, fallback: loopback(PUNT_PORT), own: to(1) };
    const header = compileHeader(VXLAN_FORMAT, vnetid);
    this.io.fdb.addLink(index);
    this.call({ op: 'openPort', spec: { port, mux: PUNT_MUX, kernel, vnetid, mtu: 1400, header, ...dynamic, ...options } });
    const send = (frame: Uint8Array): void => {
      const mac = frame.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0);
      const bytes = new Uint8Array(header.length + frame.length);
      bytes.set(header);
      bytes.set(frame, header.length);
      for (const row of this.io.fdb.destinations(index, mac))
        if (row.to !== 'drop') this.underlay.send({ from: '192.0.2.1 50999', to: row.to, bytes: bytes.slice() });
    };
    return { index, send };
  }

  #openPunt(): void {
    this.#hasPunt = true;
    const listen = { family: 4, receiveBufferBytes: 0, sendBufferBytes: 0 } as const;
    const address = Uint8Array.of(192, 0, 2, 1);
    const socket = this.io.openUdp({ ...listen, address: Uint8Array.of(127, 0, 0, 1), port: PUNT_PORT, sendOnly: false });
    const sendSockets = [50003, 50004].map((port) => this.io.openUdp({ ...listen, address, port, sendOnly: true }));
    const spec = { mux: PUNT_MUX, encap: 'vxlan', format: VXLAN_FORMAT, socket, sendSockets, punt: { source: address } };
    this.call({ op: 'openMux', spec });
  }

  /** Requests posted since the last call. */
  asked(): Asked[] {
    const batches = this.posted.filter((message): message is LookupBatch => message.op === 'lookups');
    for (const batch of batches) this.posted.splice(this.posted.indexOf(batch), 1);
    return batches.flatMap((batch) =>
      Array.from(batch.ids, (id, row) => ({
        id,
        port: batch.ports[row] as number,
        kind: batch.kinds[row] as number,
        frame: batch.bytes.slice(row === 0 ? 0 : batch.ends[row - 1], batch.ends[row]),
      })),
    );
  }

  aborted(): number[] {
    return this.posted.flatMap((message) => (message.op === 'aborts' ? message.ids : []));
  }

  answer(...answers: EngineAnswer[]): void {
    this.send({ op: 'answers', answers });
    this.turn();
  }

  counters(port: number): Readonly<Record<string, number>> {
    return this.call({ op: 'counters', port }) as Readonly<Record<string, number>>;
  }

  /** Datagrams that left, and are then forgotten. */
  sent(): { readonly to: string; readonly from: string; readonly bytes: Uint8Array }[] {
    return this.underlay.carried.splice(0);
  }
}
