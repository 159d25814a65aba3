// Plugin hosts without processes: the same messages over a pair of streams, so that tests can move time and kill hosts.
import { duplexPair } from 'node:stream';
import type { EncapPlugin, LookupPlugin } from '@overlayadm/api';
import { type FileAccess, systemFiles } from '../../src/core/lookup/files.ts';
import type { HostLaunch, HostProcess } from '../../src/core/lookup/host-process.ts';
import { createPluginHosts, type HostRuntime } from '../../src/core/lookup/hosts.ts';
import type { PluginHosts, Provider, ProviderTable } from '../../src/core/lookup/types.ts';
import type { Clock } from '../../src/core/util/clock.ts';
import { type Log, silentLog } from '../../src/core/util/log.ts';
import { PluginHost } from '../../src/core/varpd/serve.ts';

export type TestPlugin = EncapPlugin | LookupPlugin;

export interface InProcessHost extends HostProcess {
  readonly launch: HostLaunch;
  /** overlayd let it end, or killed it, or the test did. */
  readonly gone: boolean;
  /** Dies as a process would, at once and without a word. */
  die(how?: string): void;
}

export interface InProcessOptions {
  readonly clock: Clock;
  readonly files?: FileAccess;
  readonly log?: Log;
}

/** What can be said of a package beyond its plugin. */
export interface Package {
  /** 1.0.0 when nothing is said. */
  readonly version?: string;
  /** 1 when nothing is said; another one leaves the package out, as collectProviders() does. */
  readonly api?: number;
  /** Why its module cannot be imported. */
  readonly broken?: string;
}

export interface InProcess {
  readonly runtime: HostRuntime;
  /** Of the overlayd that runs now. */
  readonly hosts: PluginHosts;
  /** Every host that was started, in order. */
  readonly started: InProcessHost[];
  /** As a new overlayd has them: nothing is known and no host runs. What is installed stays. */
  renew(): PluginHosts;
  /** Puts a package there, or another one in its place; nobody is told. */
  install(plugin: TestPlugin, facts?: Package): void;
  uninstall(plugin: Pick<TestPlugin, 'kind' | 'name'>): void;
}

const rootOf = ({ kind, name }: Pick<TestPlugin, 'kind' | 'name'>): string => `/test/${kind}-${name}`;

const providerOf = (plugin: TestPlugin, { version = '1.0.0' }: Package): Provider => ({
  kind: plugin.kind,
  name: plugin.name,
  package: `test-plugin-${plugin.name}`,
  version,
  root: rootOf(plugin),
  module: './index.js',
  api: 1,
});

/** One host, talking over `stream`'s other end. `broken`: why nothing of it can be imported. */
export function startInProcess(launch: HostLaunch, plugins: readonly TestPlugin[], clock: Clock, broken?: string): InProcessHost {
  const [stream, inner] = duplexPair();
  const { promise: exited, resolve } = Promise.withResolvers<string>();
  let gone = false;
  const die = (how = 'signal SIGKILL'): void => {
    if (gone) return;
    gone = true;
    inner.destroy();
    stream.destroy();
    resolve(how);
  };
  const found = broken === undefined ? { loaded: plugins, failures: [] } : { loaded: [], failures: [`./index.js: ${broken}`] };
  new PluginHost(inner, found, { clock, ended: () => die('exit status 0') });
  return {
    launch,
    pid: undefined,
    stream,
    exited,
    kill: () => die(),
    die,
    get gone() {
      return gone;
    },
  };
}

interface Installed {
  readonly plugin: TestPlugin;
  readonly facts: Package;
  readonly stamp: string;
}

/** What `overlayadm plugins` has installed: packages by their folder. */
class Installation {
  readonly #packages = new Map<string, Installed>();
  #installs = 0;

  install(plugin: TestPlugin, facts: Package): void {
    this.#packages.set(rootOf(plugin), { plugin, facts, stamp: `installed ${++this.#installs}` });
  }

  uninstall(plugin: Pick<TestPlugin, 'kind' | 'name'>): void {
    this.#packages.delete(rootOf(plugin));
  }

  at(root: string): Installed | undefined {
    return this.#packages.get(root);
  }

  table(): ProviderTable {
    const all = [...this.#packages.values()].map(({ plugin, facts }) => ({ provider: providerOf(plugin, facts), api: facts.api ?? 1 }));
    return {
      providers: all.filter(({ api }) => api === 1).map(({ provider }) => provider),
      problems: all
        .filter(({ api }) => api !== 1)
        .map(({ provider, api }) => `plugin ${provider.package} (${provider.root}): left out, it is written for plugin api ${api}`),
    };
  }
}

/** Each plugin is a package of its own. */
export function connectInProcess(plugins: readonly TestPlugin[], { clock, files = systemFiles, log = silentLog }: InProcessOptions): InProcess {
  const installation = new Installation();
  for (const plugin of plugins) installation.install(plugin, {});
  const started: InProcessHost[] = [];
  const runtime: HostRuntime = {
    discover: async () => installation.table(),
    spawn: (launch) => {
      const there = installation.at(launch.root);
      const host = startInProcess(
        launch,
        there === undefined ? [] : [there.plugin],
        clock,
        there === undefined ? 'no such file' : there.facts.broken,
      );
      started.push(host);
      return host;
    },
    stamp: async ({ root }) => installation.at(root)?.stamp ?? 'none',
    describeRights: () => undefined,
    uidOf: () => 65_534,
    files,
  };
  const make = (): PluginHosts => createPluginHosts({ runtime, clock, log });
  let hosts = make();
  return {
    runtime,
    started,
    get hosts() {
      return hosts;
    },
    renew: () => {
      hosts = make();
      return hosts;
    },
    install: (plugin, facts = {}) => installation.install(plugin, facts),
    uninstall: (plugin) => installation.uninstall(plugin),
  };
}
