// The program overlayd: arguments, directories, lock, log, signals, and the one way out.
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, OverlayError } from '@overlayadm/api';
import { loadPacketIo, type PacketIo } from '@overlayadm/packetio';
import { LinuxKernel } from '../linux/kernel.ts';
import { createPluginHosts, systemRuntime } from '../lookup/hosts.ts';
import { systemClock } from '../util/clock.ts';
import { type Directories, directoriesOf, logPath, pidPath } from '../util/directories.ts';
import { STOP_TIMEOUT_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { startEngineThread } from './engine-thread.ts';
import { openLog } from './log.ts';
import { groupId, READERS } from './roles.ts';

/** Exit statuses. LOCKED tells a command that the overlayd it wants is there already. */
const EXIT = { ok: 0, failed: 1, usage: 2, locked: 3 } as const;

const USAGE = `usage: overlayd [--log-file]

Runs in the foreground and logs to stderr; commands of overlayadm start it by themselves.
  --log-file   log to overlayd.log in the run directory instead
  --version    print the version
  --help       print this`;

const version: string = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;

function readArguments(): { readonly logFile: boolean } {
  try {
    const { values } = parseArgs({ options: { 'log-file': { type: 'boolean' }, help: { type: 'boolean' }, version: { type: 'boolean' } } });
    if (values.help) leave(EXIT.ok, USAGE);
    if (values.version) leave(EXIT.ok, version);
    // A command that starts overlayd waits on a descriptor, and nobody reads stderr then.
    return { logFile: values['log-file'] === true || process.env.OVERLAYD_READY_FD !== undefined };
  } catch (error) {
    return leave(EXIT.usage, `overlayd: ${messageOf(error)}\n${USAGE}`);
  }
}

function leave(status: number, text: string): never {
  writeSync(status === EXIT.ok ? 1 : 2, `${text}\n`);
  process.exit(status);
}

/** The directories of a program that may run as root: made with their final rights, never opened further. */
function makeDirectories({ run, state }: Directories): void {
  const gid = groupId(READERS);
  makeDirectory(run, 0o750);
  makeDirectory(state, 0o755);
  if (gid !== undefined && process.geteuid?.() === 0) chownSync(run, 0, gid);
}

/** Not mkdir's own `recursive`: that never comes back where a parent exists but takes no entries (below /proc; Node 24). */
function makeDirectory(path: string, mode: number): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (!existsSync(dirname(path))) makeDirectory(dirname(path), 0o755);
  try {
    mkdirSync(path, { mode });
  } catch (cause) {
    // Another overlayd that starts at this moment may have been faster.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
    const advice = 'Choose another one with OVERLAYADM_RUN_DIR or OVERLAYADM_STATE_DIR.';
    throw new OverlayError('DIRECTORY_UNUSABLE', `${path}: cannot be made (${messageOf(cause)})`, { details: { path }, advice, cause });
  }
}

/** Held until the process ends. Exits when another overlayd has it. */
function takeLock(io: PacketIo, directories: Directories): void {
  const path = pidPath(directories);
  const lock = io.lockFile(path);
  if (lock === undefined) {
    const pid = readFileSync(path, 'utf8').trim();
    leave(EXIT.locked, `overlayd: another one runs with ${directories.run}${pid === '' ? '' : ` (pid ${pid})`}`);
  }
  writeFileSync(path, `${process.pid}\n`);
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

function tellReady(io: PacketIo): void {
  const fd = Number(process.env.OVERLAYD_READY_FD ?? Number.NaN);
  if (Number.isInteger(fd) && fd > 2) {
    try {
      writeSync(fd, 'ready\n');
    } catch {
      // Whoever started us no longer waits.
    }
    closeSync(fd);
  }
  const socket = process.env.NOTIFY_SOCKET;
  if (socket) io.notify(socket, `READY=1\nMAINPID=${process.pid}`);
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
        () => log.info({ status }, 'stopped'),
        (error) => log.error({ error: messageOf(error) }, 'stopping failed'),
      )
      .finally(end);
  };
}

async function main(): Promise<void> {
  // What "ps" and error messages about sockets in use call us; Node's own name for the process says nothing.
  process.title = 'overlayd';
  const { logFile } = readArguments();
  const directories = directoriesOf(process.env);
  makeDirectories(directories);
  const io = loadPacketIo();
  takeLock(io, directories);
  const log = openLog(logFile ? logPath(directories) : undefined);
  let daemon: Daemon | undefined;
  const exit = makeExit(log, () => daemon);
  const crash = (error: unknown): void => {
    log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'overlayd failed');
    exit(EXIT.failed);
  };
  process.on('uncaughtException', crash).on('unhandledRejection', crash);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => exit(EXIT.ok));
  try {
    const kernel = new LinuxKernel({ io, stateId: stateId(directories) });
    const hosts = createPluginHosts({ runtime: systemRuntime(directories.data), clock: systemClock, log });
    const startEngine = startEngineThread(io);
    daemon = await startDaemon({ directories, version, clock: systemClock, log, io, kernel, startEngine, hosts });
    daemon.failed.then(crash);
    log.info({ version, node: process.version }, 'overlayd serves');
    tellReady(io);
  } catch (error) {
    log.error({ error: messageOf(error), ...(OverlayError.is(error) ? { code: error.code, advice: error.advice } : {}) }, 'overlayd cannot start');
    exit(EXIT.failed);
  }
}

await main().catch((error) => leave(EXIT.failed, `overlayd: ${messageOf(error)}`));
