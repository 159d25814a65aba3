// Two isolated hosts: network namespaces joined by a veth underlay, each with directories of its own for overlayadm.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { daemonsOf, deleteNamespace, isAlive, isKeeper } from '../../tools/sweep.mjs';
import { atEnd } from './cleanup.ts';
import { must, type Result, type Running, type RunOptions, run, start } from './process.ts';
import { temporaryFolder } from './temporary.ts';
import { waitFor } from './wait.ts';

export { waitFor } from './wait.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
/** How long overlayd may take to stop, ms, before it is killed. */
const STOP_MS = 5_000;
/** How long overlayd may take until it answers, ms; two cores may be shared with other tests. */
const START_MS = 20_000;
/** How long a new link may take until it carries IPv6, ms; one to two seconds are usual. */
const SETTLE_MS = 10_000;

let made = 0;

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/** A new named network namespace with `lo` up; it is deleted, with what runs in it, at the end of the test file. */
export async function namespace(suffix: string): Promise<Namespace> {
  const found = new Namespace(`oa${process.pid}x${made++}${suffix}`);
  await must('ip', ['netns', 'add', found.name]);
  atEnd(() => deleteNamespace(found.name));
  await found.must('ip', ['link', 'set', 'lo', 'up']);
  return found;
}

export class Namespace {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  run(command: string, args: readonly string[], options?: RunOptions): Promise<Result> {
    return run('ip', this.#inside(command, args), options);
  }
  /** @throws Error with what it printed when it does not end with status 0. */
  must(command: string, args: readonly string[], options?: RunOptions): Promise<Result> {
    return must('ip', this.#inside(command, args), options);
  }
  start(command: string, args: readonly string[], options?: RunOptions): Running {
    return start('ip', this.#inside(command, args), options);
  }

  #inside(command: string, args: readonly string[]): string[] {
    return ['netns', 'exec', this.name, command, ...args];
  }
}

/** Drivers of the data path, each of which carries what tests of overlays send. */
export const DATAPATHS = ['kernel', 'tap'] as const;
export type Datapath = (typeof DATAPATHS)[number];

export interface HostDirectories {
  readonly run: string;
  readonly state: string;
  readonly data: string;
  readonly config: string;
}

export class Host extends Namespace {
  readonly dirs: HostDirectories;
  /** What makes a program of ours belong to this host. */
  readonly env: Readonly<Record<string, string>>;
  /** Addresses on the underlay. */
  readonly v4: string;
  readonly v6: string;
  /** What createOverlay() asks for; `auto` when a test does not depend on it. */
  readonly datapath: Datapath | undefined;
  readonly #vnicNamespaces = new Map<string, Namespace>();

  constructor(name: string, number: number, datapath?: Datapath) {
    super(name);
    this.datapath = datapath;
    const base = temporaryFolder();
    this.dirs = { run: join(base, 'run'), state: join(base, 'state'), data: join(base, 'data'), config: join(base, 'config') };
    for (const folder of Object.values(this.dirs)) mkdirSync(folder);
    this.env = {
      OVERLAYADM_RUN_DIR: this.dirs.run,
      OVERLAYADM_STATE_DIR: this.dirs.state,
      OVERLAYADM_DATA_DIR: this.dirs.data,
      OVERLAYADM_CONFIG_DIR: this.dirs.config,
    };
    this.v4 = `192.0.2.${number}`;
    this.v6 = `2001:db8:77::${number}`;
  }

  /** Runs a command of overlayadm, which starts overlayd when it is needed. */
  overlayadm(...args: string[]): Promise<Result> {
    return this.run(join(checkout, 'bin/overlayadm'), args, { env: this.env });
  }
  /** @throws Error with what it printed when it fails. */
  mustOverlayadm(...args: string[]): Promise<Result> {
    return this.must(join(checkout, 'bin/overlayadm'), args, { env: this.env });
  }

  /** Starts overlayd in the foreground and waits until its socket is there. */
  async startDaemon(env: Readonly<Record<string, string>> = {}): Promise<Running> {
    const daemon = this.start(join(checkout, 'bin/overlayd'), [], { env: { ...this.env, ...env } });
    const ended = daemon.end().then((result) => {
      throw new Error(`overlayd ended with ${result.status ?? result.signal}: ${result.stderr}${result.stdout}`);
    });
    await Promise.race([waitFor(() => existsSync(join(this.dirs.run, 'overlayd.sock')), START_MS, 'the socket of overlayd'), ended]);
    ended.catch(() => undefined);
    return daemon;
  }

  /** Pid of the overlayd of this host, when one runs. */
  daemonPid(): number | undefined {
    const file = join(this.dirs.run, 'overlayd.pid');
    const pid = existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : Number.NaN;
    return Number.isInteger(pid) && isAlive(pid) ? pid : undefined;
  }

  /** Pid of the process that starts overlayd again, when there is one. */
  keeperPid(): number | undefined {
    return daemonsOf(this.dirs.run).find(isKeeper);
  }

  /**
   * Ends overlayd and its keeper, however they were started: SIGTERM, and SIGKILL when that does not help. Links and records
   * stay, for the next one.
   */
  async stopDaemon(): Promise<void> {
    const pids = daemonsOf(this.dirs.run);
    if (pids.length === 0) return;
    // The keeper may be between two of them.
    signal(this.daemonPid() ?? pids[0], 'SIGTERM');
    await waitFor(() => daemonsOf(this.dirs.run).length === 0, STOP_MS, `overlayd (pid ${pids.join(', ')}) to stop`).catch(() => this.killDaemon());
  }

  /** SIGKILL to overlayd and its keeper: nobody holds the devices any more. */
  async killDaemon(): Promise<void> {
    const gone = (): boolean => {
      const pids = daemonsOf(this.dirs.run);
      for (const pid of pids) signal(pid, 'SIGKILL');
      return pids.length === 0;
    };
    await waitFor(gone, STOP_MS, 'overlayd and its keeper to be gone');
  }

  /** The namespace for VNICs of this host that is called `name` in a test; made when it is first asked for. */
  async vnicNamespace(name: string): Promise<Namespace> {
    const known = this.#vnicNamespaces.get(name);
    if (known !== undefined) return known;
    const fresh = await namespace(`v${name}`);
    this.#vnicNamespaces.set(name, fresh);
    return fresh;
  }
}

export interface UnderlayOptions {
  /** IPv6 addresses too; on by default. */
  readonly v6?: boolean;
  /** Bytes. */
  readonly underlayMtu?: number;
  /** Of the overlays on both. */
  readonly datapath?: Datapath;
}

async function host(suffix: string, number: number, datapath: Datapath | undefined): Promise<Host> {
  const { name } = await namespace(suffix);
  const found = new Host(name, number, datapath);
  atEnd(() => found.stopDaemon());
  return found;
}

async function plug(found: Host, { v6 = true, underlayMtu }: UnderlayOptions): Promise<void> {
  await found.must('ip', ['addr', 'add', `${found.v4}/24`, 'dev', 'under0']);
  // Without nodad the address could not be bound for a second or two.
  if (v6) await found.must('ip', ['addr', 'add', `${found.v6}/64`, 'dev', 'under0', 'nodad']);
  const mtu = underlayMtu === undefined ? [] : ['mtu', String(underlayMtu)];
  await found.must('ip', ['link', 'set', 'under0', ...mtu, 'up']);
}

/** The kernel routes over a new link only after its link watch has run, and IPv6 only after the link-local address is settled. */
async function settled(found: Host): Promise<boolean> {
  const link = await found.must('ip', ['-o', 'link', 'show', 'dev', 'under0']);
  const tentative = await found.must('ip', ['-o', '-6', 'addr', 'show', 'dev', 'under0', 'tentative']);
  return link.stdout.includes('state UP') && tentative.stdout === '';
}

/** Two hosts, 192.0.2.1 and .2, 2001:db8:77::1 and ::2, on a link called under0 in both. Needs root. */
export async function twoHosts(options: UnderlayOptions = {}): Promise<readonly [Host, Host]> {
  const a = await host('a', 1, options.datapath);
  const b = await host('b', 2, options.datapath);
  await must('ip', ['link', 'add', 'under0', 'netns', a.name, 'type', 'veth', 'peer', 'name', 'under0', 'netns', b.name]);
  await plug(a, options);
  await plug(b, options);
  for (const found of [a, b]) await waitFor(() => settled(found), SETTLE_MS, `the underlay of ${found.name}`);
  return [a, b];
}
