// Programs under test: they end with the test, whatever happens to it, and what they print is kept.
import { type ChildProcess, spawn } from 'node:child_process';
import { OWNER_VARIABLE } from '../../tools/sweep.mjs';
import { atEnd } from './cleanup.ts';
import { waitFor } from './wait.ts';

export interface Result {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  /** SIGKILL to it and its children after this many ms. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;

export class Running {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Result>;
  #stdout = '';
  #stderr = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve({ status, signal, stdout: this.#stdout, stderr: this.#stderr }));
    });
    // Whoever cares awaits end(); nobody else is to be ended by an unhandled rejection.
    this.#ended.catch(() => undefined);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('it was not started');
    return this.#child.pid;
  }
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr;
  }

  /** @throws the error of spawn when it could not be started. */
  end(): Promise<Result> {
    return this.#ended;
  }

  /** Signals the program itself. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#child.kill(signal);
  }

  /** Kills it with everything that it has started in its process group; a child left over would hold its output open. */
  killGroup(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // ESRCH: all of them have ended.
    }
  }

  /** Waits until `text` stands in what it has printed, to either stream. */
  async printed(text: string | RegExp, ms = 10_000): Promise<void> {
    const found = (): boolean => [this.#stdout, this.#stderr].some((all) => (typeof text === 'string' ? all.includes(text) : text.test(all)));
    try {
      await waitFor(found, ms, `"${text}"`);
    } catch (error) {
      throw new Error(`never printed "${text}"; stdout: ${this.#stdout}; stderr: ${this.#stderr}`, { cause: error });
    }
  }
}

/** Starts a program that is killed when our process dies, and at the latest at the end of the test file. */
export function start(command: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn('setpriv', ['--pdeathsig=KILL', '--', command, ...args], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, [OWNER_VARIABLE]: String(process.pid), ...options.env },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // EPIPE when it ends without reading its input: the status tells the story.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input ?? '');
  const running = new Running(child);
  atEnd(async () => {
    running.killGroup();
    await running.end();
  });
  return running;
}

/** Runs a program to its end. Does not throw when it fails: look at `status`. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const running = start(command, args, options);
  const timer = setTimeout(() => running.killGroup(), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  try {
    return await running.end();
  } finally {
    clearTimeout(timer);
  }
}

/** As run(), and @throws Error with everything it printed when it does not end with status 0. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const result = await run(command, args, options);
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: ${result.status ?? result.signal}; stdout: ${result.stdout}; stderr: ${result.stderr}`);
  }
  return result;
}
