// Reads a file that root will act on: opened once, checked through its descriptor, bounded.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, OverlayError } from '../util/errors.ts';
import { MAX_CONFIGURATION_BYTES } from '../util/limits.ts';
import { invalid, unreadable, unsafe } from './errors.ts';

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

// A FIFO in the place of the file must not keep overlayd waiting for a writer, nor a terminal become its own.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * The bytes of `path`, a file in the configuration directory `directory`; undefined when there is none. A link is followed.
 * `uid`: who besides root may own the file, its directory, and the directory a link leads to.
 * @throws OverlayError CONFIG_UNREADABLE, CONFIG_UNSAFE; CONFIG_INVALID when it has more than MAX_CONFIGURATION_BYTES.
 */
export async function readTrusted(directory: string, path: string, uid: number): Promise<Uint8Array | undefined> {
  try {
    const handle = await openIfThere(path);
    if (handle === undefined) return undefined;
    await using file = handle;
    const stats = await file.stat();
    if (!stats.isFile()) throw unreadable(path, 'is not a regular file', 'Put a file there, or remove it.');
    refuseUnsafe(path, stats, uid);
    for (const above of new Set([directory, dirname(await realpath(path))])) refuseUnsafe(above, await stat(above), uid);
    return await readBounded(path, file);
  } catch (cause) {
    if (OverlayError.is(cause)) throw cause;
    throw unreadable(path, `cannot be read (${messageOf(cause)})`, 'Let overlayd read it, or remove it.', cause);
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, OPEN_FLAGS);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw cause;
  }
  // To take a link to a missing file for no file would lose the defaults without a word.
  const link = await lstat(path).catch(() => undefined);
  if (link?.isSymbolicLink() === true) throw unreadable(path, 'is a link to a file that is not there', 'Correct the link, or remove it.');
  return undefined;
}

/** @throws OverlayError CONFIG_UNSAFE when somebody else than root and `uid` can change what `stats` belong to. */
export function refuseUnsafe(path: string, { uid: owner, mode }: Pick<Stats, 'uid' | 'mode'>, uid: number): void {
  if (owner !== 0 && owner !== uid)
    throw unsafe(path, `belongs to uid ${owner}, who could change what overlayd does`, `Look through it, then: chown ${uid} ${path}`);
  const writers = (mode & OTHERS_WRITE) !== 0 ? 'everybody' : (mode & GROUP_WRITES) !== 0 ? 'its group' : undefined;
  if (writers !== undefined) throw unsafe(path, `${writers} can write to it`, `Look through it, then: chmod go-w ${path}`);
}

async function readBounded(path: string, file: FileHandle): Promise<Uint8Array> {
  const buffer = Buffer.alloc(MAX_CONFIGURATION_BYTES + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
    if (length > MAX_CONFIGURATION_BYTES) throw invalid({ path }, `has more than ${MAX_CONFIGURATION_BYTES} bytes`, 'Make it smaller.');
  }
}
