// overlayd's log: JSON lines, to stderr in the foreground, else to a file of bounded size in the run directory.
import { renameSync, statSync } from 'node:fs';
import { pino } from 'pino';
import { MAX_LOG_BYTES, MAX_UNWRITTEN_LOG_BYTES } from '../util/limits.ts';
import type { Log } from '../util/log.ts';

/** Lines are written at once: the last ones before an end are the ones that matter, and there are few. */
export function openLog(file: string | undefined): Log {
  if (file !== undefined) makeRoom(file);
  const destination = pino.destination({ dest: file ?? 2, sync: true, mkdir: false, maxLength: MAX_UNWRITTEN_LOG_BYTES });
  // A full disk must not end overlayd; what cannot be written is kept for a while, up to a bound, and then lost.
  destination.on('error', () => undefined);
  return pino({ name: 'overlayd', base: { pid: process.pid } }, destination);
}

/** One old file is kept. */
function makeRoom(file: string): void {
  try {
    if (statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.old`);
  } catch {
    // There is none yet, or it cannot be moved: writing goes on where it was.
  }
}
