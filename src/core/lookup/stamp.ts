// Has a plugin package changed on disk? A text that is another one when any file of it is.
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_STAMPED_FILES } from '../util/limits.ts';
import { systemFiles } from './files.ts';
import type { HostLaunch } from './host-process.ts';
import { packageFolders } from './packages.ts';

/** Files and folders of a folder and those below it, without packages it depends on and what editors and version control hide. */
async function* filesOf(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    yield path;
    if (entry.isDirectory()) yield* filesOf(path);
  }
}

/** Of packages it depends on only package.json: that is another file after each installation. */
function manifestsOf(root: string): readonly string[] {
  try {
    return packageFolders(root).map((folder) => join(folder, 'package.json'));
  } catch {
    return [join(root, 'package.json')];
  }
}

/** By what stat(2) says, not by contents: installed again is changed, too. Never rejects. */
export async function stampOf({ root, modules }: HostLaunch): Promise<string> {
  const paths = new Set([...modules.map((module) => join(root, module)), ...manifestsOf(root)]);
  for await (const path of filesOf(root)) {
    if (paths.size >= MAX_STAMPED_FILES) break;
    paths.add(path);
  }
  const hash = createHash('sha1');
  for (const path of paths) hash.update(`${path}\0${await systemFiles.stamp(path)}\0`);
  return hash.digest('base64');
}
