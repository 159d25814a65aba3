// Removes what test runs that were killed have left: processes, network namespaces with what runs in them, folders.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `oa<pid>x<number><host>`: network namespaces and links of the test process with this pid. */
const NAMESPACE = /^oa(\d+)x/;
/** `overlayadm-test-<pid>-<random>`: folders of it. */
const FOLDER = /^overlayadm-test-(\d+)-/;

/** What test helpers put into the environment of every program they start, with their own pid. */
export const OWNER_VARIABLE = 'OVERLAYADM_TEST_OWNER';

/** Is there such a process? A zombie is none: pid 1 of a container need not reap what it is given. */
export function isAlive(pid) {
  try {
    // The name of the program stands in parentheses and may have any character in it; the state comes after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}

function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

const PAUSE_MS = 10;
/** How often it is tried to kill processes before what they keep is removed all the same. */
const ATTEMPTS = 200;

/** Kills what `list` gives until there is nothing left: the keeper may have started another overlayd meanwhile. */
function killAll(list) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const pids = list();
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
}

/** Deletes a network namespace and kills what runs in it: a daemon there would keep it and its links alive. */
export function deleteNamespace(name) {
  killAll(() => execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n').filter(Boolean).map(Number).filter(isAlive));
  execFileSync('ip', ['netns', 'delete', name]);
}

function environmentOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

const valueIn = (environment, name) => environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);

const allPids = () =>
  namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** Processes that were started by a test process that is dead. */
function orphans() {
  return allPids().filter((pid) => {
    const owner = valueIn(environmentOf(pid), OWNER_VARIABLE);
    return owner !== undefined && !isAlive(Number(owner));
  });
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** A keeper waits between two of them, so an overlayd is not always there. */
export const isKeeper = (pid) => commandLine(pid).startsWith('overlayd-keeper');

/**
 * The overlayd that has its run directory in this folder, or that is it, and its keeper, which comes first. One that a command
 * started has a cleaned environment, in which only its directories say whose it is.
 */
export function daemonsOf(folder) {
  const isIn = (path) => path !== undefined && (path === folder || path.startsWith(`${folder}/`));
  const found = allPids().filter(
    (pid) => isAlive(pid) && /overlayd/.test(commandLine(pid)) && isIn(valueIn(environmentOf(pid), 'OVERLAYADM_RUN_DIR')),
  );
  return found.toSorted((a, b) => Number(isKeeper(b)) - Number(isKeeper(a)) || a - b);
}

const ofTheDead = (names, pattern) => names.filter((name) => pattern.test(name) && !isAlive(Number(pattern.exec(name)[1])));

/** Removes what belongs to test processes that are dead; returns the names of what it removed. */
export function sweep() {
  const namespaces = ofTheDead(namesIn('/run/netns'), NAMESPACE);
  const folders = ofTheDead(namesIn(tmpdir()), FOLDER);
  const processes = orphans();
  for (const pid of processes) kill(pid);
  for (const name of namespaces) deleteNamespace(name);
  for (const name of folders) {
    killAll(() => daemonsOf(join(tmpdir(), name)));
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  return [...processes.map((pid) => `process ${pid}`), ...namespaces, ...folders];
}
