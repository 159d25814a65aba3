// The stage of the demo: namespaces named with our pid, a folder, commands that are shown and run, and the end of it all.
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../lib.mjs';
import { deleteNamespace, isAlive, sweep } from '../sweep.mjs';

/** How long overlayd may take to stop, ms, before it is killed. */
const STOP_MS = 5_000;
/** How long a new veth may take until it carries packets, ms. */
const LINK_MS = 5_000;
const POLL_MS = 20;

// Bits of include/uapi/linux/capability.h.
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

function hasCapabilities() {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  return [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((bit) => ((effective >> bit) & 1n) === 1n);
}

function canUse(path, mode) {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

export const isInPath = (command) => (process.env.PATH ?? '').split(':').some((folder) => canUse(join(folder, command), constants.X_OK));

/** What the demo needs and this machine or user does not have. */
export function missing() {
  const programs = { ip: 'ip (iproute2)', setpriv: 'setpriv (util-linux)', ping: 'ping (iputils)' };
  return [
    ...(hasCapabilities() ? [] : ['root (CAP_NET_ADMIN and CAP_SYS_ADMIN)']),
    ...(canUse('/dev/net/tun', constants.R_OK | constants.W_OK) ? [] : ['/dev/net/tun']),
    ...Object.keys(programs).flatMap((program) => (isInPath(program) ? [] : [programs[program]])),
  ];
}

/** Ended by a signal, or because nobody reads what we print. */
export class Interrupted extends Error {}

export class Stage {
  /** Below it, a folder for each host. */
  folder;
  #namespaces = [];
  #children = new Set();
  #interrupted;

  constructor() {
    // What a demo that was killed has left has the names that this looks for.
    sweep();
    this.folder = mkdtempSync(join(tmpdir(), `overlayadm-test-${process.pid}-`));
  }

  say(text) {
    if (this.#interrupted === undefined) process.stdout.write(`${text}\n`);
  }

  /** Every command from now on fails, and what runs on the hosts is ended. */
  interrupt(reason) {
    this.#interrupted ??= reason;
    for (const child of this.#children) child.kill('SIGTERM');
  }

  /** A namespace for the length of the demo. */
  async namespace(suffix) {
    const name = `oa${process.pid}x${suffix}`;
    // Before it is there: a signal in between must find it here.
    this.#namespaces.push(name);
    await this.run('#', ['ip', 'netns', 'add', name]);
    return name;
  }

  /** A namespace that is a host: overlayadm in it has directories of its own. */
  async host(prompt) {
    return new Host(this, prompt, await this.namespace(prompt));
  }

  /**
   * Shows a command, runs it and shows what it prints. `inside` is what it is run through, which is not shown.
   * @throws Error when it fails, Interrupted after interrupt()
   */
  async run(prompt, command, inside = [], env = {}) {
    this.say(`${prompt} ${command.join(' ')}`);
    const status = await this.start([...inside, ...command], env, (text) => process.stdout.write(text), inside.length > 0);
    if (this.#interrupted !== undefined) throw new Interrupted(this.#interrupted);
    if (status !== 0) throw new Error(`"${command.join(' ')}" failed (${status})`);
  }

  /** Runs a command; `output` is given what it prints. Its exit status, or the name of a signal. */
  async start([program, ...args], env, output, mayBeEnded) {
    if (this.#interrupted !== undefined) throw new Interrupted(this.#interrupted);
    // A session of its own: Ctrl-C is for us, and half an "ip netns add" would leave something that nobody can delete.
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => this.#interrupted === undefined && output(text));
    }
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject).once('close', (status, signal) => resolve(status ?? signal));
    });
    if (mayBeEnded) this.#children.add(child);
    return await ended.finally(() => this.#children.delete(child));
  }

  /** Until `condition` holds. @throws Error with `what` when it does not in time */
  async until(condition, ms, what) {
    for (const end = performance.now() + ms; !(await condition()); await sleep(POLL_MS)) {
      if (this.#interrupted !== undefined) throw new Interrupted(this.#interrupted);
      if (performance.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    }
  }

  /** Joins two hosts by a veth pair called under0 in both. */
  async connect(a, b) {
    await this.run('#', ['ip', 'link', 'add', 'under0', 'netns', a.name, 'type', 'veth', 'peer', 'name', 'under0', 'netns', b.name]);
    for (const host of [a, b]) {
      await host.run('ip', 'link', 'set', 'lo', 'up');
      await host.run('ip', 'address', 'add', `${host.address}/24`, 'dev', 'under0');
      await host.run('ip', 'link', 'set', 'under0', 'up');
    }
    // The kernel routes over a new link only after its link watch has run.
    for (const host of [a, b]) await this.until(() => host.isUp('under0'), LINK_MS, 'the underlay');
  }

  /** Takes everything down, whatever there is of it by now: processes, namespaces with their links, the folder. */
  async clear() {
    const names = this.#namespaces.filter((name) => existsSync(`/run/netns/${name}`));
    const pids = () => names.flatMap((name) => processesIn(name));
    for (const pid of pids()) signal(pid, 'SIGTERM');
    await eventually(() => pids().length === 0);
    const stubborn = pids();
    for (const name of names) deleteNamespace(name);
    await eventually(() => !stubborn.some(isAlive));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function eventually(condition) {
  for (const end = performance.now() + STOP_MS; !condition() && performance.now() < end; ) await sleep(POLL_MS);
}

function processesIn(namespace) {
  const pids = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
  return pids.split('\n').filter(Boolean).map(Number).filter(isAlive);
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

class Host {
  /** Of its namespace. */
  name;
  /** On the underlay. */
  address;
  folder;
  #stage;
  #prompt;
  #env;

  constructor(stage, prompt, name) {
    this.name = name;
    this.#stage = stage;
    this.#prompt = `${prompt}#`;
    this.address = prompt === 'a' ? '192.0.2.1' : '192.0.2.2';
    this.folder = join(stage.folder, prompt);
    mkdirSync(this.folder);
    const directories = ['run', 'state', 'data', 'config'].map((kind) => [`OVERLAYADM_${kind.toUpperCase()}_DIR`, join(this.folder, kind)]);
    // The commands are shown as they are typed where overlayadm is installed.
    this.#env = { ...Object.fromEntries(directories), PATH: `${join(root, 'bin')}:${process.env.PATH}` };
  }

  /** Shows and runs a command on this host. @throws as Stage.run() */
  run(...command) {
    return this.#stage.run(this.#prompt, command, ['ip', 'netns', 'exec', this.name], this.#env);
  }

  /** The same, and does not wait for its end; when this settles, `ready` stands in what it has printed. */
  async background(command, ready) {
    this.#stage.say(`${this.#prompt} ${command.join(' ')} &`);
    let printed = '';
    let failed;
    this.#stage
      .start(['ip', 'netns', 'exec', this.name, ...command], this.#env, (text) => (printed += text), true)
      .catch((error) => (failed = error));
    await this.#stage.until(() => failed !== undefined || printed.includes(ready), STOP_MS, `"${command.join(' ')}"`);
    if (failed !== undefined) throw failed;
  }

  /** Writes a file of this host and shows it. */
  async write(name, text) {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    await this.run('cat', path);
    return path;
  }

  isUp(link) {
    const shown = execFileSync('ip', ['-n', this.name, '-o', 'link', 'show', 'dev', link], { encoding: 'utf8' });
    return shown.includes('state UP');
  }
}
