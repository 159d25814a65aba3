// The packages in use, and their replacement by what is installed now: a new host beside the old one, swapped with all instances or not at all.
import { messageOf, OverlayError } from '@overlayadm/api';
import { HOST_REPLACE_MS, MAX_STARTING_HOSTS } from '../util/limits.ts';
import type { Provider, ProviderTable } from '../varpd/protocol.ts';
import { forEachBounded } from './bounded.ts';
import { findProvider, launchesOf } from './catalogue.ts';
import { type HomeParts, PackageHome } from './home.ts';
import type { HostLaunch } from './host-process.ts';
import type { RemoteInstance } from './instance.ts';
import type { PluginReload } from './types.ts';

/** What has become of one package. */
type Outcome = { readonly replaced: string } | { readonly kept: { readonly package: string; readonly reason: string } };

interface Target {
  readonly launch: HostLaunch;
  readonly providers: readonly Provider[];
  readonly version: string;
}

function targetOf(table: ProviderTable, root: string): Target {
  const providers = table.providers.filter((provider) => provider.root === root);
  const launch = launchesOf(providers).get(root);
  const [first] = providers;
  if (launch === undefined || first === undefined) throw new OverlayError('PLUGIN_FAILED', `plugin in ${root}: it is not installed`);
  return { launch, providers, version: first.version };
}

export class Homes {
  readonly #parts: HomeParts;
  /** Those that new instances come to, by the folder of their package. */
  readonly #current = new Map<string, PackageHome>();
  /** And those whose instances could not follow, or that are about to take over. */
  readonly #all = new Set<PackageHome>();
  /** Settles when a package has been replaced or not; whoever needs its host waits for it. Never rejects. */
  readonly #replacing = new Map<string, Promise<unknown>>();
  #stopped = false;

  constructor(parts: HomeParts) {
    this.#parts = parts;
  }

  get all(): readonly PackageHome[] {
    return [...this.#all];
  }

  /** The host that runs code from this folder, if there is one. */
  find(root: string): PackageHome | undefined {
    return this.#current.get(root);
  }

  /** For a new instance or a call. @throws OverlayError PLUGIN_FAILED once everything was stopped */
  async of(provider: Provider, table: ProviderTable): Promise<PackageHome> {
    const { root } = provider;
    for (let wait = this.#replacing.get(root); wait !== undefined; wait = this.#replacing.get(root)) await wait;
    this.#checkStopped(provider.package);
    const home = this.#current.get(root) ?? this.#make(targetOf(table, root));
    this.#current.set(root, home);
    return home;
  }

  /** There is a new table: what plugins are is asked anew, and what nobody uses is started from what is there now. */
  found(): void {
    for (const home of this.#all) {
      home.forget();
      if (home.isInUse) continue;
      // Not forgotten at once: somebody may have been given it just now.
      if (this.#current.get(home.root) === home) this.#current.delete(home.root);
      else if (home.supervisor.isIdle) this.#all.delete(home);
    }
  }

  /** Each package whose instances run other code than is there now. Never rejects. */
  async renew(table: ProviderTable): Promise<Omit<PluginReload, 'problems'>> {
    const outcomes: Outcome[] = [];
    await forEachBounded(this.all, MAX_STARTING_HOSTS, async (home) => {
      for (const [root, instances] of this.#groups(home, table)) {
        const outcome = root === undefined ? vanished(home, table) : await this.#follow(home, instances, targetOf(table, root));
        if (outcome !== undefined) outcomes.push(outcome);
      }
    });
    return {
      replaced: [...new Set(outcomes.flatMap((outcome) => ('replaced' in outcome ? [outcome.replaced] : [])))].sort(),
      kept: outcomes.flatMap((outcome) => ('kept' in outcome ? [outcome.kept] : [])),
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.all.map(({ supervisor }) => supervisor.stop()));
    this.#all.clear();
    this.#current.clear();
  }

  #checkStopped(owner: string): void {
    if (this.#stopped) throw new OverlayError('PLUGIN_FAILED', `plugin ${owner}: overlayd is stopping`);
  }

  #make({ launch, providers }: Target): PackageHome {
    const home = new PackageHome(this.#parts, launch, providers);
    this.#all.add(home);
    return home;
  }

  /** Its instances by the folder that their plugin is in now; undefined for those whose plugin is in none. */
  #groups(home: PackageHome, table: ProviderTable): ReadonlyMap<string | undefined, readonly RemoteInstance[]> {
    return Map.groupBy(home.supervisor.instances, ({ plugin }) => findProvider(table, 'lookup', plugin)?.root);
  }

  async #follow(home: PackageHome, instances: readonly RemoteInstance[], target: Target): Promise<Outcome | undefined> {
    const { root } = target.launch;
    for (let wait = this.#replacing.get(root); wait !== undefined; wait = this.#replacing.get(root)) await wait;
    const replacing = this.#replace(home, instances, target);
    this.#replacing.set(root, replacing);
    try {
      return await replacing;
    } finally {
      this.#replacing.delete(root);
    }
  }

  /** Never rejects. */
  async #replace(home: PackageHome, instances: readonly RemoteInstance[], target: Target): Promise<Outcome | undefined> {
    const { launch, version } = target;
    const there = this.#current.get(launch.root);
    const isSame = there !== undefined && (await there.isSame(launch, version, await this.#parts.runtime.stamp(launch)));
    if ((isSame && there === home) || this.#stopped) return undefined;
    const next = isSame ? there : this.#make(target);
    try {
      await this.#takeOver(next, home, instances);
      this.#current.set(launch.root, next);
      return { replaced: launch.package };
    } catch (error) {
      if (!isSame) void next.supervisor.stop().then(() => this.#all.delete(next));
      if (launch.root === home.root) home.moved(launch);
      return { kept: { package: home.package, reason: `version ${home.version} goes on, ${version} did not come up: ${messageOf(error)}` } };
    }
  }

  async #takeOver(next: PackageHome, home: PackageHome, instances: readonly RemoteInstance[]): Promise<void> {
    const late = Promise.withResolvers<never>();
    const given = new AbortController();
    const timer = this.#parts.clock.after(HOST_REPLACE_MS, () => {
      given.abort();
      late.reject(new OverlayError('PLUGIN_FAILED', `it was not all there after ${HOST_REPLACE_MS} ms`));
    });
    const start = async (): Promise<void> => {
      // A plugin that cannot be loaded is not wanted, also when no instance runs that it could fail.
      await Promise.all(next.providers.map(({ kind, name }) => next.describe(kind, name)));
      await next.supervisor.takeOver(home.supervisor, instances, given.signal);
    };
    try {
      await Promise.race([start(), late.promise]);
    } finally {
      timer.cancel();
    }
  }
}

/** Of a package that is in use and not there any more: its host goes on with what it has read. */
function vanished(home: PackageHome, { problems }: ProviderTable): Outcome {
  const why = problems.find((problem) => problem.includes(`(${home.root})`)) ?? problems.find((problem) => problem.includes('all left out'));
  return { kept: { package: home.package, reason: `version ${home.version} goes on: ${why ?? 'it is not installed any more'}` } };
}
