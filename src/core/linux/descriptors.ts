// How many descriptors this process may have open.
import { readFileSync } from 'node:fs';

/** Total: undefined for text without the line, and for `unlimited`. */
export function parseDescriptorLimit(limits: string): number | undefined {
  const soft = /^Max open files +(\d+) /m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** RLIMIT_NOFILE of this process (proc_pid_limits(5)), which Node.js raises as far as it may when it starts; undefined when it cannot be read. */
export function descriptorLimit(path = '/proc/self/limits'): number | undefined {
  try {
    return parseDescriptorLimit(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
