// Tells udev that a link has changed: when it looked at the new link, the mark by which its rules know ours was not there yet.
import { readFileSync, writeFileSync } from 'node:fs';

/** `root` is for tests. Nothing happens where /sys shows the links of another network namespace, or cannot be written. */
export function announceMark(name: string, index: number, root = '/sys/class/net'): void {
  try {
    if (Number(readFileSync(`${root}/${name}/ifindex`, 'utf8')) === index) writeFileSync(`${root}/${name}/uevent`, 'change', { flag: 'r+' });
  } catch {
    // Without udev nobody takes care of links either.
  }
}
