// The rows of show-plugins: every provider, also one that cannot be asked; nobody waits long for a plugin that hangs.
import { messageOf } from '@overlayadm/api';
import { type Clock, sleep } from '../util/clock.ts';
import { MAX_STARTING_HOSTS, PLUGIN_LIST_MS } from '../util/limits.ts';
import type { Description, Provider, ProviderTable } from '../varpd/protocol.ts';
import { forEachBounded } from './bounded.ts';
import { launchesOf } from './catalogue.ts';
import type { PackageHome } from './home.ts';
import type { Homes } from './homes.ts';
import type { HostRuntime } from './runtime.ts';
import type { PluginInfo, PluginList } from './types.ts';

export interface ListParts {
  readonly runtime: Pick<HostRuntime, 'uidOf'>;
  readonly clock: Clock;
  readonly homes: Homes;
  /** Why the host of a package is not of the version that is installed, by package. */
  readonly kept: ReadonlyMap<string, string>;
  describe(provider: Provider): Promise<Description>;
}

type Answer = Pick<PluginInfo, 'properties' | 'problem'>;

/** Never rejects for what a plugin does. */
export async function listPlugins(parts: ListParts, table: ProviderTable): Promise<PluginList> {
  const gone = parts.homes.all.filter((home) => home.isInUse).flatMap((home) => providersGone(home, table));
  const answers = await askAll(parts, table.providers);
  const launches = launchesOf([...table.providers, ...gone]);
  const row = (provider: Provider, answer: Answer): PluginInfo => {
    const launch = launches.get(provider.root) ?? { package: provider.package, root: provider.root, modules: [provider.module] };
    return {
      provider,
      properties: answer.properties,
      problem: parts.kept.get(provider.package) ?? answer.problem,
      uid: parts.runtime.uidOf(launch),
      pid: pidOf(parts.homes, provider.root),
    };
  };
  const late: Answer = { properties: undefined, problem: `it did not say what properties it has within ${PLUGIN_LIST_MS} ms` };
  const notThere: Answer = { properties: undefined, problem: 'it is not installed any more; its host goes on until it ends' };
  return {
    plugins: [...table.providers.map((provider) => row(provider, answers.get(provider) ?? late)), ...gone.map((provider) => row(provider, notThere))],
    problems: [...table.problems, ...[...parts.kept].map(([owner, reason]) => `plugin ${owner}: ${reason}`)],
  };
}

/** What instances run of, and nobody would find now. */
function providersGone(home: PackageHome, table: ProviderTable): readonly Provider[] {
  const used = new Set(home.supervisor.instances.map(({ plugin }) => plugin));
  const isThere = ({ kind, name }: Provider): boolean => table.providers.some((each) => each.kind === kind && each.name === name);
  return home.providers.filter((provider) => provider.kind === 'lookup' && used.has(provider.name) && !isThere(provider));
}

const pidOf = (homes: Homes, root: string): number | undefined =>
  [homes.find(root), ...homes.all.filter((home) => home.root === root)].map((home) => home?.supervisor.pid).find((pid) => pid !== undefined);

/** What came in time; a package after the other where each needs a process. */
async function askAll({ clock, describe }: ListParts, providers: readonly Provider[]): Promise<ReadonlyMap<Provider, Answer>> {
  const answers = new Map<Provider, Answer>();
  const ended = new AbortController();
  const packages = Map.groupBy(providers, ({ root }) => root);
  const ask = async (provider: Provider): Promise<void> => {
    try {
      const { properties } = await describe(provider);
      answers.set(provider, { properties: properties.map(({ name }) => name), problem: undefined });
    } catch (error) {
      answers.set(provider, { properties: undefined, problem: messageOf(error) });
    }
  };
  const all = forEachBounded(packages.values(), MAX_STARTING_HOSTS, async (same) => {
    if (!ended.signal.aborted) await Promise.all(same.map(ask));
  });
  await Promise.race([all.then(() => ended.abort()), sleep(clock, PLUGIN_LIST_MS, ended.signal).catch(() => undefined)]);
  ended.abort();
  return new Map(answers);
}
