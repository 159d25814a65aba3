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

export interface InProcess {
  readonly runtime: HostRuntime;
  readonly hosts: PluginHosts;
  /** Every host that was started, in order. */
  readonly started: InProcessHost[];
}

const providerOf = ({ kind, name }: TestPlugin): Provider => ({
  kind,
  name,
  package: `test-plugin-${name}`,
  version: '1.0.0',
  root: `/test/${kind}-${name}`,
  module: './index.js',
});

/** One host, talking over `stream`'s other end. */
export function startInProcess(launch: HostLaunch, plugins: readonly TestPlugin[], clock: Clock): InProcessHost {
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
  new PluginHost(inner, { loaded: plugins, failures: [] }, { clock, ended: () => die('exit status 0') });
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

/** Each plugin is a package of its own. */
export function connectInProcess(plugins: readonly TestPlugin[], { clock, files = systemFiles, log = silentLog }: InProcessOptions): InProcess {
  const table: ProviderTable = { providers: plugins.map(providerOf), problems: [] };
  const started: InProcessHost[] = [];
  const runtime: HostRuntime = {
    discover: async () => table,
    spawn: (launch) => {
      const mine = plugins.filter((plugin) => providerOf(plugin).root === launch.root);
      const host = startInProcess(launch, mine, clock);
      started.push(host);
      return host;
    },
    describeRights: () => undefined,
    files,
  };
  return { runtime, hosts: createPluginHosts({ runtime, clock, log }), started };
}
