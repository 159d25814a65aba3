// What the host lets us do about an overlayd that does not run: the directory, the systemd unit.
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, OverlayError } from '../rpc/errors.ts';
import { areDefault, type Directories } from '../util/directories.ts';

export const START_COMMAND = { program: 'sudo overlayd', systemd: 'systemctl start overlayd' } as const;

const UNITS = ['/etc/systemd/system/overlayd.service', '/usr/lib/systemd/system/overlayd.service'];
/** There when systemd is running (sd_booted(3)): a unit file alone, as in a container image, starts nothing. */
const SYSTEMD_RUNS = '/run/systemd/system';

/** The unit that serves these directories; it serves none but the default ones. */
export function systemdUnit(directories: Directories): string | undefined {
  return areDefault(directories) && existsSync(SYSTEMD_RUNS) ? UNITS.find((path) => existsSync(path)) : undefined;
}

/** May this process make files in `directory`, or make the directory itself? */
export function mayCreateIn(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return missing && dirname(directory) !== directory && mayCreateIn(dirname(directory));
  }
}

/** @throws OverlayError DAEMON_START_FAILED with what systemctl said. */
export async function viaSystemd(timeoutMs: number): Promise<void> {
  try {
    await promisify(execFile)('systemctl', ['start', 'overlayd'], { timeout: Math.max(1, timeoutMs) });
  } catch (error) {
    const said = (error as { readonly stderr?: unknown }).stderr;
    const why = typeof said === 'string' && said.trim() !== '' ? said.trim() : messageOf(error);
    throw new OverlayError('DAEMON_START_FAILED', 'overlayd did not start (systemctl start overlayd failed)', {
      details: { why },
      advice: `${why}\nSee: journalctl -u overlayd`,
      cause: error,
    });
  }
}
