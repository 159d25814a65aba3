// PluginHosts: finds the package of a plugin, and puts every call to the host of that package.
import { OverlayError, type UnderlaySocket } from '@overlayadm/api';
import type { Clock } from '../util/clock.ts';
import type { Log } from '../util/log.ts';
import type { Description, Provider, ProviderTable } from '../varpd/protocol.ts';
import { discoverProviders, systemDiscovery } from './discovery.ts';
import { type FileAccess, systemFiles } from './files.ts';
import { HostLog } from './host-log.ts';
import { describeKept, type HostLaunch, type SpawnHost, systemRights, systemSpawn, whyNotServiceUser } from './host-process.ts';
import { RemoteInstance } from './instance.ts';
import { Supervisor } from './supervisor.ts';
import type { EncapDescription, InstanceEvents, InstanceSpec, LookupDescription, LookupInstance, PluginHosts, PropertyRecord } from './types.ts';

/** What plugin hosts need of the machine; tests hand in their own. */
export interface HostRuntime {
  /** Never rejects. */
  discover(): Promise<ProviderTable>;
  readonly spawn: SpawnHost;
  /** What is not as it should be with the rights of this host, for people; undefined when nothing. */
  describeRights(launch: HostLaunch): string | undefined;
  readonly files: FileAccess;
}

/** The real thing. `dataDir`: the plugin directory, $OVERLAYADM_DATA_DIR. */
export function systemRuntime(dataDir: string): HostRuntime {
  return {
    discover: () => discoverProviders(systemDiscovery(dataDir)),
    spawn: systemSpawn(),
    describeRights: (launch) => {
      const rights = systemRights();
      const folder = whyNotServiceUser(rights, launch);
      return folder === undefined ? undefined : describeKept(rights, launch, folder);
    },
    files: systemFiles,
  };
}

export interface PluginHostsParts {
  readonly runtime: HostRuntime;
  readonly clock: Clock;
  readonly log: Log;
}

export const createPluginHosts = (parts: PluginHostsParts): PluginHosts => new PackageHosts(parts);

/** As overlayd uses it: real processes, with the plugins that are installed in `dataDir` beside the bundled ones. */
export const systemPluginHosts = ({ dataDir, clock, log }: { dataDir: string; clock: Clock; log: Log }): PluginHosts =>
  createPluginHosts({ runtime: systemRuntime(dataDir), clock, log });

const launchesOf = (providers: readonly Provider[]): Map<string, HostLaunch> => {
  const launches = new Map<string, HostLaunch>();
  for (const { package: name, root, module } of providers) {
    launches.set(root, { package: name, root, modules: [...new Set([...(launches.get(root)?.modules ?? []), module])] });
  }
  return launches;
};

class PackageHosts implements PluginHosts {
  readonly #parts: PluginHostsParts;
  #table: Promise<ProviderTable> | undefined;
  #isLooking = false;
  /** By folder and version: an upgraded package gets a host of its own beside the old one. */
  readonly #supervisors = new Map<string, Supervisor>();
  readonly #descriptions = new Map<string, Promise<Description>>();
  #instances = 0;
  #stopped = false;

  constructor(parts: PluginHostsParts) {
    this.#parts = parts;
  }

  providers(refresh = false): Promise<ProviderTable> {
    // One that is under way is new enough: looking costs a process, and many may ask for what is not there.
    if (refresh && !this.#isLooking) {
      this.#table = undefined;
      this.#descriptions.clear();
    }
    this.#table ??= this.#discover();
    return this.#table;
  }

  async describeEncap(name: string): Promise<EncapDescription> {
    return (await this.#describe(await this.#find('encap', name))) as EncapDescription;
  }

  async describeLookup(name: string): Promise<LookupDescription> {
    return (await this.#describe(await this.#find('lookup', name))) as LookupDescription;
  }

  async refuse(kind: 'encap' | 'lookup', name: string, values: PropertyRecord): Promise<{ property: string; reason: string } | undefined> {
    const supervisor = await this.#supervisorOf(await this.#find(kind, name));
    const { refusal } = await supervisor.call('refuse', { kind, name, values });
    return refusal ?? undefined;
  }

  async socket(encap: string, values: PropertyRecord): Promise<UnderlaySocket> {
    const supervisor = await this.#supervisorOf(await this.#find('encap', encap));
    return (await supervisor.call('socket', { name: encap, values })).socket;
  }

  async createInstance(spec: InstanceSpec, events: InstanceEvents): Promise<LookupInstance> {
    const provider = await this.#find('lookup', spec.plugin);
    const { properties } = await this.#describe(provider);
    const supervisor = await this.#supervisorOf(provider);
    const { clock, log, runtime } = this.#parts;
    const instance = new RemoteInstance({
      id: this.#instances++,
      spec,
      paths: new Set(properties.filter(({ type }) => type === 'path').map(({ name }) => name)),
      events,
      files: runtime.files,
      clock,
      log: new HostLog(log, clock, { package: provider.package }),
      release: (released) => supervisor.remove(released),
    });
    try {
      await supervisor.add(instance);
      return instance;
    } catch (error) {
      // It may have begun to follow files, and what it says about them is not heard any more.
      instance.close();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#supervisors.values()].map((supervisor) => supervisor.stop()));
    this.#supervisors.clear();
  }

  async #discover(): Promise<ProviderTable> {
    this.#isLooking = true;
    try {
      const { providers, problems } = await this.#parts.runtime.discover();
      const rights = [...launchesOf(providers).values()].map((launch) => this.#parts.runtime.describeRights(launch));
      const all = [...problems, ...rights.filter((problem) => problem !== undefined)];
      for (const problem of all) this.#parts.log.warn({ problem }, 'a plugin is not as it should be');
      return { providers, problems: all };
    } catch (error) {
      // What failed may work the next time.
      this.#table = undefined;
      throw error;
    } finally {
      this.#isLooking = false;
    }
  }

  /** @throws OverlayError PLUGIN_UNKNOWN */
  async #find(kind: 'encap' | 'lookup', name: string): Promise<Provider> {
    const match = ({ providers }: ProviderTable): Provider | undefined => providers.find((each) => each.kind === kind && each.name === name);
    const found = match(await this.providers());
    // It may have been installed since we looked.
    if (found !== undefined) return found;
    const table = await this.providers(true);
    return match(table) ?? unknownPlugin(kind, name, table);
  }

  /** @throws OverlayError PLUGIN_FAILED */
  #describe(provider: Provider): Promise<Description> {
    const key = [keyOf(provider), provider.kind, provider.name].join(' ');
    const known = this.#descriptions.get(key);
    if (known !== undefined) return known;
    const description = this.#askForDescription(provider);
    this.#descriptions.set(key, description);
    // What failed may work the next time.
    description.catch(() => this.#descriptions.delete(key));
    return description;
  }

  async #askForDescription(provider: Provider): Promise<Description> {
    const { kind, name, package: owner } = provider;
    const { description } = await (await this.#supervisorOf(provider)).call('describe', { kind, name });
    if (description.kind === kind && description.name === name) return description;
    throw new OverlayError('PLUGIN_FAILED', `${kind} ${name}: package ${owner} describes ${description.kind} ${description.name} in its place`);
  }

  /** @throws OverlayError PLUGIN_FAILED once everything was stopped */
  async #supervisorOf(provider: Provider): Promise<Supervisor> {
    const { providers } = await this.providers();
    if (this.#stopped) throw new OverlayError('PLUGIN_FAILED', `plugin ${provider.package}: overlayd is stopping`);
    const key = keyOf(provider);
    let supervisor = this.#supervisors.get(key);
    if (supervisor === undefined) {
      const launch = launchesOf(providers).get(provider.root) ?? { package: provider.package, root: provider.root, modules: [provider.module] };
      const { clock, log, runtime } = this.#parts;
      supervisor = new Supervisor({ launch, spawn: runtime.spawn, clock, log: new HostLog(log, clock, { package: provider.package }) });
      this.#supervisors.set(key, supervisor);
    }
    return supervisor;
  }
}

const keyOf = ({ root, version }: Provider): string => `${root} ${version}`;

function unknownPlugin(kind: 'encap' | 'lookup', name: string, { providers, problems }: ProviderTable): never {
  const known = providers.filter((provider) => provider.kind === kind).map((provider) => provider.name);
  throw new OverlayError('PLUGIN_UNKNOWN', `${name}: no such ${kind} plugin (known: ${known.join(', ') || 'none'})`, {
    details: { kind, name, known, problems },
    advice: problems.length > 0 ? `Some plugins were left out: ${problems.join('; ')}.` : 'Choose one of them.',
  });
}
