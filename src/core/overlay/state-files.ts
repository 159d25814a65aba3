// Records as files, one an overlay: whatever happens while one is written, the old or the new one is there afterwards, whole.
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import * as nodeFs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Directories } from '../util/directories.ts';
import { MAX_STATE_FILE_BYTES, MAX_STATE_FILES } from '../util/limits.ts';
import type { OverlayRecord } from './record.ts';
import type { Loaded, Place, RecordFiles } from './records.ts';
import { formatRecord, type ReadRecord, readRecord } from './state-file.ts';

/** What of node:fs/promises is used; tests let steps of it fail. */
export type StateFs = Pick<typeof nodeFs, 'lstat' | 'mkdir' | 'open' | 'readdir' | 'rename' | 'unlink'>;

interface Folder {
  readonly path: string;
  readonly mode: number;
  /** Does it have to be there after the power has failed? The run directory is memory. */
  readonly durable: boolean;
}

const ENDING = '.json';
/** Names of files that are being written, or were when somebody was killed. */
const UNFINISHED = '.new-';
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const READ_FOLDER = READ | constants.O_DIRECTORY;
/** With O_EXCL no link is followed either (open(2)). */
const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** Files that are read at the same time. */
const AT_ONCE = 16;

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

/**
 * `<run>/overlays` and `<state>/overlays`. Used by one overlayd at a time (it has the lock of its run directory), and by that
 * one after the other (Records). Errors of the file system are thrown as they are, but for load(): OverlayError STATE_UNREADABLE.
 */
export class StateFiles implements RecordFiles {
  readonly #folders: Readonly<Record<Place, Folder>>;
  readonly #fs: StateFs;
  /** Names that have a file, for the bound of them. */
  readonly #names: Readonly<Record<Place, Set<string>>> = { up: new Set(), saved: new Set() };

  constructor({ run, state }: Pick<Directories, 'run' | 'state'>, fs: StateFs = nodeFs) {
    this.#folders = {
      up: { path: join(run, 'overlays'), mode: 0o700, durable: false },
      saved: { path: join(state, 'overlays'), mode: 0o755, durable: true },
    };
    this.#fs = fs;
  }

  /** Removes what a write that never ended has left. @throws OverlayError STATE_UNREADABLE when the folder cannot be used. */
  async load(place: Place): Promise<Loaded> {
    const folder = this.#folders[place];
    let entries: string[];
    try {
      await this.#prepare(folder);
      entries = await this.#fs.readdir(folder.path);
      for (const entry of entries) if (entry.startsWith(UNFINISHED)) await this.#removeFile(join(folder.path, entry));
    } catch (cause) {
      throw unusable(folder.path, cause);
    }
    const names = entries.filter((entry) => entry.endsWith(ENDING) && !entry.startsWith('.')).map((entry) => entry.slice(0, -ENDING.length));
    this.#names[place].clear();
    for (const name of names) this.#names[place].add(name);
    return this.#readAll(folder, names.toSorted());
  }

  async write(place: Place, record: OverlayRecord): Promise<void> {
    const folder = this.#folders[place];
    const bytes = Buffer.from(formatRecord(record));
    const read = readRecord(bytes, record.name);
    // What could not be read back must not take the place of what can.
    if (!read.ok) throw new Error(`the record ${read.problem}`);
    const names = this.#names[place];
    if (!names.has(record.name) && names.size >= MAX_STATE_FILES) throw new Error(`there are ${names.size} records, no more are kept`);
    await this.#prepare(folder);
    const path = pathOf(folder, record.name);
    const unfinished = join(folder.path, `${UNFINISHED}${record.name}`);
    try {
      await this.#writeNew(unfinished, bytes, folder.durable);
      await this.#fs.rename(unfinished, path);
    } catch (error) {
      await this.#removeFile(unfinished).catch(() => undefined);
      throw error;
    }
    names.add(record.name);
    if (folder.durable) await this.#sync(folder.path);
  }

  async remove(place: Place, name: string): Promise<void> {
    const folder = this.#folders[place];
    const removed = await this.#removeFile(pathOf(folder, name));
    this.#names[place].delete(name);
    if (removed && folder.durable) await this.#sync(folder.path);
  }

  async #prepare({ path, mode, durable }: Folder): Promise<void> {
    try {
      await this.#fs.mkdir(path, { mode });
      if (durable) await this.#sync(dirname(path));
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      if (!(await this.#fs.lstat(path)).isDirectory()) throw new Error(`${path} is not a directory`);
    }
  }

  async #readAll(folder: Folder, names: readonly string[]): Promise<Loaded> {
    const records: OverlayRecord[] = [];
    const unreadable = names.slice(MAX_STATE_FILES).map((name) => ({ name, problem: `is one of more than ${MAX_STATE_FILES} records` }));
    for (let at = 0; at < Math.min(names.length, MAX_STATE_FILES); at += AT_ONCE) {
      const some = names.slice(at, Math.min(at + AT_ONCE, MAX_STATE_FILES));
      const results = await Promise.all(some.map((name) => this.#read(pathOf(folder, name), name)));
      for (const [index, result] of results.entries()) {
        if (result.ok) records.push(result.record);
        else unreadable.push({ name: some[index] as string, problem: `${join(folder.path, `${some[index]}${ENDING}`)} ${result.problem}` });
      }
    }
    return { records, unreadable };
  }

  async #read(path: string, name: string): Promise<ReadRecord> {
    try {
      await using file = await this.#fs.open(path, READ);
      if (!(await file.stat()).isFile()) return { ok: false, problem: 'is not a regular file' };
      return readRecord(await readSome(file), name);
    } catch (error) {
      if (codeOf(error) === 'ELOOP') return { ok: false, problem: 'is a symbolic link' };
      return { ok: false, problem: `cannot be read (${messageOf(error)})` };
    }
  }

  async #writeNew(path: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    // Of somebody who was killed since load().
    await this.#removeFile(path);
    await using file = await this.#fs.open(path, WRITE_NEW, 0o600);
    await file.writeFile(bytes);
    if (durable) await file.sync();
  }

  /** Was there one? */
  async #removeFile(path: string): Promise<boolean> {
    try {
      await this.#fs.unlink(path);
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** What was renamed or removed in this folder stays so from now on (fsync(2)). */
  async #sync(path: string): Promise<void> {
    await using folder = await this.#fs.open(path, READ_FOLDER);
    await folder.sync();
  }
}

/** One byte more than may be, so that readRecord() sees that it is too much. */
async function readSome(file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat();
  const bytes = Buffer.allocUnsafe(Math.min(size, MAX_STATE_FILE_BYTES) + 1);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

function pathOf({ path }: Folder, name: string): string {
  if (name === '' || name.startsWith('.') || /[/\0]/.test(name)) throw new Error(`${JSON.stringify(name)} cannot be the name of a record`);
  return join(path, `${name}${ENDING}`);
}

function unusable(path: string, cause: unknown): OverlayError {
  return new OverlayError('STATE_UNREADABLE', `${path}: saved overlays cannot be read (${messageOf(cause)})`, {
    details: { path },
    advice: 'It has to be a directory that overlayd may read and write.',
    cause,
  });
}
