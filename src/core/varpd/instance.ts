// One lookup instance inside its host: starts it, puts questions to it, sends what it says in batches.
import { type DynamicInstance, type LookupPlugin, messageOf, OverlayError, type PointInstance } from '@overlayadm/api';
import { MAX_BATCH_ANSWERS } from '../util/limits.ts';
import { readAnswer, readDestination } from './answers.ts';
import { currentValues } from './current-values.ts';
import { type HostParts, InstanceHost } from './instance-host.ts';
import { type Answer, type Ask, type Created, inBatches } from './protocol.ts';

export interface InstanceParts extends HostParts {
  readonly plugin: LookupPlugin;
}

export class HostedInstance {
  readonly host: InstanceHost;
  readonly #parts: InstanceParts;
  readonly #life = new AbortController();
  readonly #outstanding = new Map<number, AbortController>();
  #instance: PointInstance | DynamicInstance | undefined;
  #starting: Promise<void> | undefined;
  #answers: Answer[] = [];
  #stopped: Promise<void> | undefined;

  constructor(parts: InstanceParts) {
    this.#parts = parts;
    this.host = new InstanceHost(parts);
  }

  /** Makes and starts the instance. @throws whatever the plugin throws */
  async start(): Promise<Created> {
    const { plugin, spec } = this.#parts;
    const instance = plugin.create(spec.needs, currentValues(plugin, spec), this.host);
    this.#instance = instance;
    this.#starting = instance.start(this.#life.signal);
    await this.#starting;
    return describeInstance(spec.plugin, instance);
  }

  ask(asks: readonly Ask[]): void {
    for (const ask of asks) this.#askOne(ask);
  }

  abort(ids: readonly number[]): void {
    for (const id of ids) {
      this.#outstanding.get(id)?.abort();
      this.#outstanding.delete(id);
    }
  }

  /** Aborts what is under way, then calls stop() of the plugin once, also after a failed start(). Does not throw. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#life.abort();
    this.abort([...this.#outstanding.keys()]);
    try {
      // A start() that failed has been reported by whoever called it.
      await this.#starting?.catch(() => {});
      await this.#instance?.stop();
    } catch (error) {
      this.host.log.warn(`stop failed: ${messageOf(error)}`);
    } finally {
      this.host.close();
    }
  }

  async #askOne(ask: Ask): Promise<void> {
    const abort = new AbortController();
    this.#outstanding.set(ask.id, abort);
    let answer: Answer | undefined;
    try {
      const value = await this.#put(ask, abort.signal);
      answer = readAnswer(ask, value);
      if (answer === undefined) this.host.log.warn(`an answer to ${ask.kind} is not what the contract says: ${describe(value)}`);
    } catch (error) {
      if (this.#outstanding.get(ask.id) === abort) this.host.log.warn(`${ask.kind} failed: ${messageOf(error)}`);
    }
    // An aborted request is answered by nobody: overlayd has answered it itself.
    if (this.#outstanding.get(ask.id) !== abort) return;
    this.#outstanding.delete(ask.id);
    this.#answer(answer ?? { id: ask.id, kind: 'drop', reason: 'plugin.error' });
  }

  async #put(ask: Ask, signal: AbortSignal): Promise<unknown> {
    const instance = this.#instance;
    if (instance === undefined || instance.mode === 'point') throw new Error('it was asked in mode point');
    if (ask.kind === 'resolve') return instance.resolve?.(ask.ip, signal);
    if (ask.kind === 'dhcp') return instance.dhcpServer?.(ask.client, signal);
    const { to, from, etherType, vlan } = ask;
    return instance.lookup({ vnetid: this.#parts.spec.vnetid, to, from, etherType, ...(vlan === undefined ? {} : { vlan }) }, signal);
  }

  #answer(answer: Answer): void {
    if (this.#answers.length === 0) setImmediate(() => this.#flush());
    this.#answers.push(answer);
  }

  #flush(): void {
    const answers = this.#answers;
    this.#answers = [];
    for (const batch of inBatches(answers, MAX_BATCH_ANSWERS)) this.#parts.send({ type: 'answers', instance: this.#parts.id, answers: batch });
  }
}

function describe(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return typeof value;
  }
}

/** @throws OverlayError PLUGIN_FAILED when it is not what the contract says */
function describeInstance(plugin: string, instance: PointInstance | DynamicInstance): Created {
  const wrong = (what: string): OverlayError => new OverlayError('PLUGIN_FAILED', `${plugin}: ${what}`, { advice: 'Update the plugin.' });
  if (instance.mode === 'point') {
    const point = readDestination(instance.destination());
    if (point === undefined) throw wrong('its destination is not what the contract says');
    return { mode: 'point', point, group: true, resolves: false, servesDhcp: false };
  }
  if (instance.mode !== 'dynamic' || typeof instance.lookup !== 'function') throw wrong('its instance is neither of mode point nor can it look up');
  const { group, resolve, dhcpServer } = instance;
  return { mode: 'dynamic', group: group === true, resolves: resolve !== undefined, servesDhcp: dhcpServer !== undefined };
}
