// One host whose overlayd ends and is started again, as far as the data path goes: a real engine, simulated devices, and a holder.
import vxlan from '@overlayadm/plugin-vxlan';
import type { DatapathSpec } from '../../../src/core/datapath/driver.ts';
import { PortClaims } from '../../../src/core/datapath/port-claims.ts';
import { TapDriver } from '../../../src/core/datapath/tap.ts';
import { Engine } from '../../../src/core/engine/engine.ts';
import { Memory } from '../../../src/core/engine/memory.ts';
import type { CallResult, EngineCall, EngineLink, FromEngine, ToEngine } from '../../../src/core/engine/messages.ts';
import { compileHeader } from '../../../src/core/wire/header-format.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { SimKernel } from '../../helpers/sim-host.ts';
import { SimIo, SimUnderlay } from '../../helpers/sim-io.ts';
import { SimStore } from '../../helpers/sim-store.ts';
import { counting, specOf } from './fake-devices.ts';

/** An engine that has a turn with every message. */
class SteppedEngine implements EngineLink {
  readonly #engine: Engine;
  readonly #wake: number;
  readonly #io: SimIo;
  readonly #inbox: ToEngine[] = [];
  readonly #posted: FromEngine[] = [];
  readonly ops: string[] = [];
  /** The operation that is refused. */
  refusing: EngineCall['op'] | undefined;
  #call = 0;

  constructor(io: SimIo) {
    this.#io = io;
    this.#wake = io.openWake();
    const door = {
      io,
      wake: this.#wake,
      now: () => 0,
      take: () => this.#inbox.shift(),
      post: (message: FromEngine) => void this.#posted.push(message),
    };
    this.#engine = new Engine(door, new Memory(64 * 1024));
  }

  send(message: ToEngine): void {
    this.ops.push(message.op);
    this.#inbox.push(message);
    this.turn();
  }

  async call(message: EngineCall): Promise<CallResult> {
    const call = ++this.#call;
    if (this.refusing === message.op) throw new Error(`${message.op} is refused`);
    this.send({ ...message, call } as ToEngine);
    const done = this.#posted.find((posted) => posted.op === 'done' && posted.call === call);
    if (done?.op !== 'done' || done.failure !== undefined) throw new Error(done?.op === 'done' ? done.failure : 'no answer');
    return done.result;
  }

  turn(): void {
    this.#engine.turn(0);
  }

  /** Nothing is read any more, and what the engine has opened itself goes. */
  async stop(): Promise<void> {
    await this.call({ op: 'stop' });
    this.#io.close(this.#wake);
  }
}

export class RestartRig {
  readonly #nextId = counting();
  readonly underlay = new SimUnderlay();
  readonly io = new SimIo(this.underlay);
  readonly kernel = new SimKernel(['192.0.2.1'], this.io);
  readonly store = new SimStore(this.io);
  readonly clock = new FakeClock();
  readonly reported: unknown[] = [];
  engine = new SteppedEngine(this.io);
  driver = this.#newDriver();

  /** overlayd was killed, and is started again. */
  restart(): void {
    this.io.closeAll();
    this.#start();
  }

  /** overlayd ends as it should, once its overlays are released, and is started again. */
  async restartSoftly(): Promise<void> {
    await this.engine.stop();
    if (this.io.open !== 0) throw new Error(`${this.io.open} descriptors are left`);
    this.#start();
  }

  #start(): void {
    this.store.begin();
    this.engine = new SteppedEngine(this.io);
    this.driver = this.#newDriver();
  }

  /** What the engine refuses from now on. */
  refuse(op: EngineCall['op'] | undefined): void {
    this.engine.refusing = op;
  }

  refuseLink(on: boolean): void {
    this.kernel.failing = on ? 'prepareOverlayLink' : undefined;
  }

  /** Somebody on the underlay sends a frame to an overlay of this host. */
  arrive(vnetid: number, frame: Uint8Array, to = '192.0.2.1 4789'): void {
    this.underlay.send({ from: '192.0.2.2 50000', to, bytes: Uint8Array.of(8, 0, 0, 0, 0, 0, vnetid, 0, ...frame) });
    this.underlay.carried.pop();
  }

  /** Datagrams that left, and are then forgotten. */
  sent(): readonly { readonly to: string; readonly from: string; readonly bytes: Uint8Array }[] {
    return this.underlay.carried.splice(0);
  }

  #newDriver(): TapDriver {
    const { io, engine, kernel, store, clock } = this;
    const report = (error: unknown): void => void this.reported.push(error);
    return new TapDriver({ io, engine, kernel, store, clock, random: Math.random, report, nextId: this.#nextId, claims: new PortClaims() });
  }
}

export const spec = (number: number, options: Partial<DatapathSpec> = {}): DatapathSpec =>
  specOf(`overlay${number}`, number, { header: compileHeader(vxlan.format, number), ...options });
export const NO_TARGETS = { restore: { targets: new Uint8Array(0) } };
