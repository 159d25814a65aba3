// Removes what test runs that were killed have left: processes, network namespaces with what runs in them, folders.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

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

/** Deletes a network namespace and kills what runs in it: a daemon there would keep it and its links alive. */
export function deleteNamespace(name) {
  const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  for (const pid of pids.split('\n').filter(Boolean)) kill(Number(pid));
  execFileSync('ip', ['netns', 'delete', name]);
}

function environmentOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

/** Processes that were started by a test process that is dead. */
function orphans() {
  const owner = (pid) =>
    environmentOf(pid)
      .find((entry) => entry.startsWith(`${OWNER_VARIABLE}=`))
      ?.slice(OWNER_VARIABLE.length + 1);
  return namesIn('/proc').filter((name) => /^\d+$/.test(name) && owner(name) !== undefined && !isAlive(Number(owner(name))));
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** An overlayd that a command started has a cleaned environment; its pid is in the run directory, inside the folder. */
function killDaemonsOf(folder) {
  for (const name of readdirSync(folder, { recursive: true }).filter((path) => basename(path) === 'overlayd.pid')) {
    const pid = Number.parseInt(readFileSync(join(folder, name), 'utf8'), 10);
    if (pid > 1 && /overlayd|daemon\/main/.test(commandLine(pid))) kill(pid);
  }
}

const ofTheDead = (names, pattern) => names.filter((name) => pattern.test(name) && !isAlive(Number(pattern.exec(name)[1])));

/** Removes what belongs to test processes that are dead; returns the names of what it removed. */
export function sweep() {
  const namespaces = ofTheDead(namesIn('/run/netns'), NAMESPACE);
  const folders = ofTheDead(namesIn(tmpdir()), FOLDER);
  const processes = orphans();
  for (const pid of processes) kill(Number(pid));
  for (const name of namespaces) deleteNamespace(name);
  for (const name of folders) {
    killDaemonsOf(join(tmpdir(), name));
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  return [...processes.map((pid) => `process ${pid}`), ...namespaces, ...folders];
}
