// A plugin host at work, over any stream: takes calls and questions of overlayd, hands them to the plugins, answers.
import type { Duplex } from 'node:stream';
import { messageOf, OverlayError } from '@overlayadm/api';
import { LineStream } from '../rpc/framing.ts';
import type { Clock } from '../util/clock.ts';
import { HOST_STOP_MS, MAX_REASON_BYTES } from '../util/limits.ts';
import { HostedInstance } from './instance.ts';
import { describePlugin, findPlugin, type Plugins } from './plugins.ts';
import {
  type Call,
  type Created,
  checkFromHost,
  checkToHost,
  cutText,
  type FromHost,
  failureOf,
  type PropertyRecord,
  type Refusal,
  type Reply,
  type ToHost,
} from './protocol.ts';

type ReplyBody = Reply extends infer R ? (R extends Reply ? Omit<R, 'call'> : never) : never;

export interface ServeOptions {
  readonly clock: Clock;
  /** overlayd is gone or has sent rubbish, and the instances are stopped: the process ends. */
  ended(reason: string | undefined): void;
}

export class PluginHost {
  readonly #plugins: Plugins;
  readonly #clock: Clock;
  readonly #lines: LineStream;
  readonly #instances = new Map<number, HostedInstance>();

  constructor(stream: Duplex, plugins: Plugins, options: ServeOptions) {
    this.#plugins = plugins;
    this.#clock = options.clock;
    const end = (reason: string | undefined): void => {
      this.#stopAll().then(() => options.ended(reason));
    };
    this.#lines = new LineStream(stream, {
      message: (message) => {
        const checked = checkToHost(message);
        if (checked.ok) return this.#take(checked.value);
        this.#lines.destroy();
        end(checked.reason);
      },
      closed: end,
    });
    this.#send({ type: 'ready' });
  }

  #send(message: FromHost): void {
    this.#lines.send(message);
  }

  #take(message: ToHost): void {
    switch (message.type) {
      case 'asks':
        return this.#instances.get(message.instance)?.ask(message.asks);
      case 'abort':
        return this.#instances.get(message.instance)?.abort(message.ids);
      case 'ping':
        return this.#send({ type: 'pong' });
      case 'stop':
        this.#stop(message.instance);
        return;
      case 'fileData':
        for (const { host } of this.#instances.values()) if (host.fileData(message.file, message.data, message.last)) return;
        return;
      case 'fileFailed':
        for (const { host } of this.#instances.values()) host.fileFailed(message.file, message.error);
        return;
      case 'localAddresses':
        return this.#instances.get(message.instance)?.host.localAddressesAre(message.addresses);
      default:
        this.#answer(message);
    }
  }

  async #answer(call: Call): Promise<void> {
    try {
      const reply = { ...(await this.#run(call)), call: call.call };
      // What a plugin gave is checked here too: overlayd would end the whole host for it, and could not say what was wrong.
      const checked = checkFromHost(JSON.parse(JSON.stringify(reply)));
      if (!checked.ok) throw new OverlayError('PLUGIN_FAILED', `${call.type}: the plugin gave what the contract does not allow (${checked.reason})`);
      this.#send(checked.value);
    } catch (error) {
      this.#send({ type: 'failed', call: call.call, error: failureOf(error, 'PLUGIN_FAILED') });
    }
  }

  async #run(call: Call): Promise<ReplyBody> {
    switch (call.type) {
      case 'describe':
        return { type: 'described', description: describePlugin(findPlugin(this.#plugins, call.kind, call.name)) };
      case 'refuse':
        return { type: 'refused', refusal: this.#firstRefusal(call.kind, call.name, call.values) };
      case 'socket': {
        const { listenIp, listenPort } = findPlugin(this.#plugins, 'encap', call.name).socket(call.values);
        return { type: 'bound', socket: { listenIp, ...(listenPort === undefined ? {} : { listenPort }) } };
      }
      case 'create':
        return { type: 'created', created: await this.#create(call) };
    }
  }

  async #create({ instance: id, spec }: Call & { readonly type: 'create' }): Promise<Created> {
    const plugin = findPlugin(this.#plugins, 'lookup', spec.plugin);
    const instance = new HostedInstance({ id, plugin, spec, clock: this.#clock, send: (message) => this.#send(message) });
    this.#instances.set(id, instance);
    try {
      return await instance.start();
    } catch (error) {
      this.#stop(id);
      throw error;
    }
  }

  #firstRefusal(kind: 'encap' | 'lookup', name: string, values: PropertyRecord): Refusal | null {
    for (const definition of findPlugin(this.#plugins, kind, name).properties) {
      const value = values[definition.name];
      // The value has the type that the definition says: overlayd parsed it so.
      const reason = value === undefined ? undefined : (definition.refuse as ((value: unknown) => string | undefined) | undefined)?.(value);
      if (reason !== undefined) return { property: definition.name, reason: cutText(messageOf(reason), MAX_REASON_BYTES) };
    }
    return null;
  }

  async #stop(id: number): Promise<void> {
    const instance = this.#instances.get(id);
    await instance?.stop();
    this.#instances.delete(id);
  }

  /** Waits for the plugins' stop(), but not for ever. */
  async #stopAll(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.#clock.after(HOST_STOP_MS, late.resolve);
    await Promise.race([Promise.all([...this.#instances.keys()].map((id) => this.#stop(id))), late.promise]);
    timer.cancel();
  }
}
