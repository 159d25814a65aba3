// Starts a plugin host as a process of its own, with the rights of nobody and a socket pair to talk over.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { messageOf } from '@overlayadm/api';
import { HOST_DATA_MIB, HOST_HEAP_MIB } from '../util/limits.ts';
import { hostProgram, isLink, type Program, packageFolders, readGrants } from './packages.ts';
import { type User, whyNotReadable } from './reach.ts';
import { ownPowers, type Powers, readServiceUser, setprivArguments } from './rights.ts';

/** One plugin package, and the modules of it that are plugins. */
export interface HostLaunch {
  readonly package: string;
  readonly root: string;
  /** Relative to `root`. */
  readonly modules: readonly string[];
}

export interface HostProcess {
  readonly pid: number | undefined;
  readonly stream: Duplex;
  /** How it ended: `exit status 1`, `signal SIGKILL`, or why it could not be started. Never rejects. */
  readonly exited: Promise<string>;
  kill(): void;
}

/** `output` is given what the host writes to stdout and stderr, in pieces as they come. */
export type SpawnHost = (launch: HostLaunch, output: (text: string) => void) => HostProcess;

export interface HostRights {
  readonly node: string;
  readonly program: Program;
  readonly powers: Powers;
  readonly user: User;
  /** JavaScript heap of the host, MiB. */
  readonly heapMib: number;
  /** All that it may write to: the heap and what is outside of it, MiB. */
  readonly dataMib: number;
}

export const systemRights = (): HostRights => ({
  node: process.execPath,
  program: hostProgram(),
  powers: ownPowers(),
  user: readServiceUser(),
  heapMib: HOST_HEAP_MIB,
  dataMib: HOST_DATA_MIB,
});

/** The folder or file that keeps the service user from running this host; undefined when nothing does. Where overlayd cannot change users, nothing is asked of them. */
export function whyNotServiceUser({ node, program, powers, user }: HostRights, launch: HostLaunch): string | undefined {
  if (!powers.changesUser) return undefined;
  const plugin = launch.modules.map((module) => join(launch.root, module));
  const paths = [node, program.main, ...program.folders, ...foldersOf(launch), ...plugin];
  return paths.map((path) => whyNotReadable(path, user)).find((reason) => reason !== undefined);
}

/** User that this host runs as. */
export function uidOf(rights: HostRights, launch: HostLaunch): number {
  const changes = rights.powers.changesUser && whyNotServiceUser(rights, launch) === undefined;
  return changes ? rights.user.uid : (process.getuid?.() ?? 0);
}

/** What `show-plugins` and the log say of a host that has to keep overlayd's user. */
export function describeKept({ user }: HostRights, launch: HostLaunch, folder: string): string {
  return `plugin ${launch.package}: its host keeps overlayd's user, without capabilities, because uid ${user.uid} cannot read ${folder}`;
}

/** A package that cannot be read has no dependencies that could be named; its import will say why. */
function foldersOf(launch: HostLaunch): readonly string[] {
  try {
    return packageFolders(launch.root);
  } catch {
    return [launch.root];
  }
}

/** Buffers are no part of the heap that --max-old-space-size bounds: the kernel counts them, in KiB. A limit that is lower already stays. The shell leaves its own variables behind. */
const LIMITED = '{ ulimit -c 0; ulimit -d "$1"; } 2>/dev/null; shift; exec env -i "$@"';

/** Command line of a host, setpriv first. */
export function hostCommand(rights: HostRights, launch: HostLaunch): readonly string[] {
  const { node, program, powers, heapMib, dataMib } = rights;
  const user = whyNotServiceUser(rights, launch) === undefined ? rights.user : undefined;
  const folders = readGrants([...program.folders, ...foldersOf(launch)], isLink);
  return [
    'setpriv',
    ...setprivArguments(powers, user),
    ...['sh', '-c', LIMITED, 'sh', `${dataMib * 1024}`],
    node,
    `--max-old-space-size=${heapMib}`,
    '--permission',
    ...folders.map((folder) => `--allow-fs-read=${folder}`),
    // Lookups ask servers; Node 25 began to count that as a permission.
    ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
    program.main,
    launch.root,
    ...launch.modules,
  ];
}

/** Spawns for real. @throws nothing: what fails comes out of `exited` */
export function systemSpawn(rights: () => HostRights = systemRights): SpawnHost {
  return (launch, output) => {
    const [command = 'setpriv', ...args] = hostCommand(rights(), launch);
    const child = spawn(command, args, { cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      (stream as Readable | null)?.setEncoding('utf8').on('data', (text: string) => output(text));
    }
    return { pid: child.pid, stream: child.stdio[3] as Duplex, exited: exitOf(child), kill: () => void child.kill('SIGKILL') };
  };
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    // Not once: one that may not be killed says so each time.
    child.on('error', (error) => resolve(`it could not be started: ${messageOf(error)}`));
    child.once('exit', (status, signal) => resolve(signal === null ? `exit status ${status}` : `signal ${signal}`));
  });
}
