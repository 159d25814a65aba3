// A whole host in memory: the real daemon, engine, plugins and control socket, with simulated kernel, devices and time.
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type IpAddress, type MacAddress, OverlayError } from '@overlayadm/api';
import { type Daemon, startDaemon } from '../../src/core/daemon/daemon.ts';
import { Calls, type StartEngine } from '../../src/core/daemon/engine-thread.ts';
import { Engine } from '../../src/core/engine/engine.ts';
import { Memory } from '../../src/core/engine/memory.ts';
import type { FromEngine, ToEngine } from '../../src/core/engine/messages.ts';
import type { KernelNetwork, LinkInfo, LinkStatistics, UpperLink, VnicSpec } from '../../src/core/linux/types.ts';
import { type Client, connect } from '../../src/core/rpc/client.ts';
import type { MethodName, Methods } from '../../src/core/rpc/protocol.ts';
import { systemClock } from '../../src/core/util/clock.ts';
import { type Directories, socketPath } from '../../src/core/util/directories.ts';
import { RESTORE_RETRY_MS } from '../../src/core/util/limits.ts';
import { type Log, silentLog } from '../../src/core/util/log.ts';
import { FakeClock } from './fake-clock.ts';
import { connectInProcess, type InProcess, type TestPlugin } from './in-process-host.ts';
import { SimIo, type SimUnderlay } from './sim-io.ts';
import { Life } from './sim-life.ts';
import { SimStore } from './sim-store.ts';
import { temporaryFolder } from './temporary.ts';

const VERSION = '0.1.0';
/** Enough for a lookup to go from a TAP through engine, daemon, plugin host and back, several times. */
const TURNS = 60;

/** A network namespace other than the host's own. */
interface SimNamespace {
  readonly id: string;
  readonly links: Map<string, LinkInfo>;
}

export const NO_STATISTICS: LinkStatistics = {
  rxFrames: 0n,
  txFrames: 0n,
  rxBytes: 0n,
  txBytes: 0n,
  rxErrors: 0n,
  txErrors: 0n,
  rxDropped: 0n,
  txDropped: 0n,
  txAborted: 0n,
  txCarrier: 0n,
};

function noVxlan(): never {
  throw new Error('a simulated host has no vxlan');
}

/** Links of one host, as much of them as overlays need. */
export class SimKernel implements KernelNetwork {
  readonly addresses: Set<string>;
  readonly known = new Map<string, LinkInfo>();
  readonly namespaces = new Map<string, SimNamespace>();
  /** VLANs of VNICs, by index. */
  readonly vlans = new Map<number, number>();
  /** Addresses of links, by index: what somebody set with "ip address". */
  readonly ips = new Map<number, readonly IpAddress[]>();
  pathMtu: number | undefined = 1500;
  /** Calls named here throw, to make a step of a transaction fail. */
  failing: 'prepareOverlayLink' | 'addVnic' | 'deleteVnic' | 'setMtu' | undefined;
  closed = false;
  readonly #taps: Pick<SimIo, 'hasTap' | 'deleteTap'> | undefined;
  #lastIndex = 1;
  #lastNamespace = 0;

  /** @param taps devices of the same host, which links go with; without them a link stays until it is released. */
  constructor(addresses: readonly string[], taps?: Pick<SimIo, 'hasTap' | 'deleteTap'>) {
    this.addresses = new Set(addresses);
    this.#taps = taps;
  }

  networkNamespaceId = (): number => 4026531840;
  namespaceId = (netns: string): string | undefined => this.namespaces.get(netns)?.id;
  addNamespace(name: string): void {
    this.namespaces.set(name, { id: `namespace ${++this.#lastNamespace}`, links: new Map() });
  }

  /** The links of a namespace, ours without a name. */
  linksIn(netns: string | undefined): Map<string, LinkInfo> {
    if (netns === undefined) return this.known;
    const found = this.namespaces.get(netns);
    if (found === undefined) throw new OverlayError('NETNS_NOT_FOUND', `${netns}: there is no network namespace of this name`);
    return found.links;
  }

  link = (name: string, netns?: string): LinkInfo | undefined => this.links(netns).find((link) => link.name === name);
  links = (netns?: string): readonly LinkInfo[] => {
    if (netns !== undefined) return [...this.linksIn(netns).values()];
    for (const { name, kind } of this.known.values()) if (kind === 'tun' && this.#taps?.hasTap(name) === false) this.#remove(name);
    return [...this.known.values()];
  };
  refuseLinkName = (name: string, netns?: string): string | undefined => (this.linksIn(netns).has(name) ? 'exists already (tun)' : undefined);

  prepareOverlayLink(name: string, { mtu }: { readonly mtu: number }): LinkInfo {
    if (this.failing === 'prepareOverlayLink') throw new Error('the kernel says no');
    const known = this.link(name);
    if (known === undefined) return this.#add({ name, mtu, kind: 'tun', noarp: true, mac: undefined, lowerIndex: undefined });
    const link = { ...known, mtu };
    this.known.set(name, link);
    return link;
  }

  /** Overlays of a simulation are carried by TAPs. */
  refuseVxlan: KernelNetwork['refuseVxlan'] = () => 'a simulated host has no vxlan';
  addVxlan: KernelNetwork['addVxlan'] = () => noVxlan();
  adoptVxlan: KernelNetwork['adoptVxlan'] = () => noVxlan();
  raiseVxlan: KernelNetwork['raiseVxlan'] = () => noVxlan();
  moveVxlan: KernelNetwork['moveVxlan'] = () => noVxlan();
  fdbRows: KernelNetwork['fdbRows'] = () => noVxlan();
  fragFails = (): number => 0;
  releaseVxlan: KernelNetwork['releaseVxlan'] = () => undefined;
  repairFilter = (): boolean => false;
  sweepFilter = (): void => undefined;

  releaseOverlayLink(name: string): void {
    if (this.#taps?.hasTap(name) !== true) this.#remove(name);
  }

  #remove(name: string): void {
    const { index } = this.known.get(name) ?? { index: -1 };
    this.known.delete(name);
    // As in the kernel: what stands on a link goes with it.
    for (const links of this.#everywhere()) for (const link of links.values()) if (link.lowerIndex === index) links.delete(link.name);
  }

  *#everywhere(): Generator<Map<string, LinkInfo>> {
    yield this.known;
    for (const { links } of this.namespaces.values()) yield links;
  }

  addVnic({ name, overlay, mac, mtu, netns, vid }: VnicSpec): LinkInfo {
    if (this.failing === 'addVnic') throw new Error('the kernel says no');
    const links = this.linksIn(netns);
    const lowerIndex = this.known.get(overlay)?.index;
    if (lowerIndex === undefined) throw new OverlayError('LINK_NOT_FOUND', `${overlay}: does not exist`);
    if (links.has(name)) throw new OverlayError('LINK_EXISTS', `${name}: exists`);
    const used = this.linksAbove(lowerIndex).some((link) => link.mac === mac);
    if (used) throw new OverlayError('VNIC_MAC_IN_USE', `${name}: cannot be made, its MAC address ${mac} is in use on this overlay`);
    const link = this.#add({ name, mtu, mac, kind: 'macvlan', noarp: false, lowerIndex }, links);
    if (vid !== undefined) this.vlans.set(link.index, vid);
    return link;
  }

  vlanOf = (name: string, netns?: string): number | undefined => this.vlans.get(this.link(name, netns)?.index ?? -1);
  deleteOverlayLink(name: string): void {
    if (this.#taps?.hasTap(name)) this.#taps.deleteTap(name);
    this.#remove(name);
  }

  setMtu(name: string, mtu: number, netns?: string): void {
    if (this.failing === 'setMtu') throw new Error('the kernel says no');
    const links = this.linksIn(netns);
    const link = links.get(name);
    if (link !== undefined) links.set(name, { ...link, mtu });
  }

  deleteVnic = (name: string, netns?: string): void => {
    if (this.failing === 'deleteVnic') throw new Error('the kernel says no');
    this.linksIn(netns).delete(name);
  };
  linksAbove = (index: number): readonly UpperLink[] =>
    [undefined, ...this.namespaces.keys()].flatMap((netns) =>
      this.links(netns)
        .filter((link) => link.lowerIndex === index)
        .map((link) => ({ ...link, netns })),
    );
  vnicsElsewhere = (): readonly UpperLink[] =>
    [...this.namespaces.keys()].flatMap((netns) =>
      this.links(netns)
        .filter(({ ours, kind }) => ours && kind === 'macvlan')
        .map((link) => ({ ...link, netns })),
    );
  statistics = (): LinkStatistics => NO_STATISTICS;
  hostHasAddress = (ip: IpAddress): boolean => this.addresses.has(ip);
  addressesOf = (index: number): readonly IpAddress[] => this.ips.get(index) ?? [];
  routeMtu = (): number | undefined => this.pathMtu;
  mtuTo = (): number | undefined => this.pathMtu;
  whoHasUdpPort = async (): Promise<string> => 'process somebody (pid 7)';
  close(): void {
    this.closed = true;
  }

  #add(
    facts: { name: string; mtu: number; kind: string; noarp: boolean; mac: MacAddress | undefined; lowerIndex: number | undefined },
    links = this.known,
  ): LinkInfo {
    const made = { stateId: 'sim', name: facts.name };
    const common = { up: true, carrier: true, loopback: false, alias: 'sim', mark: made, ours: true, lowerNetnsId: undefined };
    const link: LinkInfo = { ...facts, ...common, index: ++this.#lastIndex };
    links.set(link.name, link);
    return link;
  }
}

/** An engine without a thread: it has a turn when the host gives it one. */
class SteppedEngine {
  readonly #inbox: ToEngine[] = [];
  readonly #outbox: FromEngine[] = [];
  #engine: Engine | undefined;
  #deliver: (message: FromEngine) => void = () => undefined;

  start(io: SimIo, clock: FakeClock): StartEngine {
    return (receive) => {
      const wake = io.openWake();
      const calls = new Calls();
      this.#inbox.length = 0;
      this.#outbox.length = 0;
      this.#deliver = (message) => (message.op === 'done' ? calls.done(message) : receive(message));
      const door = {
        io,
        wake,
        now: () => clock.now(),
        take: () => this.#inbox.shift(),
        post: (message: FromEngine) => void this.#outbox.push(message),
      };
      const engine = new Engine(door, new Memory(8 * 1024 * 1024));
      this.#engine = engine;
      const send = (message: ToEngine): void => {
        if (this.#engine !== engine) return;
        this.#inbox.push(message);
        io.wake(wake);
      };
      return {
        send,
        call: (message) => calls.begin((call) => send({ ...message, call } as ToEngine)),
        failed: new Promise(() => undefined),
        stop: async () => {
          calls.fail(new Error('stopped'));
          this.#engine = undefined;
          io.close(wake);
        },
      };
    };
  }

  /** Ends in the middle of whatever it does; what is asked of it is never answered. */
  die(): void {
    this.#engine = undefined;
    this.#inbox.length = 0;
    this.#outbox.length = 0;
  }

  turn(): void {
    this.#engine?.turn(0);
    for (const message of this.#outbox.splice(0)) this.#deliver(message);
  }
}

/** A new host has no directories yet; one that stopped, or died, has those that are there. */
function makeDirectories(): Directories {
  const folder = temporaryFolder();
  const directories = { run: join(folder, 'run'), state: join(folder, 'state'), data: join(folder, 'data'), config: join(folder, 'config') };
  // Nobody else may write to the configuration, whatever the file mode mask of the tests.
  for (const directory of Object.values(directories)) mkdirSync(directory, { mode: 0o700 });
  return directories;
}

export class SimHost {
  readonly io: SimIo;
  readonly store: SimStore;
  readonly kernel: SimKernel;
  readonly clock = new FakeClock();
  readonly plugins: InProcess;
  readonly #engine = new SteppedEngine();
  readonly #log: Log;
  readonly #clients: Client[] = [];
  #directories = makeDirectories();
  #life = new Life(this.clock);
  #lives = 0;
  #daemon: Daemon | undefined;
  #client: Client | undefined;

  constructor(underlay: SimUnderlay, addresses: readonly string[], plugins: readonly TestPlugin[], log: Log = silentLog) {
    this.#log = log;
    this.io = new SimIo(underlay);
    this.store = new SimStore(this.io);
    this.kernel = new SimKernel(addresses, this.io);
    this.plugins = connectInProcess(plugins, { clock: this.clock, log });
  }

  /** Of the overlayd that runs now, or that ran last. */
  get directories(): Directories {
    return this.#directories;
  }

  get isRunning(): boolean {
    return this.#daemon !== undefined;
  }

  /** A process with everything that is there: nothing on a new host. */
  async start(): Promise<void> {
    // The process before has ended: whatever it had open is closed.
    if (this.#lives > 0) this.io.closeAll();
    const hosts = this.#lives++ === 0 ? this.plugins.hosts : this.plugins.renew();
    this.kernel.closed = false;
    this.store.begin();
    this.#life = new Life(this.clock);
    const { clock } = this.#life;
    const [io, kernel, store] = [this.#life.of(this.io), this.#life.of(this.kernel), this.#life.of(this.store.forDaemon)];
    const startEngine = this.#engine.start(this.io, this.clock);
    const parts = { directories: this.#directories, version: VERSION, clock, log: this.#log, io, kernel, store, startEngine, hosts };
    this.#daemon = await this.#turning(startDaemon(parts));
    this.#client = await this.connect();
  }

  /** One more connection to overlayd. Its calls are answered only while somebody gives turns. */
  async connect(): Promise<Client> {
    const self = { version: VERSION, netns: this.kernel.networkNamespaceId() };
    const client = await connect(socketPath(this.#directories), { ...self, clock: systemClock });
    this.#clients.push(client);
    return client;
  }

  /** Calls overlayd over its socket, and gives everything turns until it has answered. */
  async call<M extends MethodName>(method: M, params: Methods[M]['params']): Promise<Methods[M]['result']> {
    if (this.#client === undefined) throw new Error('not started');
    return await this.#turning(this.#client.call(method, params));
  }

  create(name: string, search: string, vnetid: number, properties: Readonly<Record<string, string>>, temporary = false) {
    const list = Object.entries(properties).map(([property, text]) => ({ name: property, text }));
    return this.call('overlay.create', { name, encap: 'vxlan', search, vnetid, properties: list, temporary });
  }

  createVnic(name: string, overlay: string, more: Partial<Methods['vnic.create']['params']> = {}) {
    return this.call('vnic.create', { name, overlay, properties: [], temporary: false, ...more });
  }

  async turns(count = TURNS): Promise<void> {
    for (let turn = 0; turn < count; turn++) {
      this.#engine.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async counters(name: string): Promise<Readonly<Record<string, number>>> {
    const counters = await this.call('overlay.counters', { name });
    return Object.fromEntries(Object.entries(counters).map(([counter, value]) => [counter, Number(value)]));
  }

  /** Overlays that are there. */
  names(): Promise<readonly string[]> {
    return this.call('overlay.names', { saved: false });
  }

  /** Lets time pass for plugins, timers and engine alike. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await this.clock.advance(Math.min(stepMs, ms - passed));
      await this.turns(3);
    }
  }

  /** What could not be restored is tried again until it is there: records are read from a disk, which takes its own time. */
  async restored(name: string): Promise<void> {
    for (const end = performance.now() + 10_000; !(await this.names()).includes(name); await sleep(1)) {
      if (performance.now() > end) throw new Error(`${name} was never restored`);
      await this.pass(RESTORE_RETRY_MS, RESTORE_RETRY_MS);
    }
  }

  /** In order, as a signal or an upgrade does it: links, held descriptors and records stay. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    this.#daemon = undefined;
    for (const client of this.#clients.splice(0)) client.close();
    let stopped = false;
    const stopping = daemon.stop().finally(() => {
      stopped = true;
    });
    while (!stopped) {
      await this.turns(1);
      await this.clock.advance(10);
    }
    await stopping;
    this.#life.end();
  }

  /** In the middle of whatever it does, with its engine and its plugin hosts: the kernel closes what it had open, the holder starts another one. */
  async crash(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    this.#daemon = undefined;
    this.#life.end();
    this.#engine.die();
    const { hosts } = this.plugins;
    hosts.stop().catch(() => undefined);
    for (const host of this.plugins.started) host.die();
    for (const client of this.#clients.splice(0)) client.close();
    // What is still under way in it goes on in the old folders, where nobody looks.
    const before = this.#directories;
    this.#directories = makeDirectories();
    for (const each of ['run', 'state', 'config'] as const)
      cpSync(before[each], this.#directories[each], { recursive: true, filter: (path) => !path.endsWith('.sock') });
    this.io.closeAll();
    // Its socket: nothing else of it can be reached any more.
    daemon.stop().catch(() => undefined);
    await this.turns(5);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The machine is started again: nothing is left but what is on the disk. `meanwhile`: before overlayd starts. */
  async reboot(meanwhile: () => void = () => undefined): Promise<void> {
    await this.crash();
    this.store.end();
    for (const name of this.io.tapNames) this.io.deleteTap(name);
    this.kernel.known.clear();
    rmSync(this.#directories.run, { recursive: true });
    mkdirSync(this.#directories.run, { mode: 0o700 });
    meanwhile();
    await this.start();
  }

  /** Deletes every VNIC and overlay through the control protocol, also what is only saved, then stops. */
  async destroy(): Promise<void> {
    if (this.#daemon === undefined) return;
    for (const { vnic } of await this.call('vnic.list', { overlay: null })) await this.call('vnic.delete', { name: vnic, temporary: false });
    const saved = readdirSync(join(this.#directories.state, 'overlays')).map((file) => file.replace(/\.json$/, ''));
    for (const name of new Set([...(await this.call('overlay.names', { saved: true })), ...saved]))
      await this.call('overlay.delete', { name, temporary: false });
    await this.stop();
  }

  async #turning<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const watched = work.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined);
    while (!settled) await this.turns(1);
    return watched;
  }
}

/** Gives several hosts turns, one after the other, until what is under way between them has come to rest. */
export async function runTogether(...hosts: readonly SimHost[]): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) for (const host of hosts) await host.turns(1);
}
