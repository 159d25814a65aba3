// Bytes on streams: the real server of the control socket, overlayd's end of a plugin host's channel, and the host's end.
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import type { Destination, IpAddress, LookupPlugin, MacAddress } from '@overlayadm/api';
import fc from 'fast-check';
import type { HostProcess } from '../../src/core/lookup/host-process.ts';
import { createPluginHosts } from '../../src/core/lookup/hosts.ts';
import type { Answer, InstanceEvents, LookupInstance, PluginHosts } from '../../src/core/lookup/types.ts';
import { silentLog } from '../../src/core/util/log.ts';
import { PluginHost } from '../../src/core/varpd/serve.ts';
import { type FakeDaemon, fakeDaemon } from '../cli/fake-daemon.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { connectInProcess, startInProcess, type TestPlugin } from '../helpers/in-process-host.ts';
import { type Door, must, type Subject } from './door.ts';
import { FROM_HOST_SEEDS, JSON_WORDS, RPC_SEEDS, TO_HOST_SEEDS } from './json-seeds.ts';
import { mutateJson, utf8 } from './mutate.ts';

/** So that a message crosses both streams and is answered. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const door = (name: string, batch: number, short: number, seeds: readonly Uint8Array[], open: () => Subject | Promise<Subject>): Door => ({
  name,
  batch,
  short,
  open,
  mutant: (random) => mutateJson(seeds, JSON_WORDS, random),
  arbitrary: fc.oneof(fc.json().map(utf8), fc.uint8Array({ maxLength: 100 }), fc.constantFrom(...seeds)),
});

const isObject = (line: string): boolean => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
};

/** One client; it connects anew when it was disconnected. Every object is answered once, the first other line with RPC_PARSE and the end. */
class RpcSubject implements Subject {
  readonly #path: string;
  #socket: Socket | undefined;
  #text = '';

  constructor(path: string) {
    this.#path = path;
  }

  async take(input: Uint8Array): Promise<void> {
    const socket = this.#socket ?? (await this.#connect());
    const lines = Buffer.from(input).toString().split('\n');
    const wrong = lines.findIndex((line) => !isObject(line));
    this.#text = '';
    socket.write(Buffer.concat([input, utf8('\n')]));
    if (wrong >= 0) {
      if (!socket.readableEnded) await once(socket, 'end');
      const last = this.#answers().at(-1);
      must(JSON.stringify(last).includes('"RPC_PARSE"'), () => `a wrong line is answered with ${JSON.stringify(last)}`);
      socket.destroy();
      this.#socket = undefined;
      return;
    }
    while (this.#answers().length < lines.length) await once(socket, 'data');
    must(this.#answers().length === lines.length, () => `${this.#answers().length} answers to ${lines.length} requests`);
  }

  async finish(): Promise<void> {
    await this.take(utf8('{"jsonrpc":"2.0","id":1,"method":"hello","params":{"version":"1"}}'));
    must(this.#text.includes('"protocol"'), () => `a hello is answered with ${this.#text}`);
    this.#socket?.destroy();
  }

  #answers(): Record<string, unknown>[] {
    const lines = this.#text.split('\n').slice(0, -1);
    return lines.map((line) => {
      const answer = JSON.parse(line) as Record<string, unknown>;
      must(answer.jsonrpc === '2.0' && 'id' in answer && 'result' in answer !== 'error' in answer, () => `an answer is ${line}`);
      return answer;
    });
  }

  async #connect(): Promise<Socket> {
    const socket = createConnection(this.#path);
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
    this.#socket = socket;
    return socket;
  }
}

const MAC = '02:08:20:00:00:01' as MacAddress;
const TO: Destination = { ip: '192.0.2.1' as IpAddress };
const PATH = { name: 'config', type: 'path', access: 'rw', required: false, summary: 'a file', live: true } as const;
const plugin = (name: string): LookupPlugin => ({
  kind: 'lookup',
  name,
  properties: [PATH],
  create: () => ({ mode: 'dynamic', start: async () => {}, stop: async () => {}, lookup: async () => ({ kind: 'found', destination: TO }) }),
});

/** A host whose channel the fuzzer holds: it says what it has to until its instance runs. */
function hostileHost(launch: Parameters<typeof startInProcess>[0], plugins: readonly TestPlugin[], clock: FakeClock) {
  const host = startInProcess(launch, plugins, clock);
  const [outer, inner] = duplexPair();
  host.stream.pipe(inner);
  inner.pipe(host.stream);
  inner.on('error', () => {});
  const { promise: exited, resolve } = Promise.withResolvers<string>();
  const state = { killed: false };
  const kill = (): void => {
    state.killed = true;
    host.die();
    outer.destroy();
    resolve('signal SIGKILL');
  };
  const process: HostProcess = { pid: undefined, stream: outer, exited, kill };
  return { process, state, say: (bytes: Uint8Array) => void inner.write(bytes) };
}

type Hostile = ReturnType<typeof hostileHost>;

/** What a host sends is taken, or ends that host; the other package's host goes on and answers. */
class HostSubject implements Subject {
  readonly #clock = new FakeClock();
  readonly #answers: Answer[] = [];
  readonly #plugins = [plugin('bad'), plugin('good')];
  readonly #hosts: PluginHosts;
  #hostile: Hostile | undefined;
  #bad: LookupInstance | undefined;
  #good: LookupInstance | undefined;
  #asked = 0;

  constructor() {
    const { runtime } = connectInProcess(this.#plugins, { clock: this.#clock });
    const spawn: typeof runtime.spawn = (launch, log) => {
      if (!launch.root.endsWith('bad')) return runtime.spawn(launch, log);
      this.#hostile = hostileHost(launch, this.#plugins.slice(0, 1), this.#clock);
      return this.#hostile.process;
    };
    this.#hosts = createPluginHosts({ runtime: { ...runtime, spawn }, clock: this.#clock, log: silentLog });
  }

  async start(): Promise<this> {
    this.#good = await this.#create('good');
    return this;
  }

  async take(input: Uint8Array): Promise<void> {
    if (this.#bad === undefined || this.#hostile?.state.killed) {
      this.#bad?.close();
      this.#bad = await this.#create('bad');
    }
    const hostile = this.#hostile;
    hostile?.say(new Uint8Array(Buffer.concat([input, utf8('\n')])));
    await settle();
    const isRubbish = Buffer.from(input)
      .toString()
      .split('\n')
      .some((line) => !isObject(line));
    must(!isRubbish || hostile?.state.killed === true, () => 'a host that sent rubbish was not ended');
  }

  async finish(): Promise<void> {
    const id = ++this.#asked;
    this.#good?.ask([{ id, kind: 'lookup', to: MAC, from: MAC, etherType: 0x800 }]);
    await settle();
    await settle();
    must(
      this.#answers.some((answer) => answer.id === id && answer.kind === 'found'),
      () => 'the other host does not answer any more',
    );
    this.#bad?.close();
    this.#good?.close();
    const stopped = this.#hosts.stop();
    await this.#clock.advance(10_000);
    await stopped;
    must(this.#clock.timers === 0, () => `${this.#clock.timers} timers are left`);
  }

  #create(name: string): Promise<LookupInstance> {
    const none = (): void => {};
    const answered = (answers: readonly Answer[]): void => void (name === 'good' && this.#answers.push(...answers));
    const events: InstanceEvents = {
      answered,
      setTarget: none,
      invalidateTarget: none,
      announce: none,
      degraded: none,
      restored: none,
      hostDown: none,
      hostUp: none,
      outdated: none,
    };
    const spec = { overlay: 'overlay0', plugin: name, vnetid: 7, needs: ['ip'], values: {}, setters: {}, localAddresses: () => [] } as const;
    return this.#hosts.createInstance(spec, events);
  }
}

/** What overlayd sends is taken, or the host ends in order; one that goes on answers a ping. */
class PluginSubject implements Subject {
  readonly #clock = new FakeClock();
  #outer = duplexPair()[0];
  #ended = true;
  #text = '';

  async take(input: Uint8Array): Promise<void> {
    if (this.#ended) this.#start();
    this.#text = '';
    this.#outer.write(Buffer.concat([input, utf8('\n{"type":"ping"}\n')]));
    await settle();
    if (!this.#ended && !this.#text.includes('"pong"')) await this.#clock.advance(2000);
    must(this.#ended || this.#text.includes('"pong"'), () => 'it neither ended nor answers');
  }

  async finish(): Promise<void> {
    this.#outer.destroy();
    await this.#clock.advance(2000);
  }

  #start(): void {
    const [outer, inner] = duplexPair();
    this.#ended = false;
    this.#outer = outer;
    outer.on('error', () => {});
    outer.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
    const ended = (): void => {
      this.#ended = true;
    };
    new PluginHost(inner, { loaded: [plugin('good')], failures: [] }, { clock: this.#clock, ended });
  }
}

let daemon: Promise<FakeDaemon> | undefined;

/** The control socket of all subjects; whoever tried the doors closes it. */
export async function closeStreams(): Promise<void> {
  const opened = await daemon;
  daemon = undefined;
  await opened?.[Symbol.asyncDispose]();
}

export const streamDoors: readonly Door[] = [
  door('rpc', 128, 1280, RPC_SEEDS, async () => {
    daemon ??= fakeDaemon();
    return new RpcSubject((await daemon).path);
  }),
  door('from-host', 64, 384, FROM_HOST_SEEDS, () => new HostSubject().start()),
  door('to-host', 128, 1024, TO_HOST_SEEDS, () => new PluginSubject()),
];
