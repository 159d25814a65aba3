// The four directories of one overlayadm (four such directories are one independent host), and the files in the run directory.
import { isAbsolute, join, resolve } from 'node:path';
import { OverlayError } from '@overlayadm/api';
import { MAX_SOCKET_PATH_BYTES } from './limits.ts';

export interface Directories {
  /** Socket, lock and log; gone after a reboot. */
  readonly run: string;
  readonly state: string;
  /** Plugins that were installed by `overlayadm plugins`. */
  readonly data: string;
  readonly config: string;
}

/** Names of the environment variables, and what holds when one is unset or empty. */
export const DIRECTORY_VARIABLES = {
  run: { variable: 'OVERLAYADM_RUN_DIR', fallback: '/run/overlayadm' },
  state: { variable: 'OVERLAYADM_STATE_DIR', fallback: '/var/lib/overlayadm' },
  data: { variable: 'OVERLAYADM_DATA_DIR', fallback: '/var/lib/overlayadm/plugins' },
  config: { variable: 'OVERLAYADM_CONFIG_DIR', fallback: '/etc/overlayadm' },
} as const satisfies Readonly<Record<keyof Directories, { variable: string; fallback: string }>>;

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @throws OverlayError DIRECTORY_NOT_ABSOLUTE, because overlayd runs in `/` and would mean another directory than the
 * command that started it; DIRECTORY_TOO_LONG when the socket's name would not fit into a socket address.
 */
export function directoriesOf(environment: Environment): Directories {
  const of = (name: keyof Directories): string => directoryOf(environment, name);
  const directories = { run: of('run'), state: of('state'), data: of('data'), config: of('config') };
  const bytes = Buffer.byteLength(socketPath(directories));
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw new OverlayError('DIRECTORY_TOO_LONG', `${directories.run}: too long for the name of a socket (${bytes} bytes with the file name)`, {
      details: { directory: directories.run, bytes, max: MAX_SOCKET_PATH_BYTES },
      advice: `Use a run directory whose socket name has at most ${MAX_SOCKET_PATH_BYTES} bytes.`,
    });
  }
  return directories;
}

function directoryOf(environment: Environment, name: keyof Directories): string {
  const { variable, fallback } = DIRECTORY_VARIABLES[name];
  const text = environment[variable] || fallback;
  if (isAbsolute(text)) return resolve(text);
  throw new OverlayError('DIRECTORY_NOT_ABSOLUTE', `${variable}: not an absolute path (${text})`, {
    details: { variable, value: text },
    advice: `Set ${variable} to a path that begins with /, or leave it unset.`,
  });
}

/** Is this the host's own overlayadm, the one that a systemd unit serves, and not one made for a test or a demo? */
export function areDefault(directories: Directories): boolean {
  return Object.entries(DIRECTORY_VARIABLES).every(([name, { fallback }]) => directories[name as keyof Directories] === fallback);
}

export const socketPath = (directories: Pick<Directories, 'run'>): string => join(directories.run, 'overlayd.sock');
/** Locked by the one overlayd of this run directory for as long as it lives; holds its process id. */
export const pidPath = (directories: Pick<Directories, 'run'>): string => join(directories.run, 'overlayd.pid');
export const logPath = (directories: Pick<Directories, 'run'>): string => join(directories.run, 'overlayd.log');
/** The same for the state directory, which another run directory may not share. */
export const stateLockPath = (directories: Pick<Directories, 'state'>): string => join(directories.state, 'overlayd.lock');
