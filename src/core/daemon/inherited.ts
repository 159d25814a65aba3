// Closes what whoever started overlayd left open: it would go on to every plugin host, which has no business with it.
import { closeSync, readdirSync, readFileSync } from 'node:fs';

/** include/uapi/asm-generic/fcntl.h, in the octal of /proc/PID/fdinfo. */
const O_CLOEXEC = 0o2000000;

/** Descriptors above stderr that a program started by us would get. Node and our addon open theirs so that it does not. */
export function inheritable(proc = '/proc/self'): readonly number[] {
  return readdirSync(`${proc}/fd`)
    .map(Number)
    .filter((fd) => fd > 2 && passesOn(`${proc}/fdinfo/${fd}`));
}

function passesOn(info: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(info, 'utf8'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    // The one that the folder was read with.
    return false;
  }
}

/** Call it before anything of ours is open. `keep`: the descriptor on which readiness is told, and those that were held for us. */
export function closeInherited(keep: readonly number[]): void {
  const kept = new Set(keep);
  for (const fd of inheritable()) if (!kept.has(fd)) closeSync(fd);
}
