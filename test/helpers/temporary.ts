// Folders that are gone after the tests of a file; the pid in their name lets the next run remove those of a killed one.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './cleanup.ts';

/** A new empty folder that only we may enter. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), `overlayadm-test-${process.pid}-`));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
