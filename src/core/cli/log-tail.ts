// The end of overlayd's log, for the person whose command could not start it.
import { closeSync, openSync, statSync } from 'node:fs';
import { asRecord } from '../rpc/errors.ts';
import { type Directories, logPath } from '../util/directories.ts';
import { LOG_TAIL_LINES } from '../util/limits.ts';
import { readEnd } from './scratch-file.ts';

export interface LogTail {
  readonly path: string;
  readonly lines: readonly string[];
}

/** Where the log ends now: what stands before is of an earlier overlayd. Bytes. */
export function logPosition(directories: Directories): number {
  return statSync(logPath(directories), { throwIfNoEntry: false })?.size ?? 0;
}

/** The last lines written after `position`; none when the log cannot be read. */
export function logTail(directories: Directories, position: number): LogTail {
  const path = logPath(directories);
  try {
    const fd = openSync(path, 'r');
    try {
      return { path, lines: lastLines(readEnd(fd, position)).map(textOf) };
    } finally {
      closeSync(fd);
    }
  } catch {
    return { path, lines: [] };
  }
}

export function lastLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-LOG_TAIL_LINES);
}

/** The log is one JSON object a line; a person wants its text, what caused it, and what to do. */
function textOf(line: string): string {
  const { msg, error, advice } = parse(line);
  if (typeof msg !== 'string') return line;
  const [cause] = typeof error === 'string' ? error.split('\n') : [];
  return `${msg}${cause === undefined ? '' : `: ${cause}`}${typeof advice === 'string' ? ` (${advice})` : ''}`;
}

/** Nothing for a line that is not of our logger: the launcher's, or Node's own. */
function parse(line: string): Readonly<Record<string, unknown>> {
  try {
    return asRecord(JSON.parse(line));
  } catch {
    return {};
  }
}
