// Discovery: which plugin packages are installed, asked of oclif. The only file of the core that knows oclif.
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { Config } from '@oclif/core';
import { messageOf } from '@overlayadm/api';
import type { ProviderTable } from './messages.ts';
import { collectProviders, type InstalledPackage } from './providers.ts';

/** `root`: the folder of our own package.json. Bundled, user-installed and linked packages alike. @throws when oclif cannot be had at all */
export async function listProviders(root: string): Promise<ProviderTable> {
  const warnings: string[] = [];
  // oclif tells of packages that it cannot load in no other way.
  process.on('warning', (warning) => warnings.push(describeWarning(warning)));
  const config = await Config.load({ root, userPlugins: true, devPlugins: false });
  const packages: InstalledPackage[] = [];
  const unreadable: string[] = [];
  for (const plugin of config.getPluginsList()) {
    try {
      // Rights are given by path, and links do not count there.
      const folder = realpathSync(plugin.root);
      packages.push({ root: folder, manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as unknown });
    } catch (error) {
      unreadable.push(`plugin ${plugin.name} (${plugin.root}): left out, ${messageOf(error)}`);
    }
  }
  // process.emitWarning() speaks in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  const { providers, problems } = collectProviders(packages);
  return { providers, problems: [...unreadable, ...warnings, ...problems] };
}

const fieldOf = (detail: string, field: string): string | undefined => new RegExp(`^${field}: (.+)$`, 'm').exec(detail)?.[1];

/** oclif prints its own options where a package is not there, and puts what is wrong with a command into `detail`. */
function describeWarning(warning: Error & { readonly detail?: unknown }): string {
  const text = messageOf(warning);
  const detail = typeof warning.detail === 'string' ? warning.detail : '';
  const absent = /^could not find package\.json with \{.*\bname: '([^']+)'/.exec(text)?.[1];
  if (absent !== undefined) return `plugin ${absent}: left out, it is not installed; remove it or install it again`;
  if (text === 'Error') return `plugin ${fieldOf(detail, 'plugin')}: a command of it cannot be used: ${fieldOf(detail, 'message')}`;
  return `a plugin was left out: ${text}`;
}
