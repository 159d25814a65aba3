// Packages of other people for tests: made in a folder that knows nothing of the checkout, packed as npm packs them.
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { PluginList, PluginRow } from '../../src/core/rpc/protocol.ts';
import type { Host } from './netns.ts';
import { must, type Result } from './process.ts';

export type Files = Readonly<Record<string, string>>;

/** Writes files, by their path in `folder`; gives the folder. */
export function writePackage(folder: string, files: Files): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** A package of test/fixtures/packages in a folder of its own. `change` gives new contents for files of it. */
export function copyPackage(name: string, folder: string, change: Readonly<Record<string, (text: string) => string>> = {}): string {
  cpSync(resolve('test/fixtures/packages', name), folder, { recursive: true });
  for (const [file, edit] of Object.entries(change)) {
    const before = readFileSync(join(folder, file), 'utf8');
    const after = edit(before);
    if (after === before) throw new Error(`${file} is not changed`);
    writeFileSync(join(folder, file), after);
  }
  return folder;
}

/** What `npm install` of its devDependencies would give to the author of a package. */
export function withDevelopersModules(folder: string): string {
  mkdirSync(join(folder, 'node_modules/@overlayadm'), { recursive: true });
  for (const name of ['api', 'compliance']) symlinkSync(resolve('plugins', name), join(folder, 'node_modules/@overlayadm', name));
  return folder;
}

/** Runs `npm pack` once for all folders; the paths of the files, in the same order. */
export async function pack(into: string, ...folders: readonly string[]): Promise<string[]> {
  const env = { npm_config_cache: join(into, 'npm-cache'), npm_config_update_notifier: 'false' };
  const { stdout } = await must('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into, ...folders], { env });
  return (JSON.parse(stdout) as readonly { readonly filename: string }[]).map(({ filename }) => join(into, filename));
}

const checkout = resolve('.');

/**
 * Runs a command of overlayadm on a host where no registry answers and npm keeps its files with the tests. The folders above
 * the plugin directory are opened for everybody, or a plugin host could not be nobody.
 */
export function outsideCommands(host: Host): (...words: string[]) => Promise<Result> {
  chmodSync(dirname(host.dirs.data), 0o755);
  const npm = {
    HOME: host.dirs.config,
    npm_config_cache: join(host.dirs.config, 'npm-cache'),
    npm_config_registry: 'http://127.0.0.1:9/',
    npm_config_fetch_retries: '0',
  };
  return (...words) => host.run(join(checkout, 'bin/overlayadm'), words, { env: { ...host.env, ...npm } });
}

/** The rows of show-plugins by `kind name`, and its warnings. */
export async function pluginsOf(host: Host): Promise<{ readonly rows: ReadonlyMap<string, PluginRow>; readonly problems: readonly string[] }> {
  const { plugins, problems } = JSON.parse((await host.mustOverlayadm('show-plugins', '--json')).stdout) as PluginList;
  return { rows: new Map(plugins.map((row) => [`${row.kind} ${row.name}`, row])), problems };
}
