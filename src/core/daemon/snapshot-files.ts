// Snapshots of targets as files of the run directory, which is memory: written beside the old one and put in its place.
import { constants } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SnapshotFiles } from '../overlay/target-snapshots.ts';
import type { Directories } from '../util/directories.ts';
import { MAX_SNAPSHOT_BYTES } from '../util/limits.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_WRONLY, O_CREAT, O_TRUNC } = constants;

export class SnapshotDirectory implements SnapshotFiles {
  readonly #folder: string;

  constructor({ run }: Pick<Directories, 'run'>) {
    this.#folder = join(run, 'targets');
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    try {
      await using file = await open(this.#path(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const { size } = await file.stat();
      return size > MAX_SNAPSHOT_BYTES ? undefined : await file.readFile();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async write(name: string, parts: readonly Uint8Array[]): Promise<void> {
    await mkdir(this.#folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    const unfinished = `${this.#path(name)}.new`;
    await using file = await open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    for (const part of parts) await file.writeFile(part);
    await rename(unfinished, this.#path(name));
  }

  async remove(name: string): Promise<void> {
    for (const path of [this.#path(name), `${this.#path(name)}.new`]) await rm(path, { force: true });
  }

  /** Names of links have no "/" in them. */
  #path(name: string): string {
    return join(this.#folder, name);
  }
}
