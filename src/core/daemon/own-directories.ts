// Makes the directories overlayd writes to, with their final rights, and refuses those that somebody else can put files into.
import { chownSync, existsSync, lstatSync, mkdirSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Directories } from '../util/directories.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

/**
 * `readers`: group that the run directory is given to, when overlayd runs as root.
 * @throws OverlayError DIRECTORY_UNUSABLE, DIRECTORY_UNSAFE: log, lock and socket are opened by their names, so whoever
 * can replace one of them by a link makes overlayd, which may be root, write where they want.
 */
export function makeOwnDirectories({ run, state }: Pick<Directories, 'run' | 'state'>, own: Owner, readers: number | undefined): void {
  makeDirectory(run, 0o750, own);
  makeDirectory(state, 0o755, own);
  if (readers !== undefined && own.uid === 0) chownSync(run, 0, readers);
}

/** Not mkdir's own `recursive`: that never comes back where a parent exists but takes no entries (below /proc; Node 24). */
function makeDirectory(path: string, mode: number, own: Owner): void {
  if (!isDirectory(path)) {
    if (!existsSync(dirname(path))) makeDirectory(dirname(path), 0o755, own);
    try {
      mkdirSync(path, { mode });
    } catch (cause) {
      // Another overlayd that starts at this moment may have been faster.
      if (!isDirectory(path)) throw directoryError('DIRECTORY_UNUSABLE', path, `cannot be made (${messageOf(cause)})`, cause);
    }
  }
  const reason = whyNotOurs(lstatSync(path), own) ?? whyOpen(statSync(path), own);
  if (reason !== undefined) throw directoryError('DIRECTORY_UNSAFE', path, reason);
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** The link when it is one: who owns it decides where it leads. */
function whyNotOurs({ uid }: Stats, own: Owner): string | undefined {
  return uid === own.uid || uid === 0 ? undefined : `belongs to uid ${uid}, who could replace the files in it`;
}

/** Our own group may write: it is private to us where the file mode mask leaves it that right. */
function whyOpen(stats: Stats, own: Owner): string | undefined {
  const { mode, gid } = stats;
  if ((mode & OTHERS_WRITE) !== 0) return 'everybody can write to it';
  if ((mode & GROUP_WRITES) !== 0 && gid !== own.gid && gid !== 0) return `gid ${gid} can write to it`;
  return whyNotOurs(stats, own);
}

function directoryError(code: string, path: string, reason: string, cause?: unknown): OverlayError {
  return new OverlayError(code, `${path}: ${reason}`, {
    details: { path },
    advice: 'Choose another one with OVERLAYADM_RUN_DIR or OVERLAYADM_STATE_DIR.',
    cause,
  });
}
