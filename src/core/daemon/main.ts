// The program overlayd: arguments, directories, lock, log, signals, and the one way out.
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, OverlayError } from '@overlayadm/api';
import { keeperPath, loadPacketIo, type PacketIo } from '@overlayadm/packetio';
import { descriptorLimit } from '../linux/descriptors.ts';
import { LinuxKernel } from '../linux/kernel.ts';
import { createPluginHosts, systemRuntime } from '../lookup/hosts.ts';
import { systemClock } from '../util/clock.ts';
import { type Directories, directoriesOf, logPath, pidPath, stateLockPath } from '../util/directories.ts';
import { STOP_TIMEOUT_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { startEngineThread } from './engine-thread.ts';
import { HeldDescriptors, type Inheritance, inheritedNumbers, readInheritance } from './held-descriptors.ts';
import { closeInherited } from './inherited.ts';
import { openLog } from './log.ts';
import { makeOwnDirectories } from './own-directories.ts';
import { groupId, READERS } from './roles.ts';

/**
 * Exit statuses. LOCKED tells a command that the overlayd it wants is there already, RESTART whoever holds our descriptors
 * that we want to be started again at once (native/src/keeper.cc, RestartForceExitStatus= of the systemd unit).
 */
const EXIT = { ok: 0, failed: 1, usage: 2, locked: 3, restart: 4 } as const;

const USAGE = `usage: overlayd [--log-file] [--no-keeper]

Runs in the foreground and logs to stderr; commands of overlayadm start it by themselves.
  --log-file   log to overlayd.log in the run directory instead
  --no-keeper  run without the process that holds the descriptors of overlays and starts overlayd again
  --version    print the version
  --help       print this`;

const version: string = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;

interface Arguments {
  readonly logFile: boolean;
  readonly keeper: boolean;
}

function readArguments(): Arguments {
  try {
    const flag = { type: 'boolean' } as const;
    const { values } = parseArgs({ options: { 'log-file': flag, 'no-keeper': flag, help: flag, version: flag } });
    if (values.help) leave(EXIT.ok, USAGE);
    if (values.version) leave(EXIT.ok, version);
    // A command that starts overlayd waits on a descriptor, and nobody reads stderr then.
    const isAwaited = process.env.OVERLAYD_READY_FD !== undefined || process.env.OVERLAYD_LOG_FILE === '1';
    return { logFile: values['log-file'] === true || isAwaited, keeper: values['no-keeper'] !== true };
  } catch (error) {
    return leave(EXIT.usage, `overlayd: ${messageOf(error)}\n${USAGE}`);
  }
}

function leave(status: number, text: string): never {
  writeSync(status === EXIT.ok ? 1 : 2, `${text}\n`);
  process.exit(status);
}

/**
 * Becomes the keeper, which starts this program again as its child, unless somebody holds our descriptors already. Without
 * the keeper's program, or a Node.js that can become another one, it goes on as it is, and says so in its log.
 */
function becomeKeeper({ logFile }: Arguments): void {
  const keeper = keeperPath();
  if (keeper === undefined || process.execve === undefined) return;
  const [node, ...script] = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  // The keeper answers on the descriptor that says somebody waits, and its child would not know any more that nobody reads stderr.
  const env = { ...process.env, ...(logFile ? { OVERLAYD_LOG_FILE: '1' } : {}) } as Record<string, string>;
  const ready = readyDescriptor();
  try {
    // Node.js has made it close-on-exec.
    if (ready !== undefined) loadPacketIo().passOn(ready);
    process.execve(keeper, ['overlayd-keeper', node, ...script], env);
  } catch {
    // As without.
  }
}

function lockFile(io: PacketIo, path: string): number | undefined {
  try {
    return io.lockFile(path);
  } catch (cause) {
    throw new OverlayError('LOCK_FAILED', `${path}: cannot be locked (${messageOf(cause)})`, { details: { path }, cause });
  }
}

const isSameFile = (fd: number, path: string): boolean => {
  const named = statSync(path, { throwIfNoEntry: false });
  const open = fstatSync(fd);
  return named !== undefined && named.dev === open.dev && named.ino === open.ino;
};

/**
 * Held until the process ends, and beyond by whoever holds our descriptors: nobody else may begin between one overlayd and
 * the next. Exits when another overlayd has it.
 */
function takeLock(io: PacketIo, held: HeldDescriptors, name: string, path: string, directory: string): void {
  const inherited = held.take(name);
  if (inherited !== undefined && isSameFile(inherited, path)) return;
  if (inherited !== undefined) io.close(inherited);
  const lock = lockFile(io, path);
  if (lock === undefined) {
    const pid = readFileSync(path, 'utf8').trim();
    leave(EXIT.locked, `overlayd: another one runs with ${directory}${pid === '' ? '' : ` (pid ${pid})`}`);
  }
  held.keep(name, lock);
}

function writePid(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (cause) {
    throw new OverlayError('LOCK_FAILED', `${path}: cannot be written (${messageOf(cause)})`, {
      details: { path },
      advice: 'See that there is room on the disk.',
      cause,
    });
  }
}

function takeLocks(io: PacketIo, held: HeldDescriptors, directories: Directories): void {
  for (const [name, path, directory] of [
    ['lock', pidPath(directories), directories.run],
    ['state-lock', stateLockPath(directories), directories.state],
  ] as const) {
    takeLock(io, held, name, path, directory);
    writePid(path);
  }
}

/** Names this state directory in the marks of links: drawn once. */
function stateId({ state }: Directories): string {
  const path = join(state, 'id');
  try {
    writeFileSync(path, `${randomBytes(6).toString('hex')}\n`, { flag: 'wx', mode: 0o644 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const id = readFileSync(path, 'utf8').trim();
  if (/^[0-9a-f]{12}$/.test(id)) return id;
  throw new OverlayError('STATE_DAMAGED', `${path}: is not an id of a state directory`, {
    details: { path },
    advice: 'Delete the file; a new id is drawn then, and links made under the old one are no longer ours.',
  });
}

/** Where a command waits that started us. */
function readyDescriptor(): number | undefined {
  const fd = Number(process.env.OVERLAYD_READY_FD ?? Number.NaN);
  return Number.isInteger(fd) && fd > 2 ? fd : undefined;
}

function tellReady(held: HeldDescriptors): void {
  const fd = readyDescriptor();
  if (fd !== undefined) {
    try {
      writeSync(fd, 'ready\n');
      closeSync(fd);
    } catch {
      // Whoever started us no longer waits, or never did: what an environment says need not be so.
    }
  }
  held.tell(`READY=1\nMAINPID=${process.pid}`);
}

/** Every way out leads through here, once: what overlayd made goes, then the process. */
function makeExit(log: Log, daemon: () => Daemon | undefined): (status: number) => void {
  let leaving = false;
  return (status) => {
    if (leaving) return;
    leaving = true;
    const end = (): never => process.exit(status);
    setTimeout(end, STOP_TIMEOUT_MS).unref();
    const stopping = daemon()?.stop() ?? Promise.resolve();
    stopping
      .then(
        // A command that shows the end of the log is after the reason, which stands above.
        () => (status === EXIT.ok ? log.info({ status }, 'stopped') : undefined),
        (error) => log.error({ error: messageOf(error) }, 'stopping failed'),
      )
      .finally(end);
  };
}

/** What the keeper says of the overlayd before us. */
function tellRestart(log: Log): void {
  const { OVERLAYD_RESTARTS: restarts, OVERLAYD_LAST_END: end } = process.env;
  if (restarts !== undefined && restarts !== '0') log.warn({ restarts: Number(restarts), end }, 'overlayd was started again');
}

const adviceOf = (error: unknown): readonly string[] => (OverlayError.is(error) && error.advice !== undefined ? [error.advice] : []);

async function main(): Promise<void> {
  // What "ps" and error messages about sockets in use call us; Node's own name for the process says nothing.
  process.title = 'overlayd';
  const args = readArguments();
  const directories = directoriesOf(process.env);
  const inheritance: Inheritance = readInheritance(process.env, process.pid);
  if (inheritance.holder.kind === 'none' && args.keeper) becomeKeeper(args);
  closeInherited([readyDescriptor() ?? -1, ...inheritedNumbers(inheritance)]);
  // Whoever started us may have none, and our files would be open to everybody; or one that keeps our readers out.
  process.umask(0o022);
  makeOwnDirectories(directories, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }, groupId(READERS));
  const io = loadPacketIo();
  const held = new HeldDescriptors(io, inheritance);
  takeLocks(io, held, directories);
  const log = openLog(args.logFile ? logPath(directories) : undefined);
  held.logTo(log);
  tellRestart(log);
  let daemon: Daemon | undefined;
  const exit = makeExit(log, () => daemon);
  const crash = (error: unknown): void => {
    log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'overlayd failed');
    exit(EXIT.failed);
  };
  process.on('uncaughtException', crash).on('unhandledRejection', crash);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => exit(EXIT.ok));
  // Node.js would open its debugger on a port of loopback, and with it what overlayd may do to everybody on this host.
  process.on('SIGUSR1', () => undefined);
  // Nobody would start us again.
  process.on('SIGHUP', () => exit(held.kind === 'none' ? EXIT.ok : EXIT.restart));
  try {
    const kernel = new LinuxKernel({ io, stateId: stateId(directories) });
    const hosts = createPluginHosts({ runtime: systemRuntime(directories.data), clock: systemClock, log });
    const startEngine = startEngineThread(io);
    const mostDescriptors = descriptorLimit();
    daemon = await startDaemon({ directories, version, clock: systemClock, log, io, kernel, startEngine, hosts, store: held, mostDescriptors });
    daemon.failed.then(crash);
    log.info({ version, node: process.version }, 'overlayd serves');
    tellReady(held);
  } catch (error) {
    log.error({ error: messageOf(error), ...(OverlayError.is(error) ? { code: error.code, advice: error.advice } : {}) }, 'overlayd cannot start');
    exit(EXIT.failed);
  }
}

await main().catch((error) => leave(EXIT.failed, `overlayd: ${[messageOf(error), ...adviceOf(error)].join('\n  ')}`));
