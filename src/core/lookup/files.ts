// Reads files for plugins: regular, of bounded size, with no more rights than the person who named them; and follows changes.
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { FILE_POLL_MS, FILE_READ_TIMEOUT_MS, MAX_PLUGIN_FILE_BYTES } from '../util/limits.ts';
import { ownPowers, setprivArguments } from './rights.ts';
import type { Setter } from './types.ts';

export interface FileAccess {
  /** Other text when the file may have other contents. Never rejects. */
  stamp(path: string): Promise<string>;
  /** @throws OverlayError FILE_UNREADABLE */
  read(path: string, setter: Setter): Promise<Uint8Array>;
}

const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'not a regular file',
  ENXIO: 'not a regular file',
  ELOOP: 'too many symbolic links',
};

const ADVICE = `It has to be a regular file of at most ${MAX_PLUGIN_FILE_BYTES / 2 ** 20} MiB that the user who set the property can read.`;

const unreadable = (path: string, why: string, cause?: unknown): OverlayError =>
  new OverlayError('FILE_UNREADABLE', `${path}: ${why}`, { details: { path, why }, advice: ADVICE, cause });

const TOO_LARGE = `larger than ${MAX_PLUGIN_FILE_BYTES} bytes`;

/** Makes a stamp that nothing had before. */
let unseen = 0;

export const systemFiles: FileAccess = {
  async stamp(path) {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // The file of a user whose folder is private to overlayd too, which runs without the right to look everywhere: it is
      // read with that user's rights, and has to be, to see whether it has changed.
      return code === 'EACCES' ? `unseen: ${++unseen}` : `none: ${code}`;
    }
  },
  read: (path, setter) => (setter.uid === process.getuid?.() ? readAsSelf(path) : readAsOther(path, setter)),
};

async function readAsSelf(path: string): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    // Not blocking, so that a FIFO without a writer does not hold the thread; a terminal must not become overlayd's.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    if (!(await file.stat()).isFile()) throw unreadable(path, 'not a regular file');
    return await readBounded(path, file);
  } catch (error) {
    if (OverlayError.is(error)) throw error;
    throw unreadable(path, CAUSES[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error), error);
  } finally {
    await file?.close();
  }
}

async function readBounded(path: string, file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat();
  if (size > MAX_PLUGIN_FILE_BYTES) throw unreadable(path, TOO_LARGE);
  const chunks: Uint8Array[] = [];
  let total = 0;
  // What grows while it is read ends at the bound; a size of 0 is what files of /proc say.
  for await (const chunk of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > MAX_PLUGIN_FILE_BYTES) throw unreadable(path, TOO_LARGE);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const NOT_REGULAR = 3;
/** The check runs as the user too: overlayd's own eyes would tell them of files in folders that are closed to them. */
const READ_SCRIPT = `if [ -e "$1" ] && [ ! -f "$1" ]; then exit ${NOT_REGULAR}; fi; exec cat -- "$1"`;

function readAsOther(path: string, { uid, gid, groups }: Setter): Promise<Uint8Array> {
  const powers = ownPowers();
  if (!powers.changesUser) return Promise.reject(unreadable(path, `overlayd may not change to uid ${uid}, who named the file`));
  const args = [...setprivArguments(powers, { uid, gid }, groups), 'sh', '-c', READ_SCRIPT, 'sh', path];
  const child = spawn('setpriv', args, {
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FILE_READ_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Buffer[] = [];
  let total = 0;
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => {
    total += chunk.length;
    if (total > MAX_PLUGIN_FILE_BYTES) child.kill('SIGKILL');
    else chunks.push(chunk);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-1000);
  });
  child.once('error', (error) => reject(unreadable(path, messageOf(error), error)));
  child.once('close', (status, signal) => {
    if (total > MAX_PLUGIN_FILE_BYTES) reject(unreadable(path, TOO_LARGE));
    else if (status === 0) resolve(Buffer.concat(chunks));
    else if (status === NOT_REGULAR) reject(unreadable(path, 'not a regular file'));
    else reject(unreadable(path, signal === null ? complaintOf(complaint) : `not read within ${FILE_READ_TIMEOUT_MS} ms`));
  });
  return promise;
}

/** `cat: /etc/x.json: Permission denied` to `permission denied`. */
const complaintOf = (text: string): string => text.trim().split(': ').at(-1)?.toLowerCase().replace(' or directory', '') ?? 'it cannot be read';

export interface FollowEvents {
  contents(bytes: Uint8Array): void | Promise<void>;
  /** Nothing follows. */
  failed(error: OverlayError): void;
}

export interface Following extends Timer {
  /** True while the file is looked at or read, which cancel() does not end. */
  readonly isBusy: boolean;
}

const sameBytes = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0;

/**
 * Gives the contents of a file, now and after each change, until it cannot be read or cancel() is called. It looks and does
 * not listen (inotify): changes made by another machine of a network file system have no event, and those of a mount that
 * is put over the path or of a link on the way to it come for another file.
 */
export function followFile(files: FileAccess, clock: Clock, path: string, setter: Setter, events: FollowEvents): Following {
  let cancelled = false;
  let timer: Timer | undefined;
  let seen: string | undefined;
  /** What was read with the stamp that is seen, until it was read twice. */
  let unconfirmed: Uint8Array | undefined;
  let isBusy = false;
  const look = async (): Promise<void> => {
    isBusy = true;
    try {
      // The stamp is taken before the contents: a change while they are read is seen at the next look.
      const stamp = await files.stamp(path);
      if (cancelled) return;
      // Times of files stand still for some milliseconds, on some file systems for a second: a write right after the first
      // reading may leave the stamp as it was. One reading more, a poll later, sees what such a write has left.
      const isNew = stamp !== seen;
      if (isNew || unconfirmed !== undefined) {
        const bytes = await files.read(path, setter);
        if (cancelled) return;
        const isKnown = sameBytes(unconfirmed, bytes);
        seen = stamp;
        unconfirmed = isKnown && !isNew ? undefined : bytes;
        if (!isKnown) await events.contents(bytes);
      }
      if (!cancelled) timer = clock.after(FILE_POLL_MS, look);
    } catch (error) {
      if (!cancelled) events.failed(OverlayError.is(error) ? error : unreadable(path, messageOf(error), error));
    } finally {
      isBusy = false;
    }
  };
  look();
  return {
    get isBusy() {
      return isBusy;
    },
    cancel: () => {
      cancelled = true;
      timer?.cancel();
    },
  };
}
