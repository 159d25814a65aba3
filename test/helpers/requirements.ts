// Tests that need what not every machine has: they are skipped there, and `npm test` says which and why at its end.
import { spawnSync } from 'node:child_process';
import { accessSync, appendFileSync, constants, existsSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';

export interface Requirements {
  /** Network namespaces can be made, which takes root. */
  readonly root?: boolean;
  /** /dev/net/tun is there and can be opened. */
  readonly tun?: boolean;
  /** Kernel vxlan links without local bypass, which the kernel driver takes (Linux 6.5). */
  readonly vxlan?: boolean;
  /** Programs, looked up in PATH. */
  readonly commands?: readonly string[];
}

function canUse(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

const isInPath = (command: string): boolean =>
  (process.env.PATH ?? '').split(':').some((folder) => canUse(join(folder, command), constants.X_OK) && existsSync(join(folder, command)));

/** The kernel that runs is this version or newer. */
export function isLinux(major: number, minor: number): boolean {
  const [here = 0, behind = 0] = release().split('.').map(Number);
  return here > major || (here === major && behind >= minor);
}

/** A link says whether it has the kind; nothing of it is left, because its namespace ends with the command. */
function hasVxlan(): boolean {
  if (!isLinux(6, 5)) return false;
  return spawnSync('unshare', ['--net', 'ip', 'link', 'add', 'probe', 'type', 'vxlan', 'id', '1', 'dstport', '4789']).status === 0;
}

/** What is missing, as the end of the sentence "needs ..."; undefined when all is there. */
export function missing({ root = false, tun = false, vxlan = false, commands = [] }: Requirements): string | undefined {
  const needs = [
    ...(root && process.geteuid?.() !== 0 ? ['root'] : []),
    ...(tun && !canUse('/dev/net/tun', constants.R_OK | constants.W_OK) ? ['/dev/net/tun'] : []),
    ...(vxlan && !hasVxlan() ? ['vxlan links of Linux 6.5'] : []),
    ...[...(root ? ['ip', 'setpriv'] : []), ...commands].filter((command) => !isInPath(command)),
  ];
  return needs.length === 0 ? undefined : needs.join(', ');
}

/** `skipUnless({root: true})('title', () => {...})` is `describe` where that is there, else a skip with its reason noted. */
export function skipUnless(requirements: Requirements): (title: string, body: () => void) => void {
  return (title, body) => {
    const needs = missing(requirements);
    if (needs === undefined) describe(title, body);
    else {
      describe.skip(title, body);
      const file = process.env.OVERLAYADM_TEST_SKIPS;
      if (file !== undefined) appendFileSync(file, `${title}: needs ${needs}\n`);
    }
  };
}
