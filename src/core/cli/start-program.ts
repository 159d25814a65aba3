// Starts overlayd beside this command, so that it outlives it, and watches until it says it serves.
import { spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { Clock } from '../util/clock.ts';
import { DIRECTORY_VARIABLES, type Environment } from '../util/directories.ts';
import { openScratchFile } from './scratch-file.ts';

export interface Exit {
  /** undefined when it was killed, or could not be started. */
  readonly status: number | undefined;
  readonly text: string;
}

export interface Starting {
  /** What it wrote to its standard error so far. */
  errorOutput(): string;
  /** How it ended, if it has. */
  readonly exit: Exit | undefined;
  /** When it serves, has ended, or `timeoutMs` is over. */
  settled(timeoutMs: number): Promise<void>;
  /** Kills it, and what it started, if it still runs: it has served nobody yet, and would hold the lock against the next one. */
  kill(): void;
  /** Once: this process need not wait for it any more, and its error output cannot be read any more. */
  release(): void;
}

/** overlayd's own descriptor for readiness: it writes a line or closes it when it serves. */
const READY_FD = 3;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * In a new session, in `/`, without our terminal, and with an environment of a few names: nothing of whoever typed the
 * command, which may be root through sudo, is handed to a program that stays.
 */
export function startProgram(program: string, environment: Environment, clock: Clock): Starting {
  const scratch = openScratchFile();
  const child = spawn(program, [], {
    cwd: '/',
    detached: true,
    env: cleanEnvironment(environment),
    stdio: ['ignore', 'ignore', scratch?.fd ?? 'ignore', 'pipe'],
  });
  const pipe = child.stdio[READY_FD] as Duplex;
  let exit: Exit | undefined;
  const settled = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      exit ??= { status: undefined, text: error.message };
      resolve();
    });
    child.once('exit', (status, signal) => {
      exit ??= { status: status ?? undefined, text: signal === null ? `it ended with status ${status}` : `it was killed by ${signal}` };
      resolve();
    });
    // Its end alone is no sign of life: the pipe of one that dies is closed before its exit is known.
    pipe.once('data', resolve).once('end', resolve);
    pipe.once('error', () => undefined);
  });
  return {
    get exit() {
      return exit;
    },
    errorOutput: () => scratch?.text() ?? '',
    settled: (timeoutMs) => withTimeout(settled, timeoutMs, clock),
    kill: () => killGroup(child.pid),
    release: () => {
      pipe.destroy();
      child.unref();
      scratch?.close();
    },
  };
}

/** Its session is its process group, and has the keeper, overlayd and the plugin hosts in it. */
function killGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL');
  } catch {
    // All of them have ended.
  }
}

async function withTimeout(promise: Promise<void>, timeoutMs: number, clock: Clock): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(Math.max(0, timeoutMs), resolve);
  await Promise.race([promise, over]);
  timer.cancel();
}

/** Its node is ours, unless one is named: another one may not be found from a fixed PATH. */
function cleanEnvironment(environment: Environment): Record<string, string> {
  const kept = [...Object.values(DIRECTORY_VARIABLES).map(({ variable }) => variable), 'OVERLAYADM_NODE', 'LANG'];
  const clean: Record<string, string> = { PATH, OVERLAYADM_NODE: process.execPath, OVERLAYD_READY_FD: String(READY_FD) };
  for (const name of kept) {
    const value = environment[name];
    if (value) clean[name] = value;
  }
  return clean;
}
