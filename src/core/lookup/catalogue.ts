// Which plugins there are: looked for once, and again when one is asked for that is not among them.
import { OverlayError } from '@overlayadm/api';
import type { Log } from '../util/log.ts';
import type { Provider, ProviderKind, ProviderTable } from '../varpd/protocol.ts';
import type { HostLaunch } from './host-process.ts';
import type { HostRuntime } from './runtime.ts';

export interface CatalogueParts {
  readonly runtime: Pick<HostRuntime, 'discover' | 'describeRights'>;
  readonly log: Log;
  /** A table that is new. */
  found(table: ProviderTable): void;
}

/** The packages of a table, by their folder. */
export function launchesOf(providers: readonly Provider[]): ReadonlyMap<string, HostLaunch> {
  const launches = new Map<string, HostLaunch>();
  for (const { package: name, root, module } of providers) {
    launches.set(root, { package: name, root, modules: [...new Set([...(launches.get(root)?.modules ?? []), module])] });
  }
  return launches;
}

export const findProvider = ({ providers }: ProviderTable, kind: ProviderKind, name: string): Provider | undefined =>
  providers.find((each) => each.kind === kind && each.name === name);

export class Catalogue {
  readonly #parts: CatalogueParts;
  #table: Promise<ProviderTable> | undefined;
  #isLooking = false;
  /** What the log has been told; it is looked again and again for a plugin that is missing. */
  #told: readonly string[] = [];

  constructor(parts: CatalogueParts) {
    this.#parts = parts;
  }

  table(refresh = false): Promise<ProviderTable> {
    // One that is under way is new enough: looking costs a process, and many may ask for what is not there.
    if (this.#table === undefined || (refresh && !this.#isLooking)) this.#table = this.#discover();
    return this.#table;
  }

  /** By a look that begins now: one that is under way may have missed what was just installed. */
  async renew(): Promise<ProviderTable> {
    if (this.#isLooking) await this.#table?.catch(() => undefined);
    return this.table(true);
  }

  /** @throws OverlayError PLUGIN_UNKNOWN */
  async find(kind: ProviderKind, name: string): Promise<Provider> {
    const found = findProvider(await this.table(), kind, name);
    // It may have been installed since we looked.
    if (found !== undefined) return found;
    const table = await this.table(true);
    const now = findProvider(table, kind, name);
    if (now === undefined) throw unknownPlugin(kind, name, table);
    return now;
  }

  async #discover(): Promise<ProviderTable> {
    const { runtime, log, found } = this.#parts;
    this.#isLooking = true;
    try {
      const { providers, problems } = await runtime.discover();
      const rights = [...launchesOf(providers).values()].map((launch) => runtime.describeRights(launch));
      const table = { providers, problems: [...problems, ...rights.filter((problem) => problem !== undefined)] };
      for (const problem of table.problems) if (!this.#told.includes(problem)) log.warn({ problem }, 'a plugin is not as it should be');
      this.#told = table.problems;
      found(table);
      return table;
    } catch (error) {
      // What failed may work the next time.
      this.#table = undefined;
      throw error;
    } finally {
      this.#isLooking = false;
    }
  }
}

export function unknownPlugin(kind: ProviderKind, name: string, { providers, problems }: ProviderTable): OverlayError {
  const known = providers.filter((provider) => provider.kind === kind).map((provider) => provider.name);
  return new OverlayError('PLUGIN_UNKNOWN', `${name}: no such ${kind} plugin (known: ${known.join(', ') || 'none'})`, {
    details: { kind, name, known, problems },
    advice: problems.length > 0 ? `Some plugins were left out: ${problems.join('; ')}.` : 'Choose one of them.',
  });
}
