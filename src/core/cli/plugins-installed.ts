// The plugin directory as oclif keeps it: which packages were installed or linked, and what their package.json says.
import { join } from 'node:path';
import { asRecord, messageOf, OverlayError } from '../rpc/errors.ts';
import { readManifestFile } from '../util/manifest-file.ts';

export interface InstalledPlugin {
  readonly name: string;
  /** `installed` by npm into the plugin directory, or `linked` to a folder of somebody. */
  readonly kind: 'installed' | 'linked';
  readonly folder: string;
  /** Where it was installed from, or the version or tag that was asked for. */
  readonly source: string | null;
}

/** @throws OverlayError PLUGINS_UNREADABLE when the list is there and cannot be read. */
export function installedPlugins(directory: string): InstalledPlugin[] {
  const { plugins } = asRecord(listOf(directory).oclif);
  return Array.isArray(plugins) ? plugins.flatMap((entry: unknown) => parseEntry(directory, entry)) : [];
}

/** Packages that npm holds in the directory and that are no plugins: refused ones, and those that were linked since. */
export function leftOver(directory: string): string[] {
  const used = installedPlugins(directory).filter(({ kind }) => kind === 'installed');
  return Object.keys(asRecord(listOf(directory).dependencies)).filter((name) => !used.some((plugin) => plugin.name === name));
}

function listOf(directory: string): Readonly<Record<string, unknown>> {
  const path = join(directory, 'package.json');
  try {
    return asRecord(readManifestFile(directory));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return {};
    throw unreadable(path, error);
  }
}

function parseEntry(directory: string, entry: unknown): InstalledPlugin[] {
  const { name, type, root, url, tag } = typeof entry === 'string' ? asRecord({ name: entry, type: 'user' }) : asRecord(entry);
  // A name is made into a path.
  if (typeof name !== 'string' || !/^(?:@[\w.-]+\/)?[\w.-]+$/.test(name) || name.startsWith('.')) return [];
  if (type === 'link') return typeof root === 'string' ? [{ name, kind: 'linked', folder: root, source: root }] : [];
  const source = [url, tag].find((value) => typeof value === 'string') ?? null;
  return [{ name, kind: 'installed', folder: join(directory, 'node_modules', name), source: source as string | null }];
}

const unreadable = (path: string, error: unknown): OverlayError =>
  new OverlayError('PLUGINS_UNREADABLE', `${path}: the list of installed plugins cannot be read (${messageOf(error)})`, {
    details: { path },
    advice: `Mend the file, or move it away and install the plugins again.`,
    cause: error,
  });

/** Empty when it cannot be read: whoever shows the plugin says what is wrong in its own words. */
export function manifestOf(folder: string): Readonly<Record<string, unknown>> {
  try {
    return asRecord(readManifestFile(folder));
  } catch {
    return {};
  }
}

/** `vxlan (encap)`: what the package brings by its own word. */
export function providersOf(manifest: Readonly<Record<string, unknown>>): string[] {
  const { providers } = asRecord(manifest.overlayadm);
  if (!Array.isArray(providers)) return [];
  return providers.map(asRecord).flatMap(({ kind, name }) => (typeof name === 'string' ? [`${name} (${String(kind)})`] : []));
}

export function versionOf(folder: string): string | null {
  const { version } = manifestOf(folder);
  return typeof version === 'string' ? version : null;
}
