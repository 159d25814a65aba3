// Discovery: which plugin packages there are. The bundled ones are asked of oclif; of outside ones package.json is read, and nothing is loaded.
import { realpathSync } from 'node:fs';
import { Config } from '@oclif/core';
import { messageOf } from '@overlayadm/api';
import { readManifestFile } from '../util/manifest-file.ts';
import { readInstalled } from './installed.ts';
import type { ProviderTable } from './messages.ts';
import { collectProviders, type InstalledPackage } from './providers.ts';

/**
 * `root`: the folder of our own package.json. oclif is not told of outside packages: it imports the commands of those that
 * have no manifest, which is code that only a plugin host may run. @throws when oclif cannot be had at all
 */
export async function listProviders(root: string): Promise<ProviderTable> {
  const warnings: string[] = [];
  // oclif tells of packages that it cannot load in no other way.
  process.on('warning', (warning) => warnings.push(describeWarning(warning)));
  const config = await Config.load({ root, userPlugins: false, devPlugins: false });
  const outside = readInstalled(config.dataDir);
  const found = [
    ...config.getPluginsList().map(({ name, root: folder }) => readPackage(name, folder, true)),
    ...outside.packages.map(({ name, folder }) => readPackage(name, folder, false)),
  ];
  // process.emitWarning() speaks in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  const { providers, problems } = collectProviders(found.filter((each) => typeof each !== 'string'));
  return { providers, problems: [...outside.problems, ...found.filter((each) => typeof each === 'string'), ...warnings, ...problems] };
}

/** The package, or why it is left out. */
function readPackage(name: string, folder: string, bundled: boolean): InstalledPackage | string {
  try {
    // Rights are given by path, and links do not count there.
    const root = realpathSync(folder);
    return { name, root, bundled, manifest: readManifestFile(root) };
  } catch (error) {
    const isAbsent = ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (isAbsent) return `plugin ${name}: left out, it is not installed (no package.json in ${folder}); remove it or install it again`;
    return `plugin ${name} (${folder}): left out, ${messageOf(error)}`;
  }
}

/** oclif prints its own options where a package is not there. */
function describeWarning(warning: Error): string {
  const text = messageOf(warning);
  const absent = /^could not find package\.json with \{.*\bname: '([^']+)'/.exec(text)?.[1];
  return absent === undefined ? `a plugin was left out: ${text}` : `plugin ${absent}: left out, it is not installed; install overlayadm again`;
}
