// Folders that a plugin host reads: the program, what it imports, the plugin, and the packages that the plugin depends on.
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MAX_PLUGIN_DEPENDENCIES } from '../util/limits.ts';
import { readManifestFile } from '../util/manifest-file.ts';

const API = '@overlayadm/api';

/** The nearest folder at or above `path` with a package.json. */
function packageFolder(path: string): string {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) if (existsSync(join(folder, 'package.json'))) return folder;
  return dirname(path);
}

export interface Program {
  /** The file that node runs. */
  readonly main: string;
  /** What it may read of ours: our compiled core, and the packages it imports. */
  readonly folders: readonly string[];
}

/** The program beside this file: main.js of what is installed, main.ts when the sources are run as they are. */
export function hostProgram(): Program {
  const core = dirname(import.meta.dirname);
  const main = realpathSync(join(core, 'varpd', import.meta.filename.endsWith('.ts') ? 'main.ts' : 'main.js'));
  const imported = [API, 'valibot'].flatMap((name) => foldersOfDependency(dirname(main), name));
  return { main, folders: [dirname(dirname(main)), ...imported] };
}

/** The folder of our own package: where oclif begins, and where the bundled plugins are dependencies. */
export const ownRoot = (): string => packageFolder(dirname(import.meta.dirname));

export function readManifest(folder: string): Readonly<Record<string, unknown>> {
  const manifest = readManifestFile(folder);
  return typeof manifest === 'object' && manifest !== null ? (manifest as Record<string, unknown>) : {};
}

function dependencyNames(folder: string): readonly string[] {
  const { dependencies, optionalDependencies, peerDependencies } = readManifest(folder);
  return Object.keys({ ...(dependencies as object), ...(optionalDependencies as object), ...(peerDependencies as object) }).filter(
    (name) => name !== API,
  );
}

/** As Node looks for a package: node_modules of each folder from the importer upwards. A link is not followed. */
function findLink(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

export function findDependency(from: string, name: string): string | undefined {
  const link = findLink(from, name);
  return link === undefined ? undefined : realpathSync(link);
}

/** Every link that is followed on the way to `path`: Node looks at each by a call of its own. */
function linksOnTheWay(path: string): readonly string[] {
  const links: string[] = [];
  for (let rest = path.split('/').slice(1), at = ''; rest.length > 0; ) {
    const base = `${at}/${rest.shift()}`;
    if (isLink(base)) {
      links.push(base);
      rest = [
        ...resolve(at || '/', readlinkSync(base))
          .split('/')
          .slice(1),
        ...rest,
      ];
      at = '';
    } else at = base;
  }
  return links;
}

/** Node reads package.json by the path of the link, and the rest by the folder behind it: rights are needed for both. */
function foldersOfDependency(from: string, name: string): readonly string[] {
  const link = findLink(from, name);
  return link === undefined ? [] : [...new Set([realpathSync(link), link, ...linksOnTheWay(link)])];
}

/** The package folder itself and those of its dependencies, which npm puts beside it as often as into it. What cannot be found is left to the import. */
export function packageFolders(root: string): readonly string[] {
  const folders = new Set([root]);
  for (const folder of folders) {
    for (const name of dependencyNames(folder)) {
      if (folders.size < MAX_PLUGIN_DEPENDENCIES) for (const found of foldersOfDependency(folder, name)) folders.add(found);
    }
  }
  return [...folders];
}

/**
 * What --allow-fs-read is given for these folders. Node keeps grants in a prefix tree, where a grant hides that of a folder
 * above it, and a folder whose name begins another's may be read but not looked at itself, which a link has to be (Node 22
 * and 24): so folders inside others are left out, and such a link is granted with the folder it is in.
 */
export function readGrants(folders: readonly string[], isLink: (path: string) => boolean): readonly string[] {
  const isCut = (path: string): boolean =>
    isLink(path) && folders.some((other) => other.startsWith(path) && other !== path && other[path.length] !== '/');
  const all = [...new Set(folders.map((path) => (isCut(path) ? dirname(path) : path)))];
  return all.filter((path) => !all.some((other) => path.startsWith(`${other}/`)));
}

export const isLink = (path: string): boolean => lstatSync(path).isSymbolicLink();
