// PluginHosts: finds the package of a plugin, and puts every call to the host of that package.
import { messageOf, OverlayError, type UnderlaySocket } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { LOOKUP_SWEEP_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import type { Description, Provider, ProviderKind, ProviderTable } from '../varpd/protocol.ts';
import { Catalogue, findProvider, unknownPlugin } from './catalogue.ts';
import type { PackageHome } from './home.ts';
import { Homes } from './homes.ts';
import { HostLog } from './host-log.ts';
import { RemoteInstance } from './instance.ts';
import { listPlugins } from './plugin-list.ts';
import { Restores } from './restores.ts';
import type { HostRuntime } from './runtime.ts';
import type {
  EncapDescription,
  InstanceEvents,
  InstancePast,
  InstanceSpec,
  LookupDescription,
  LookupInstance,
  PluginHosts,
  PluginList,
  PluginReload,
  PropertyRecord,
} from './types.ts';

export { type HostRuntime, systemRuntime } from './runtime.ts';

export interface PluginHostsParts {
  readonly runtime: HostRuntime;
  readonly clock: Clock;
  readonly log: Log;
}

export const createPluginHosts = (parts: PluginHostsParts): PluginHosts => new PackageHosts(parts);

class PackageHosts implements PluginHosts {
  readonly #parts: PluginHostsParts;
  readonly #catalogue: Catalogue;
  readonly #homes: Homes;
  readonly #restores: Restores;
  /** Every one that is not closed, also one without a host: what it is asked has an end in any case. */
  readonly #instances = new Set<RemoteInstance>();
  #nextId = 0;
  #sweep: Timer | undefined;
  #reloading: Promise<unknown> = Promise.resolve();
  /** What the last reload left as it was, by package. */
  #kept: ReadonlyMap<string, string> = new Map();
  #stopped = false;

  constructor(parts: PluginHostsParts) {
    const { runtime, clock, log } = parts;
    this.#parts = parts;
    this.#homes = new Homes(parts);
    this.#restores = new Restores({ clock, look: () => this.#catalogue.table(true), place: (instance) => void this.#place(instance) });
    const found = (): void => {
      this.#homes.found();
      this.#restores.found();
    };
    this.#catalogue = new Catalogue({ runtime, log, found });
  }

  providers(refresh = false): Promise<ProviderTable> {
    return this.#catalogue.table(refresh);
  }

  async describeEncap(name: string): Promise<EncapDescription> {
    return (await this.#describe('encap', name)) as EncapDescription;
  }

  async describeLookup(name: string): Promise<LookupDescription> {
    return (await this.#describe('lookup', name)) as LookupDescription;
  }

  async refuse(kind: ProviderKind, name: string, values: PropertyRecord): Promise<{ property: string; reason: string } | undefined> {
    const { supervisor } = await this.#homeOf(kind, name);
    const { refusal } = await supervisor.call('refuse', { kind, name, values });
    return refusal ?? undefined;
  }

  async socket(encap: string, values: PropertyRecord): Promise<UnderlaySocket> {
    const { supervisor } = await this.#homeOf('encap', encap);
    return (await supervisor.call('socket', { name: encap, values })).socket;
  }

  async createInstance(spec: InstanceSpec, events: InstanceEvents): Promise<LookupInstance> {
    const { supervisor } = await this.#homeOf('lookup', spec.plugin);
    const instance = this.#newInstance(spec, events, undefined);
    try {
      await supervisor.add(instance);
      return instance;
    } catch (error) {
      // It may have begun to follow files, and what it says about them is not heard any more.
      instance.close();
      throw error;
    }
  }

  restoreInstance(spec: InstanceSpec, past: InstancePast, events: InstanceEvents): LookupInstance {
    const instance = this.#newInstance(spec, events, past);
    queueMicrotask(() => {
      instance.hostDown(`${spec.plugin}: the plugin is being started`);
      void this.#place(instance);
    });
    return instance;
  }

  /** One after the other: each sees what was installed before it was asked for. */
  reload(): Promise<PluginReload> {
    const reloaded = this.#reloading.then(() => this.#reload());
    this.#reloading = reloaded.catch(() => undefined);
    return reloaded;
  }

  async list(): Promise<PluginList> {
    const { runtime, clock } = this.#parts;
    const table = await this.#catalogue.table();
    const describe = async (provider: Provider): Promise<Description> =>
      (await this.#homes.of(provider, table)).describe(provider.kind, provider.name);
    return listPlugins({ runtime, clock, homes: this.#homes, kept: this.#kept, describe }, table);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#restores.stop();
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#instances.clear();
    await this.#homes.stop();
  }

  async #reload(): Promise<PluginReload> {
    const table = await this.#catalogue.renew();
    const { replaced, kept } = await this.#homes.renew(table);
    this.#kept = new Map(kept.map(({ package: owner, reason }) => [owner, reason]));
    for (const { package: owner, reason } of kept) this.#parts.log.warn({ package: owner, reason }, 'a plugin host was not replaced');
    for (const owner of replaced) this.#parts.log.info({ package: owner }, 'a plugin host was replaced');
    return { replaced, kept, problems: table.problems };
  }

  #newInstance(spec: InstanceSpec, events: InstanceEvents, past: InstancePast | undefined): RemoteInstance {
    const { clock, log, runtime } = this.#parts;
    const instance: RemoteInstance = new RemoteInstance({
      id: this.#nextId++,
      spec,
      past,
      events,
      files: runtime.files,
      clock,
      log: new HostLog(log, clock, { plugin: spec.plugin }),
      closed: () => this.#closed(instance),
    });
    if (!this.#stopped) this.#instances.add(instance);
    if (!this.#stopped) this.#sweep ??= clock.every(LOOKUP_SWEEP_MS, () => this.#sweepAll());
    return instance;
  }

  #closed(instance: RemoteInstance): void {
    this.#instances.delete(instance);
    this.#restores.remove(instance);
    if (this.#instances.size > 0) return;
    this.#sweep?.cancel();
    this.#sweep = undefined;
  }

  #sweepAll(): void {
    for (const instance of this.#instances) instance.sweep(this.#parts.clock.now());
  }

  /** Puts an instance of before into the host of its plugin; without one it says so and waits. Never rejects. */
  async #place(instance: RemoteInstance): Promise<void> {
    try {
      const table = await this.#catalogue.table();
      if (instance.isClosed || this.#stopped) return;
      const provider = findProvider(table, 'lookup', instance.plugin);
      if (provider === undefined) throw unknownPlugin('lookup', instance.plugin, table);
      const { supervisor } = await this.#homes.of(provider, table);
      if (!instance.isClosed) supervisor.restore(instance);
    } catch (error) {
      if (instance.isClosed || this.#stopped) return;
      instance.hostDown(reasonOf(error));
      this.#restores.add(instance);
    }
  }

  /** @throws OverlayError PLUGIN_UNKNOWN */
  async #homeOf(kind: ProviderKind, name: string): Promise<PackageHome> {
    const provider = await this.#catalogue.find(kind, name);
    return this.#homes.of(provider, await this.#catalogue.table());
  }

  /** @throws OverlayError PLUGIN_UNKNOWN, PLUGIN_FAILED */
  async #describe(kind: ProviderKind, name: string): Promise<Description> {
    return (await this.#homeOf(kind, name)).describe(kind, name);
  }
}

/** With what was left out: the plugin that is missed may be among it. */
function reasonOf(error: unknown): string {
  const problems = OverlayError.is(error) && Array.isArray(error.details.problems) ? (error.details.problems as string[]) : [];
  return [messageOf(error), ...problems].join('; ');
}
