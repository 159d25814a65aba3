// A kernel with vxlan links that notes what is asked of it, next to what the engine is asked: for tests of the kernel driver.
import { type IpAddress, OverlayError } from '@overlayadm/api';
import { KernelDriver } from '../../../src/core/datapath/kernel.ts';
import { PortClaims } from '../../../src/core/datapath/port-claims.ts';
import type { CallResult, EngineCall, ToEngine } from '../../../src/core/engine/messages.ts';
import type { FdbRow, LinkInfo, LinkStatistics, VxlanSpec } from '../../../src/core/linux/types.ts';
import type { Log } from '../../../src/core/util/log.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { NO_STATISTICS, SimKernel } from '../../helpers/sim-host.ts';
import { counting, FakeDevices, FakeEngine } from './fake-devices.ts';

type Step = 'addVxlan' | 'adoptVxlan' | 'raiseVxlan' | 'moveVxlan' | 'statistics' | 'deleteOverlayLink' | 'releaseVxlan' | 'repairFilter';

export class FakeKernel extends SimKernel {
  readonly calls: string[];
  /** What these calls throw. */
  readonly errors = new Map<Step, Error>();
  refusal: string | undefined;
  rows: readonly FdbRow[] = [];
  counted: LinkStatistics = NO_STATISTICS;
  frags = 0;
  /** Has somebody changed the filter? */
  isFilterChanged = false;
  #last = 70;

  constructor(addresses: readonly string[], calls: string[]) {
    super(addresses);
    this.calls = calls;
  }

  override refuseVxlan = (): string | undefined => this.refusal;
  override addVxlan = (spec: VxlanSpec): LinkInfo => {
    this.#step('addVxlan', `${spec.name} ${spec.vnetid} ${spec.listenIp} ${spec.port}${spec.mac === undefined ? '' : ` ${spec.mac}`}`);
    return this.makeVxlan(spec.name, spec.mtu);
  };
  override adoptVxlan = ({ name, listenIp }: VxlanSpec): LinkInfo => {
    this.#step('adoptVxlan', `${name} ${listenIp}`);
    return this.#found(name);
  };
  override raiseVxlan = (name: string): LinkInfo => {
    this.#step('raiseVxlan', name);
    const link = { ...this.#found(name), up: true };
    this.known.set(name, link);
    return link;
  };
  override moveVxlan = (name: string, listenIp: IpAddress): void => this.#step('moveVxlan', `${name} ${listenIp}`);
  override fdbRows = (): readonly FdbRow[] => this.rows;
  override releaseVxlan = (name: string): void => this.#step('releaseVxlan', name);
  override statistics = (): LinkStatistics => {
    const error = this.errors.get('statistics');
    if (error !== undefined) throw error;
    return this.counted;
  };
  override fragFails = (): number => this.frags;
  override repairFilter = (): boolean => {
    const error = this.errors.get('repairFilter');
    if (error !== undefined) throw error;
    const changed = this.isFilterChanged;
    this.isFilterChanged = false;
    return changed;
  };

  override deleteOverlayLink(name: string): void {
    this.#step('deleteOverlayLink', name);
    super.deleteOverlayLink(name);
  }

  /** A link of ours, down. */
  makeVxlan(name: string, mtu = 1400, more: Partial<LinkInfo> = {}): LinkInfo {
    const mark = { stateId: 'sim', name };
    const state = { up: false, carrier: false, noarp: true, loopback: false, lowerIndex: undefined, lowerNetnsId: undefined };
    const link: LinkInfo = { name, index: ++this.#last, mac: undefined, mtu, kind: 'vxlan', alias: 'sim', mark, ours: true, ...state, ...more };
    this.known.set(name, link);
    return link;
  }

  #step(step: Step, what: string): void {
    this.calls.push(`${step} ${what}`);
    const error = this.errors.get(step);
    if (error !== undefined) throw error;
  }

  #found(name: string): LinkInfo {
    const link = this.known.get(name);
    if (link === undefined) throw new OverlayError('LINK_NOT_FOUND', `${name}: does not exist`);
    return link;
  }
}

/** Notes its calls among those of the kernel. */
export class NotingEngine extends FakeEngine {
  readonly calls: string[];
  destinations: CallResult = [];

  constructor(calls: string[]) {
    super();
    this.calls = calls;
  }

  override send(message: ToEngine): void {
    this.calls.push(message.op);
    super.send(message);
  }

  override async call(message: EngineCall): Promise<undefined> {
    this.calls.push(message.op);
    await super.call(message);
    return (message.op === 'destinations' ? this.destinations : undefined) as undefined;
  }

  /** The last message of this kind. */
  last<O extends ToEngine['op']>(op: O): Extract<ToEngine | EngineCall, { readonly op: O }> {
    const found = this.messages.findLast((message) => message.op === op);
    if (found === undefined) throw new Error(`the engine was not asked for ${op}`);
    return found as Extract<ToEngine | EngineCall, { readonly op: O }>;
  }
}

/** Names in the store, as they were given and forgotten. */
class NotingStore {
  readonly names: string[] = [];
  take = (): undefined => undefined;
  keep = (name: string): void => void this.names.push(name);
  forget = (name: string): void => void this.names.splice(this.names.indexOf(name), 1);
}

export function kernelRig(release = '6.18.0') {
  const calls: string[] = [];
  const io = new FakeDevices();
  const engine = new NotingEngine(calls);
  const kernel = new FakeKernel(['192.0.2.1', '192.0.2.2', '127.0.0.1', '2001:db8::1', '::1'], calls);
  const store = new NotingStore();
  const clock = new FakeClock();
  const reported: unknown[] = [];
  const logged: string[] = [];
  const line = (_fields: unknown, text: string): void => void logged.push(text);
  const log: Log = { debug: line, info: line, warn: line, error: line };
  const report = (error: unknown): void => void reported.push(error);
  const claims = new PortClaims();
  const driver = new KernelDriver({ io, engine, kernel, store, clock, random: Math.random, report, nextId: counting(), claims, log, release });
  /** What has been asked for since the last time. */
  const asked = (): string[] => calls.splice(0);
  return { io, engine, kernel, store, clock, reported, logged, claims, driver, asked };
}
