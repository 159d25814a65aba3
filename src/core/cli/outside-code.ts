// Keeps code of installed plugins out of this process, which root runs: only plugin hosts, which have no rights, may load it.
import { realpathSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Guard {
  /** From now on everything may be loaded again. */
  lift(): void;
}

export const OUTSIDE_CODE = 'OUTSIDE_CODE';

/**
 * oclif loads commands of a package that has no manifest, and hooks, whenever it meets the package; and tells of neither
 * beforehand. So from now on nothing is loaded but what is in the folder of overlayadm, or in a node_modules folder beside or
 * above it, and nothing from `outside` even then. A refused module throws an error with the code OUTSIDE_CODE.
 */
export function refuseOutsideCode(root: string, outside: readonly string[]): Guard {
  const ours = ourFolders(realpath(root));
  const others = outside.map(realpath);
  const isOurs = (path: string): boolean => ours.some((folder) => isBelow(path, folder)) && !others.some((folder) => isBelow(path, folder));
  const hooks = registerHooks({
    load(url, context, nextLoad) {
      if (url.startsWith('file:') && !isOurs(realpath(fileURLToPath(url)))) {
        throw Object.assign(new Error(`${fileURLToPath(url)}: code of plugins is loaded by plugin hosts only`), { code: OUTSIDE_CODE });
      }
      return nextLoad(url, context);
    },
  });
  return { lift: () => hooks.deregister() };
}

function ourFolders(root: string): string[] {
  const folders = [root];
  for (let folder = dirname(root); folder !== dirname(folder); folder = dirname(folder)) {
    folders.push(folder.endsWith(`${sep}node_modules`) ? folder : join(folder, 'node_modules'));
  }
  return folders;
}

export const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

function realpath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
