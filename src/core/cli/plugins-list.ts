// What `plugins` and `plugins inspect` show: read from package.json files, without loading anything.
import { asRecord, OverlayError } from '../rpc/errors.ts';
import { type InstalledPlugin, manifestOf, providersOf, versionOf } from './plugins-installed.ts';

export interface PluginPackage {
  readonly name: string;
  readonly version: string | null;
  readonly kind: 'installed' | 'linked';
  readonly folder: string;
  readonly source: string | null;
  /** `geneve (encap)` */
  readonly providers: readonly string[];
}

export function packageRow({ name, kind, folder, source }: InstalledPlugin): PluginPackage {
  return { name, version: versionOf(folder), kind, folder, source, providers: providersOf(manifestOf(folder)) };
}

export interface PluginDetails extends PluginPackage {
  /** Number of the contract that it was made for. */
  readonly api: number | null;
  readonly description: string | null;
  readonly license: string | null;
  readonly homepage: string | null;
  readonly dependencies: readonly string[];
}

/** @throws OverlayError PLUGIN_NOT_FOUND */
export function packageDetails(plugins: readonly InstalledPlugin[], name: string): PluginDetails {
  const plugin = findPlugin(plugins, name);
  const manifest = manifestOf(plugin.folder);
  const { api } = asRecord(manifest.overlayadm);
  const text = (key: string): string | null => (typeof manifest[key] === 'string' ? (manifest[key] as string) : null);
  const dependencies = Object.entries(asRecord(manifest.dependencies)).map(([other, range]) => `${other} ${String(range)}`);
  return {
    ...packageRow(plugin),
    api: Number.isInteger(api) ? (api as number) : null,
    description: text('description'),
    license: text('license'),
    homepage: text('homepage'),
    dependencies,
  };
}

/** @throws OverlayError PLUGIN_NOT_FOUND */
export function findPlugin(plugins: readonly InstalledPlugin[], name: string): InstalledPlugin {
  const found = plugins.find((plugin) => plugin.name === name || plugin.name === `@overlayadm/plugin-${name}`);
  if (found !== undefined) return found;
  throw new OverlayError('PLUGIN_NOT_FOUND', `${name}: not installed`, { details: { package: name }, advice: 'overlayadm plugins lists them.' });
}
