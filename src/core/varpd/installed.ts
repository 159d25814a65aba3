// The list that `overlayadm plugins` keeps in the plugin directory: which packages were installed or linked, as data, with nothing of them loaded.
import { join } from 'node:path';
import { messageOf } from '@overlayadm/api';
import { readManifestFile } from '../util/manifest-file.ts';

export interface InstalledFolder {
  readonly name: string;
  readonly folder: string;
}

export interface Installed {
  readonly packages: readonly InstalledFolder[];
  readonly problems: readonly string[];
}

/** An entry is made into a path: what npm accepts as a name, no more. */
const NAME = /^(?:@[\w-][\w.-]*\/)?[\w-][\w.-]*$/;

type Loose = Readonly<Record<string, unknown>>;
const asRecord = (value: unknown): Loose => (typeof value === 'object' && value !== null ? (value as Loose) : {});

function folderOf(directory: string, entry: unknown): InstalledFolder | undefined {
  const { name, type, root } = asRecord(typeof entry === 'string' ? { name: entry } : entry);
  if (typeof name !== 'string' || !NAME.test(name)) return undefined;
  if (type !== 'link') return { name, folder: join(directory, 'node_modules', name) };
  return typeof root === 'string' ? { name, folder: root } : undefined;
}

/** `directory`: $OVERLAYADM_DATA_DIR; without one nothing is installed. Never throws: what cannot be read is a problem. */
export function readInstalled(directory: string): Installed {
  let list: unknown;
  try {
    list = asRecord(asRecord(readManifestFile(directory)).oclif).plugins ?? [];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { packages: [], problems: [] };
    return { packages: [], problems: [`plugins in ${directory}: all left out, the list of them cannot be read: ${messageOf(error)}`] };
  }
  const entries = Array.isArray(list) ? (list as unknown[]) : [];
  const found = entries.map((entry) => folderOf(directory, entry));
  const packages = found.filter((each) => each !== undefined);
  const wrong = found.length - packages.length;
  return { packages, problems: wrong === 0 ? [] : [`plugins in ${directory}: ${wrong} left out, what the list says of them is no package`] };
}
