// oclif's configuration for `help` and for words that are no commands of ours: with the commands of installed packages, by
// what their manifests say, and without any hook of theirs.
import { type Command, Config, Plugin } from '@oclif/core';
import { asRecord } from '../rpc/errors.ts';
import { refuseOutsideCode } from './outside-code.ts';
import { type InstalledPlugin, installedPlugins, manifestOf } from './plugins-installed.ts';

export interface OutsideOptions {
  /** Of our package.json. */
  readonly root: string;
  /** The plugin directory. */
  readonly directory: string;
  /** The first word of the command line. */
  readonly word: string | undefined;
  warn(text: string): void;
}

/**
 * Code of a package may be loaded only when `word` is a command that its manifest has. A package without oclif.manifest.json
 * has no commands here: oclif would have to load all of its modules to find them.
 */
export async function outsideConfig({ root, directory, word, warn }: OutsideOptions): Promise<Config> {
  const config = await Config.load({ root, userPlugins: false, devPlugins: false });
  const packages = installedOrWarn(directory, warn).filter(({ name }) => !config.plugins.has(name));
  const guard = refuseOutsideCode(root, [directory, ...packages.map(({ folder }) => folder)]);
  const taken = new Set(config.commandIDs.map(firstWord));
  let isTheirs = false;
  for (const each of packages) {
    const plugin = await loadPlugin(each);
    if (plugin === undefined) continue;
    const wordsOf = ({ id, aliases }: Command.Loadable): string[] => [id, ...aliases].map(firstWord);
    plugin.commands = plugin.commands.filter((command) => !wordsOf(command).some((name) => taken.has(name)));
    isTheirs ||= plugin.commands.some((command) => word !== undefined && wordsOf(command).includes(word));
    config.plugins.set(plugin.name, plugin);
  }
  if (isTheirs) guard.lift();
  return config;
}

const firstWord = (id: string): string => id.split(':')[0] ?? id;

function installedOrWarn(directory: string, warn: (text: string) => void): InstalledPlugin[] {
  try {
    return installedPlugins(directory);
  } catch (error) {
    warn((error as Error).message);
    return [];
  }
}

/** undefined for one that has no usable manifest, or is not there: `overlayadm show-plugins` says why. */
async function loadPlugin({ name, folder }: InstalledPlugin): Promise<Plugin | undefined> {
  const manifest = manifestOf(folder);
  const oclif = { ...asRecord(manifest.oclif), hooks: {}, plugins: [], topics: harmless(asRecord(manifest.oclif).topics ?? {}) };
  const pjson = { ...manifest, name, oclif } as unknown as NonNullable<ConstructorParameters<typeof Plugin>[0]['pjson']>;
  // As a linked one: then oclif looks for it in no other folder.
  const plugin = new Plugin({ name, root: folder, type: 'link', pjson });
  try {
    await plugin.load();
  } catch {
    return undefined;
  }
  if (!plugin.hasManifest) return undefined;
  plugin.type = 'user';
  plugin.commands = plugin.commands.map(checked);
  return plugin;
}

/** A manifest is a file of theirs: what oclif expects to be a list, a table or a text is one. */
function checked(command: Command.Loadable): Command.Loadable {
  const { aliases, hiddenAliases, flags, args, summary, description, load, ...rest } = command;
  const words = (value: unknown): string[] => (Array.isArray(value) ? value.filter((word) => typeof word === 'string') : []);
  const texts = Object.entries({ summary, description }).filter(([, text]) => typeof text === 'string');
  const tables = { flags: asRecord(flags), args: asRecord(args) } as Pick<Command.Loadable, 'flags' | 'args'>;
  const shown = harmless({ ...rest, ...tables, ...Object.fromEntries(texts) });
  return { ...shown, aliases: words(aliases), hiddenAliases: words(hiddenAliases), load };
}

/** oclif's help runs what stands between <% and %> of a text, some texts more than once, so that escaping them is not enough. */
function harmless<T>(value: T): T {
  if (typeof value === 'string') return value.replaceAll('<%= config.bin %>', 'overlayadm').replaceAll('<%', '< %') as T;
  if (Array.isArray(value)) return value.map(harmless) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, harmless(inner)])) as T;
}
