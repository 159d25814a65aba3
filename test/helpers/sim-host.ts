// A whole host in memory: the real daemon, engine, plugins and control socket, with simulated kernel, devices and time.
import type { IpAddress, MacAddress } from '@overlayadm/api';
import { type Daemon, startDaemon } from '../../src/core/daemon/daemon.ts';
import { Calls, type StartEngine } from '../../src/core/daemon/engine-thread.ts';
import { Engine } from '../../src/core/engine/engine.ts';
import { Memory } from '../../src/core/engine/memory.ts';
import type { FromEngine, ToEngine } from '../../src/core/engine/messages.ts';
import type { KernelNetwork, LinkInfo, UpperLink, VnicSpec } from '../../src/core/linux/types.ts';
import { type Client, connect } from '../../src/core/rpc/client.ts';
import type { MethodName, Methods } from '../../src/core/rpc/protocol.ts';
import { systemClock } from '../../src/core/util/clock.ts';
import { type Directories, socketPath } from '../../src/core/util/directories.ts';
import { type Log, silentLog } from '../../src/core/util/log.ts';
import { FakeClock } from './fake-clock.ts';
import { connectInProcess, type InProcess, type TestPlugin } from './in-process-host.ts';
import { SimIo, type SimUnderlay } from './sim-io.ts';
import { temporaryFolder } from './temporary.ts';

const VERSION = '0.1.0';
/** Enough for a lookup to go from a TAP through engine, daemon, plugin host and back, several times. */
const TURNS = 60;

/** Links of one host, as much of them as overlays need. */
export class SimKernel implements KernelNetwork {
  readonly addresses: Set<string>;
  readonly known = new Map<string, LinkInfo>();
  /** Addresses of links, by index: what somebody set with "ip address". */
  readonly ips = new Map<number, readonly IpAddress[]>();
  pathMtu: number | undefined = 1500;
  /** Calls named here throw, to make a step of a transaction fail. */
  failing: 'prepareOverlayLink' | 'addVnic' | undefined;
  closed = false;
  #lastIndex = 1;

  constructor(addresses: readonly string[]) {
    this.addresses = new Set(addresses);
  }

  networkNamespaceId = (): number => 4026531840;
  link = (name: string): LinkInfo | undefined => this.known.get(name);
  links = (): readonly LinkInfo[] => [...this.known.values()];
  refuseLinkName = (name: string): string | undefined => (this.known.has(name) ? 'exists already (tun)' : undefined);

  prepareOverlayLink(name: string, { mtu }: { readonly mtu: number }): LinkInfo {
    if (this.failing === 'prepareOverlayLink') throw new Error('the kernel says no');
    return this.#add({ name, mtu, kind: 'tun', noarp: true, mac: undefined, lowerIndex: undefined });
  }

  releaseOverlayLink(name: string): void {
    const { index } = this.known.get(name) ?? { index: -1 };
    this.known.delete(name);
    // As in the kernel: what stands on a link goes with it.
    for (const link of this.known.values()) if (link.lowerIndex === index) this.known.delete(link.name);
  }

  addVnic({ name, overlay, mac, mtu }: VnicSpec): LinkInfo {
    if (this.failing === 'addVnic') throw new Error('the kernel says no');
    return this.#add({ name, mtu, mac, kind: 'macvlan', noarp: false, lowerIndex: this.known.get(overlay)?.index });
  }

  setMtu(): void {}
  deleteVnic = (name: string): void => void this.known.delete(name);
  linksAbove = (index: number): readonly UpperLink[] =>
    this.links()
      .filter((link) => link.lowerIndex === index)
      .map((link) => ({ ...link, netns: undefined }));
  hostHasAddress = (ip: IpAddress): boolean => this.addresses.has(ip);
  addressesOf = (index: number): readonly IpAddress[] => this.ips.get(index) ?? [];
  routeMtu = (): number | undefined => this.pathMtu;
  mtuTo = (): number | undefined => this.pathMtu;
  whoHasUdpPort = async (): Promise<string> => 'process somebody (pid 7)';
  close(): void {
    this.closed = true;
  }

  #add(facts: { name: string; mtu: number; kind: string; noarp: boolean; mac: MacAddress | undefined; lowerIndex: number | undefined }): LinkInfo {
    const made = { stateId: 'sim', name: facts.name };
    const common = { up: true, carrier: true, loopback: false, alias: 'sim', mark: made, ours: true, lowerNetnsId: undefined };
    const link: LinkInfo = { ...facts, ...common, index: ++this.#lastIndex };
    this.known.set(link.name, link);
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
      this.#deliver = (message) => (message.op === 'done' ? calls.done(message) : receive(message));
      const door = {
        io,
        wake,
        now: () => clock.now(),
        take: () => this.#inbox.shift(),
        post: (message: FromEngine) => void this.#outbox.push(message),
      };
      this.#engine = new Engine(door, new Memory(8 * 1024 * 1024));
      const send = (message: ToEngine): void => {
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

  turn(): void {
    this.#engine?.turn(0);
    for (const message of this.#outbox.splice(0)) this.#deliver(message);
  }
}

export class SimHost {
  readonly io: SimIo;
  readonly kernel: SimKernel;
  readonly clock = new FakeClock();
  readonly plugins: InProcess;
  readonly #engine = new SteppedEngine();
  readonly #log: Log;
  readonly #clients: Client[] = [];
  readonly #directories: Directories;
  #daemon: Daemon | undefined;
  #client: Client | undefined;

  constructor(underlay: SimUnderlay, addresses: readonly string[], plugins: readonly TestPlugin[], log: Log = silentLog) {
    const folder = temporaryFolder();
    this.#directories = { run: folder, state: folder, data: folder, config: folder };
    this.#log = log;
    this.io = new SimIo(underlay);
    this.kernel = new SimKernel(addresses);
    this.plugins = connectInProcess(plugins, { clock: this.clock, log });
  }

  async start(): Promise<void> {
    const { io, kernel, clock } = this;
    const directories = this.#directories;
    const startEngine = this.#engine.start(io, clock);
    const parts = { directories, version: VERSION, clock, log: this.#log, io, kernel, startEngine, hosts: this.plugins.hosts };
    this.#daemon = await startDaemon(parts);
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
    let settled = false;
    const answer = this.#client.call(method, params).finally(() => {
      settled = true;
    });
    answer.catch(() => undefined);
    while (!settled) await this.turns(1);
    return answer;
  }

  create(name: string, search: string, vnetid: number, properties: Readonly<Record<string, string>>) {
    const list = Object.entries(properties).map(([property, text]) => ({ name: property, text }));
    return this.call('overlay.create', { name, encap: 'vxlan', search, vnetid, properties: list });
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

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    let stopped = false;
    const stopping = this.#daemon?.stop().finally(() => {
      stopped = true;
    });
    while (this.#daemon !== undefined && !stopped) {
      await this.turns(1);
      await this.clock.advance(10);
    }
    await stopping;
    this.#daemon = undefined;
  }
}

/** Gives several hosts turns, one after the other, until what is under way between them has come to rest. */
export async function runTogether(...hosts: readonly SimHost[]): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) for (const host of hosts) await host.turns(1);
}
