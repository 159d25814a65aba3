// A file without a name that takes what a starting overlayd says before it has a log: its launcher, or Node itself.
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOG_TAIL_BYTES } from '../util/limits.ts';

export interface ScratchFile {
  readonly fd: number;
  /** The last of what was written, at most LOG_TAIL_BYTES. */
  text(): string;
  close(): void;
}

/** undefined where no file can be made: then that text is lost, and nothing else. A pipe would break when we end. */
export function openScratchFile(): ScratchFile | undefined {
  try {
    const folder = mkdtempSync(join(tmpdir(), 'overlayadm-'));
    try {
      const fd = openSync(join(folder, 'stderr'), 'ax+', 0o600);
      return { fd, text: () => readEnd(fd, 0), close: () => closeSync(fd) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  } catch {
    return undefined;
  }
}

/** What stands after `position`, at most the last LOG_TAIL_BYTES. A file that is shorter than that has been begun anew. */
export function readEnd(fd: number, position: number): string {
  const { size } = fstatSync(fd);
  const from = Math.max(size < position ? 0 : position, size - LOG_TAIL_BYTES);
  const bytes = Buffer.alloc(size - from);
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, from));
}
