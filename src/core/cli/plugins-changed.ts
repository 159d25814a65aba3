// After plugins were installed, linked or removed: an overlayd that runs is told, and what it did is shown.
import { type ConnectOptions, connect } from '../rpc/client.ts';
import { OverlayError } from '../rpc/errors.ts';
import type { PluginReload } from '../rpc/protocol.ts';
import { type Directories, socketPath } from '../util/directories.ts';
import { withMessage } from './failures.ts';

/**
 * null when none runs: it will find the plugins when it starts, and is not started for this.
 * @throws OverlayError with a text that says that the change itself was made.
 */
export async function reloadPlugins(directories: Directories, options: ConnectOptions): Promise<PluginReload | null> {
  try {
    await using client = await connect(socketPath(directories), options);
    return await client.call('plugin.reload', {});
  } catch (error) {
    if (!OverlayError.is(error)) throw error;
    const { errno } = error.details;
    if (error.code === 'RPC_UNREACHABLE' && (errno === 'ENOENT' || errno === 'ECONNREFUSED')) return null;
    throw withMessage(error, `the plugins were changed, but overlayd still uses what it had: ${error.message}`);
  }
}

export interface Telling {
  log(text: string): void;
  warn(text: string): void;
  failWith(error: OverlayError): void;
}

/** A package whose new code did not come up is a failure, though the old code goes on. */
export function tellReload({ replaced, kept, problems }: PluginReload, { log, warn, failWith }: Telling): void {
  for (const name of replaced) log(`${name}: overlayd uses the new code`);
  for (const problem of problems) warn(problem);
  for (const { package: name, reason } of kept) {
    failWith(
      new OverlayError('PLUGIN_KEPT', `${name}: the new code did not come up, the old one goes on (${reason})`, {
        details: { package: name, reason },
        advice: 'Install a version that works, or uninstall it.',
      }),
    );
  }
}
