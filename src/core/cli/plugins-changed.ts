// After plugins were installed, linked or removed: an overlayd that runs is told, and what it did is shown.
import { type Client, type ConnectOptions, connect } from '../rpc/client.ts';
import { messageOf, OverlayError } from '../rpc/errors.ts';
import type { PluginReload, PluginRow } from '../rpc/protocol.ts';
import { type Directories, socketPath } from '../util/directories.ts';
import { withMessage } from './failures.ts';

export interface Reloaded {
  readonly reload: PluginReload;
  /** Plugins of the packages in question that cannot be used. */
  readonly unusable: readonly PluginRow[];
  /** Why it is not known whether there are such; undefined when it is. */
  readonly unknown?: string;
}

/**
 * null when none runs: it will find the plugins when it starts, and is not started for this. `packages`: those that are
 * new; their plugins are tried, one that hangs for as long as show-plugins would.
 * @throws OverlayError with a text that says that the change itself was made.
 */
export async function reloadPlugins(directories: Directories, options: ConnectOptions, packages: readonly string[]): Promise<Reloaded | null> {
  try {
    await using client = await connect(socketPath(directories), options);
    const reload = await client.call('plugin.reload', {});
    const tried = packages.filter((name) => !reload.kept.some((kept) => kept.package === name));
    return { reload, ...(tried.length === 0 ? { unusable: [] } : await tryPlugins(client, tried)) };
  } catch (error) {
    if (!OverlayError.is(error)) throw error;
    const { errno } = error.details;
    if (error.code === 'RPC_UNREACHABLE' && (errno === 'ENOENT' || errno === 'ECONNREFUSED')) return null;
    throw withMessage(error, `the plugins were changed, but overlayd still uses what it had: ${error.message}`);
  }
}

/** overlayd has the new code by now: that it does not say how the plugins are is no failure of the change. */
async function tryPlugins(client: Client, packages: readonly string[]): Promise<Pick<Reloaded, 'unusable' | 'unknown'>> {
  try {
    const { plugins } = await client.call('plugin.list', {});
    return { unusable: plugins.filter((row) => row.problem !== null && packages.includes(row.package)) };
  } catch (error) {
    return { unusable: [], unknown: messageOf(error) };
  }
}

export interface Telling {
  log(text: string): void;
  warn(text: string): void;
  failWith(error: OverlayError): void;
}

/** A package whose new code did not come up is a failure, though the old code goes on. `removed`: packages that were uninstalled. */
export function tellReload({ reload, unusable, unknown }: Reloaded, removed: readonly string[], { log, warn, failWith }: Telling): void {
  const { replaced, kept, problems } = reload;
  for (const name of replaced) log(`${name}: overlayd uses the new code`);
  for (const problem of problems) warn(problem);
  for (const { kind, name, problem } of unusable) warn(`${kind} plugin ${name}: ${problem}`);
  if (unknown !== undefined) warn(`overlayd was told, but whether the plugins can be used is not known: ${unknown}`);
  for (const { package: name, reason } of kept) {
    if (removed.includes(name)) warn(`${name}: still in use; what runs goes on until its overlays are deleted`);
    else failWith(keptError(name, reason));
  }
}

const keptError = (name: string, reason: string): OverlayError =>
  new OverlayError('PLUGIN_KEPT', `${name}: the new code did not come up, the old one goes on (${reason})`, {
    details: { package: name, reason },
    advice: 'Install a version that works, or uninstall it.',
  });
