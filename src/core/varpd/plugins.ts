// The plugins of one host: imported from the modules of its package, checked once, found by kind and name.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EncapPlugin, type LookupPlugin, messageOf, OverlayError } from '@overlayadm/api';
import { describeProperty } from '../property/description.ts';
import { checkFromHost, type Description, type ProviderKind } from './protocol.ts';

export type Plugin = EncapPlugin | LookupPlugin;

export interface Plugins {
  readonly loaded: readonly Plugin[];
  /** What could not be used: the module and why. */
  readonly failures: readonly string[];
}

type Loose = Readonly<Record<string, unknown>>;

/** Imports the default export of each module; what fails is kept for the one who asks for it. */
export async function importPlugins(root: string, modules: readonly string[]): Promise<Plugins> {
  const loaded: Plugin[] = [];
  const failures: string[] = [];
  for (const module of modules) {
    try {
      const { default: plugin } = (await import(pathToFileURL(join(root, module)).href)) as { readonly default?: unknown };
      const reason = whyNotPlugin(plugin);
      if (reason === undefined) loaded.push(plugin as Plugin);
      else failures.push(`${module}: ${reason}`);
    } catch (error) {
      failures.push(`${module}: ${messageOf(error)}`);
    }
  }
  return { loaded, failures };
}

/** Why a default export is no plugin; undefined when it is one. Looks at everything but what its functions do. */
export function whyNotPlugin(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'the default export is not an object';
  const { kind, name, properties, create, socket } = value as Loose;
  if (kind !== 'encap' && kind !== 'lookup') return 'the kind of the default export is neither encap nor lookup';
  if (typeof name !== 'string' || !Array.isArray(properties)) return 'the default export has no name or no list of properties';
  if (kind === 'lookup' && typeof create !== 'function') return `lookup ${name}: has no function create`;
  if (kind === 'encap' && typeof socket !== 'function') return `encap ${name}: has no function socket`;
  // The check that overlayd makes of the message, made here too: there a bad message would cost this process its life.
  const checked = checkFromHost({ type: 'described', call: 0, description: JSON.parse(JSON.stringify(describePlugin(value as Plugin))) });
  return checked.ok ? undefined : `${kind} ${name}: ${checked.reason}`;
}

export function describePlugin(plugin: Plugin): Description {
  const properties = plugin.properties.map(describeProperty);
  if (plugin.kind === 'lookup') return { kind: 'lookup', name: plugin.name, properties };
  const { name, needs, vnetid, carriesVlanTag, format, usualPort } = plugin;
  return { kind: 'encap', name, properties, needs, vnetid, carriesVlanTag, format, ...(usualPort === undefined ? {} : { usualPort }) };
}

/** @throws OverlayError PLUGIN_FAILED */
export function findPlugin(plugins: Plugins, kind: 'encap', name: string): EncapPlugin;
export function findPlugin(plugins: Plugins, kind: 'lookup', name: string): LookupPlugin;
export function findPlugin(plugins: Plugins, kind: ProviderKind, name: string): Plugin;
export function findPlugin(plugins: Plugins, kind: ProviderKind, name: string): Plugin {
  const plugin = plugins.loaded.find((candidate) => candidate.kind === kind && candidate.name === name);
  if (plugin !== undefined) return plugin;
  const why = plugins.failures.length > 0 ? plugins.failures.join('; ') : 'no module of its package brings it';
  throw new OverlayError('PLUGIN_FAILED', `${kind} ${name}: the plugin cannot be used (${why})`, {
    details: { kind, name },
    advice: 'Reinstall or update the package of the plugin.',
  });
}
