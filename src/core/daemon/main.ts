// The program overlayd: arguments, directories, lock, log, signals, and the one way out.
import { randomBytes } from 'node:crypto';
import { closeSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
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
import { closeInherited } from './inherited.ts';
import { openLog } from './log.ts';
import { makeOwnDirectories } from './own-directories.ts';
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

function lockFile(io: PacketIo, path: string): number | undefined {
  try {
    return io.lockFile(path);
  } catch (cause) {
    throw new OverlayError('LOCK_FAILED', `${path}: cannot be locked (${messageOf(cause)})`, { details: { path }, cause });
  }
}

/** Held until the process ends. Exits when another overlayd has it. */
function takeLock(io: PacketIo, directories: Directories): void {
  const path = pidPath(directories);
  const lock = lockFile(io, path);
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

/** Where a command waits that started us. */
function readyDescriptor(): number | undefined {
  const fd = Number(process.env.OVERLAYD_READY_FD ?? Number.NaN);
  return Number.isInteger(fd) && fd > 2 ? fd : undefined;
}

function tellReady(io: PacketIo, log: Log): void {
  const fd = readyDescriptor();
  if (fd !== undefined) {
    try {
      writeSync(fd, 'ready\n');
    } catch {
      // Whoever started us no longer waits.
    }
    closeSync(fd);
  }
  const socket = process.env.NOTIFY_SOCKET;
  if (!socket) return;
  try {
    io.notify(socket, `READY=1\nMAINPID=${process.pid}`);
  } catch (error) {
    // As sd_notify(3) advises: the variable may be left over from whoever started our caller.
    log.warn({ error: messageOf(error) }, 'the service manager cannot be told');
  }
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

const adviceOf = (error: unknown): readonly string[] => (OverlayError.is(error) && error.advice !== undefined ? [error.advice] : []);

async function main(): Promise<void> {
  // What "ps" and error messages about sockets in use call us; Node's own name for the process says nothing.
  process.title = 'overlayd';
  const { logFile } = readArguments();
  const directories = directoriesOf(process.env);
  closeInherited(readyDescriptor() ?? -1);
  // Whoever started us may have none, and our files would be open to everybody; or one that keeps our readers out.
  process.umask(0o022);
  makeOwnDirectories(directories, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }, groupId(READERS));
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
    tellReady(io, log);
  } catch (error) {
    log.error({ error: messageOf(error), ...(OverlayError.is(error) ? { code: error.code, advice: error.advice } : {}) }, 'overlayd cannot start');
    exit(EXIT.failed);
  }
}

await main().catch((error) => leave(EXIT.failed, `overlayd: ${[messageOf(error), ...adviceOf(error)].join('\n  ')}`));
