// The test's end of linux-child.ts: namespaces of our own that are always removed, and calls into them.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { addonPath } from '@overlayadm/packetio';
import type { Answer, Call } from './linux-child.ts';

export const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Why namespaces cannot be used here; undefined when they can. */
export function whyNoNamespaces(): string | undefined {
  if (process.geteuid?.() !== 0) return 'needs root';
  if (!existsSync(addonPath())) return 'needs the packet addon: npm run build';
  try {
    run('ip', '-V');
    run('nft', '--version');
  } catch {
    return 'needs ip and nft';
  }
  return undefined;
}

/** What a refusal looks like to a test: code, text and advice of the OverlayError. */
export class Refusal extends Error {
  readonly code: string;
  readonly advice: string | null;

  constructor({ code, message, advice }: { code: string; message: string; advice: string | null }) {
    super(message);
    this.code = code;
    this.advice = advice;
  }
}

/** A process in a namespace. */
export class Host {
  readonly netns: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #next = 0;

  constructor(netns: string, { stateId = 'test', prefix = [] as readonly string[], tcx = true } = {}) {
    this.netns = netns;
    const program = fileURLToPath(new URL('./linux-child.ts', import.meta.url));
    const args = ['netns', 'exec', netns, ...prefix, process.execPath, '--no-warnings', program, stateId, ...(tcx ? [] : ['no-tcx'])];
    this.#child = spawn('ip', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (answer: Answer) => this.#settle(answer));
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the process in the namespace ended'));
    });
  }

  call<T = unknown>(method: string, ...args: readonly unknown[]): Promise<T> {
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    this.#child.send({ id, method, args } satisfies Call);
    return promise as Promise<T>;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(new Refusal(answer.error));
    else waiting?.resolve(answer.result);
  }
}

/** Namespaces and processes of one test file; the pid in their names says whose they are. */
export class Lab {
  readonly #names: string[] = [];
  readonly #hosts: Host[] = [];

  addNamespace(label: string): string {
    const name = `lx${process.pid}${label}`;
    run('ip', 'netns', 'add', name);
    this.#names.push(name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    return name;
  }

  addHost(...args: ConstructorParameters<typeof Host>): Host {
    const host = new Host(...args);
    this.#hosts.push(host);
    return host;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#hosts.splice(0).map((host) => host.kill()));
    for (const name of this.#names.splice(0)) run('ip', 'netns', 'delete', name);
  }
}
