// Reads the package.json of somebody else's package: whatever lies in its place, nobody waits for it and it does not fill the memory.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_MANIFEST_BYTES } from './limits.ts';

// A FIFO in its place must not keep us waiting for a writer, nor a terminal become our own.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** What package.json of `folder` says, unchecked. @throws Error when it is no regular file, too large or no JSON, and with an errno. */
export function readManifestFile(folder: string): unknown {
  return JSON.parse(readRegularFile(join(folder, 'package.json'), MAX_MANIFEST_BYTES));
}

function readRegularFile(path: string, most: number): string {
  const fd = openSync(path, OPEN_FLAGS);
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${path}: not a regular file`);
    const bytes = Buffer.alloc(most + 1);
    let length = 0;
    for (let read = -1; read !== 0; length += read) read = readSync(fd, bytes, length, bytes.length - length, null);
    if (length > most) throw new Error(`${path}: larger than ${most} bytes`);
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(fd);
  }
}
