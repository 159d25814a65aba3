// One plugin package in use: the code that was there when its host was first started, its supervisor, and what its plugins say they are.
import { OverlayError } from '@overlayadm/api';
import type { Clock } from '../util/clock.ts';
import type { Log } from '../util/log.ts';
import type { Description, Provider, ProviderKind } from '../varpd/protocol.ts';
import { HostLog } from './host-log.ts';
import type { HostLaunch } from './host-process.ts';
import type { HostRuntime } from './runtime.ts';
import { Supervisor } from './supervisor.ts';

export interface HomeParts {
  readonly runtime: Pick<HostRuntime, 'spawn' | 'stamp'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class PackageHome {
  readonly supervisor: Supervisor;
  /** What its package brought when it was made, at least one. */
  readonly providers: readonly Provider[];
  /** Of its files, when it was made. */
  readonly #stamp: Promise<string>;
  #launch: HostLaunch;
  readonly #descriptions = new Map<string, Promise<Description>>();

  constructor({ runtime, clock, log }: HomeParts, launch: HostLaunch, providers: readonly Provider[]) {
    this.providers = providers;
    this.#launch = launch;
    this.#stamp = runtime.stamp(launch);
    const hostLog = new HostLog(log, clock, { package: launch.package });
    this.supervisor = new Supervisor({ launch: () => this.#launch, spawn: runtime.spawn, clock, log: hostLog });
  }

  get package(): string {
    return this.#launch.package;
  }

  get root(): string {
    return this.#launch.root;
  }

  get version(): string {
    return this.providers[0]?.version ?? '';
  }

  get isInUse(): boolean {
    return this.supervisor.instances.length > 0;
  }

  /** Is what is on disk now the same code? */
  async isSame(launch: HostLaunch, version: string, stamp: string): Promise<boolean> {
    const sameModules = launch.modules.toSorted().join('\0') === this.#launch.modules.toSorted().join('\0');
    return launch.package === this.package && version === this.version && sameModules && stamp === (await this.#stamp);
  }

  /** Where its code is from now on: a host that is started after a crash has nothing else. */
  moved(launch: HostLaunch): void {
    this.#launch = launch;
  }

  /** Lets it be asked anew. */
  forget(): void {
    this.#descriptions.clear();
  }

  /** @throws OverlayError PLUGIN_FAILED */
  describe(kind: ProviderKind, name: string): Promise<Description> {
    const key = `${kind} ${name}`;
    const known = this.#descriptions.get(key);
    if (known !== undefined) return known;
    const description = this.#ask(kind, name);
    this.#descriptions.set(key, description);
    // What failed may work the next time.
    description.catch(() => this.#descriptions.get(key) === description && this.#descriptions.delete(key));
    return description;
  }

  async #ask(kind: ProviderKind, name: string): Promise<Description> {
    const { description } = await this.supervisor.call('describe', { kind, name });
    if (description.kind === kind && description.name === name) return description;
    throw new OverlayError(
      'PLUGIN_FAILED',
      `${kind} ${name}: package ${this.package} describes ${description.kind} ${description.name} in its place`,
    );
  }
}
