// A file system in memory that stops at the step that a test names, as a machine without power: what was not synced is gone, or is not.
import type { StateFs } from '../../src/core/overlay/state-files.ts';

const errno = (code: string): Error => Object.assign(new Error(`${code}: of the test`), { code });

interface Inode {
  data: Buffer;
  /** What is on the disk. */
  synced: Buffer;
}

/** What becomes of changes that nobody has synced when the power fails. */
export const LOSSES = ['nothing', 'data', 'names', 'all'] as const;
export type Loss = (typeof LOSSES)[number];

/** As much of it as StateFiles uses. */
export class FaultFs {
  readonly steps: string[] = [];
  #files = new Map<string, Inode>();
  #syncedFiles = new Map<string, Inode>();
  readonly #folders = new Set<string>();
  /** Steps that are still done; -1: all. */
  #left = -1;
  #error = 'EIO';
  #once = false;

  /** The step with this number (from 0) fails; with `once` only that one, otherwise everything from it on, as when the power fails. */
  failAt(step: number, error = 'EIO', once = false): void {
    this.steps.length = 0;
    this.#left = step;
    this.#error = error;
    this.#once = once;
  }

  /** The machine is started again. */
  recover(loss: Loss): void {
    this.#left = -1;
    if (loss === 'names' || loss === 'all') this.#files = new Map(this.#syncedFiles);
    if (loss === 'data' || loss === 'all') for (const inode of this.#files.values()) inode.data = inode.synced;
    this.#settle();
  }

  get fs(): StateFs {
    const at =
      <A extends readonly unknown[], R>(name: string, act: (...args: A) => R) =>
      async (...args: A): Promise<R> => {
        this.#step(name);
        return act(...args);
      };
    const fs = {
      mkdir: at('mkdir', (path: string) => {
        if (this.#folders.has(path)) throw errno('EEXIST');
        this.#folders.add(path);
      }),
      lstat: at('lstat', () => ({ isDirectory: () => true })),
      readdir: at('readdir', () => [...this.#files.keys()].map((path) => path.slice(path.lastIndexOf('/') + 1))),
      rename: at('rename', (from: string, to: string) => {
        this.#files.set(to, this.#get(from));
        this.#files.delete(from);
      }),
      unlink: at('unlink', (path: string) => {
        this.#get(path);
        this.#files.delete(path);
      }),
      open: at('open', (path: string, _flags: number, mode?: number) => this.#handle(path, mode !== undefined)),
    };
    return fs as unknown as StateFs;
  }

  #handle(path: string, isNew: boolean) {
    if (isNew) this.#files.set(path, { data: Buffer.alloc(0), synced: Buffer.alloc(0) });
    const inode = this.#files.get(path);
    let at = 0;
    return {
      stat: async () => ({ isFile: () => true, size: inode?.data.length ?? 0 }),
      read: async (buffer: Buffer, offset: number, length: number) => {
        const bytesRead = inode?.data.copy(buffer, offset, at, at + length) ?? 0;
        at += bytesRead;
        return { bytesRead };
      },
      writeFile: async (bytes: Uint8Array) => {
        // In two parts, because a write can end in the middle.
        const half = Math.floor(bytes.length / 2);
        for (const part of [bytes.subarray(0, half), bytes.subarray(half)]) {
          this.#step('write');
          if (inode !== undefined) inode.data = Buffer.concat([inode.data, part]);
        }
      },
      sync: async () => {
        this.#step('sync');
        if (inode === undefined) this.#settle();
        else inode.synced = inode.data;
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  #settle(): void {
    this.#syncedFiles = new Map(this.#files);
  }

  #get(path: string): Inode {
    const inode = this.#files.get(path);
    if (inode === undefined) throw errno('ENOENT');
    return inode;
  }

  #step(name: string): void {
    if (this.#left === 0) {
      if (this.#once) this.#left = -1;
      throw errno(this.#error);
    }
    if (this.#left > 0) this.#left--;
    this.steps.push(name);
  }
}
