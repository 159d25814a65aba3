// Connects to overlayd, and starts it when nobody answers and the caller may.

import { type Client, type ConnectOptions, connect } from '../rpc/client.ts';
import { OverlayError } from '../rpc/errors.ts';
import { type Clock, sleep } from '../util/clock.ts';
import { type Directories, type Environment, socketPath } from '../util/directories.ts';
import { AUTOSTART_POLL_MS, AUTOSTART_RETRY_MS, AUTOSTART_TIMEOUT_MS } from '../util/limits.ts';
import { commandClock } from './clock.ts';
import { mayCreateIn, START_COMMAND, systemdUnit, viaSystemd } from './host.ts';
import { lastLines, logPosition, logTail } from './log-tail.ts';
import { type Starting, startProgram } from './start-program.ts';

export interface AutostartOptions extends ConnectOptions {
  readonly directories: Directories;
  readonly environment: Environment;
  /** `bin/overlayd` of this installation. */
  readonly program: string;
  readonly timeoutMs?: number;
  /** May this process make files in the run directory? Asked of the kernel when not given. */
  readonly mayCreateIn?: (directory: string) => boolean;
}

/** Exit status of overlayd when another one holds the lock of the run directory: that one will answer. */
export const EXIT_LOCKED = 3;

/**
 * Two commands at once may both start an overlayd; the lock of the run directory lets one live, and both connect to it.
 * @throws OverlayError DAEMON_NOT_RUNNING when the caller may not start it, DAEMON_START_FAILED with the end of its log,
 * NOT_PERMITTED when the caller may not connect, and what connect() throws.
 */
export async function connectOrStart(options: AutostartOptions): Promise<Client> {
  const { directories, clock = commandClock } = options;
  const deadline = clock.now() + (options.timeoutMs ?? AUTOSTART_TIMEOUT_MS);
  const client = await attempt(options);
  if (client) return client;
  const unit = systemdUnit(directories);
  if (!(options.mayCreateIn ?? mayCreateIn)(directories.run)) throw notRunning(unit !== undefined);
  if (unit !== undefined) await viaSystemd(deadline - clock.now());
  const position = logPosition(directories);
  for (;;) {
    const starting = unit === undefined ? startProgram(options.program, options.environment, clock) : undefined;
    try {
      const started = await untilAnswered(options, starting, clock, deadline);
      if (started) return started;
      if (clock.now() >= deadline || starting?.exit?.status !== EXIT_LOCKED) {
        starting?.kill();
        throw startFailed(directories, starting, position);
      }
    } finally {
      starting?.release();
    }
  }
}

/** undefined when nobody listens. */
async function attempt(options: AutostartOptions): Promise<Client | undefined> {
  try {
    return await connect(socketPath(options.directories), options);
  } catch (error) {
    const errno = OverlayError.is(error) && error.code === 'RPC_UNREACHABLE' ? error.details.errno : undefined;
    if (errno === 'ENOENT' || errno === 'ECONNREFUSED') return undefined;
    if (errno === 'EACCES') throw notPermitted(options.directories);
    throw error;
  }
}

/**
 * Until it answers, or has ended, or the time is over. One that found the lock taken is waited past for AUTOSTART_RETRY_MS:
 * the holder may be starting, but may also fail, and then it is our turn.
 */
async function untilAnswered(options: AutostartOptions, starting: Starting | undefined, clock: Clock, deadline: number): Promise<Client | undefined> {
  await starting?.settled(deadline - clock.now());
  const from = clock.now();
  for (;;) {
    const client = await attempt(options);
    if (client) return client;
    const exit = starting?.exit;
    const until = exit === undefined ? deadline : exit.status === EXIT_LOCKED ? Math.min(deadline, from + AUTOSTART_RETRY_MS) : from;
    if (clock.now() >= until) return undefined;
    await sleep(clock, AUTOSTART_POLL_MS);
  }
}

function notRunning(installed: boolean): OverlayError {
  const command = installed ? START_COMMAND.systemd : START_COMMAND.program;
  return new OverlayError('DAEMON_NOT_RUNNING', `overlayd is not running; start it with: ${command}`, { details: { command } });
}

function notPermitted({ run }: Directories): OverlayError {
  return new OverlayError('NOT_PERMITTED', 'permission denied', {
    details: { directory: run },
    advice: 'This needs root, or membership of the group overlayadm (log in again after joining it).',
  });
}

function startFailed(directories: Directories, starting: Starting | undefined, position: number): OverlayError {
  const why = starting?.exit?.text ?? 'it does not answer';
  const { path, lines } = logTail(directories, position);
  const said = lastLines(starting?.errorOutput() ?? '');
  const advice =
    lines.length > 0 ? [`Its log ${path} ends with:`, ...lines] : said.length > 0 ? ['It said:', ...said] : [`Its log ${path} says nothing.`];
  return new OverlayError('DAEMON_START_FAILED', `overlayd did not start (${why})`, {
    details: { log: path, lines: lines.length > 0 ? lines : said, why },
    advice: advice.join('\n'),
  });
}
