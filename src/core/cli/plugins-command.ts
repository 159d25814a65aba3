// What the commands about installed plugins share: the list, the check of rights, the run of npm, telling overlayd.
import { lstatSync } from 'node:fs';
import { OverlayError } from '../rpc/errors.ts';
import type { PluginReload } from '../rpc/protocol.ts';
import { directoriesOf } from '../util/directories.ts';
import { DEFAULT_TERMINAL_ROWS, MAX_PATH_BYTES } from '../util/limits.ts';
import { BaseCommand } from './base-command.ts';
import { commandClock } from './clock.ts';
import { runNpm } from './npm.ts';
import { isBelow } from './outside-code.ts';
import { reloadPlugins, tellReload } from './plugins-changed.ts';
import { pluginFailure } from './plugins-failures.ts';
import { type InstalledPlugin, installedPlugins, leftOver, manifestOf, providersOf, versionOf } from './plugins-installed.ts';
import { checkMayChange, type PluginsProgram, ProgramFailed, runPluginsProgram } from './plugins-program.ts';
import { type Field, formatTable } from './table.ts';

export abstract class PluginsCommand<R> extends BaseCommand<R> {
  /** Paths, too. */
  protected override readonly operandCharacters = MAX_PATH_BYTES;
  protected readonly directories = directoriesOf(process.env);

  protected installed(): readonly InstalledPlugin[] {
    return installedPlugins(this.directories.data);
  }

  protected printTable<T>(fields: readonly Field<T>[], rows: readonly T[]): void {
    const lines = formatTable(fields, rows, { kind: 'human', heightRows: process.stdout.rows || DEFAULT_TERMINAL_ROWS });
    if (lines.length > 0) this.log(lines.join('\n'));
  }
}

export interface PluginsChanged {
  /** Packages that were installed, linked, updated or removed. */
  readonly packages: readonly { readonly name: string; readonly version: string | null }[];
  /** What overlayd did; null when none runs. */
  readonly reload: PluginReload | null;
}

type Program = Pick<PluginsProgram, 'id' | 'args'> & { readonly outside?: readonly string[] };

export abstract class PluginsChangeCommand extends PluginsCommand<PluginsChanged> {
  /** `words`: this command as it was typed. @throws OverlayError NOT_PERMITTED, before anything is done. */
  protected checkRights(...words: string[]): void {
    checkMayChange(this.directories.data, ['plugins', ...words].join(' '));
  }

  /** @throws OverlayError PLUGIN_NOT_FOUND, PLUGIN_INVALID */
  protected checkLinkable(folder: string): void {
    if (lstatSync(`${folder}/package.json`, { throwIfNoEntry: false }) === undefined) {
      throw new OverlayError('PLUGIN_NOT_FOUND', `${folder}: no package there (no package.json)`, { details: { folder } });
    }
    if (isBelow(this.config.root.replace(/\/$/, ''), folder))
      throw new OverlayError('PLUGIN_INVALID', `${folder}: has overlayadm itself in it`, { details: { folder } });
    this.refuseBundled(manifestOf(folder).name);
  }

  /** overlayd would go on with its own package of that name. @throws OverlayError PLUGIN_INVALID */
  protected refuseBundled(name: unknown): void {
    if (typeof name !== 'string' || !this.config.plugins.has(name)) return;
    throw new OverlayError('PLUGIN_INVALID', `${name}: comes with overlayadm, which uses its own`, {
      details: { package: name },
      advice: 'Give the package another name.',
    });
  }

  /** `verb` and `what` are for the message when it fails. */
  protected async runProgram(program: Program, isVerbose: boolean, verb: string, what: string): Promise<void> {
    const directory = this.directories.data;
    const before = leftOver(directory);
    try {
      const warnings = await runPluginsProgram({ outside: [], ...program, config: this.config, directory, verbose: isVerbose });
      for (const warning of warnings) this.warn(warning);
      const stray = leftOver(directory).filter((name) => !before.includes(name));
      if (stray.length > 0) throw mistaken(what, stray);
    } catch (error) {
      if (!(error instanceof ProgramFailed)) throw error;
      throw await pluginFailure(error, verb, what, directory);
    } finally {
      const unused = leftOver(directory);
      if (unused.length > 0) await runNpm(directory, 'uninstall', ...unused);
    }
  }

  protected described({ name, folder }: InstalledPlugin): PluginsChanged['packages'][number] {
    return { name, version: versionOf(folder) };
  }

  /** Differs after the package was installed anew. */
  protected fingerprint({ folder }: InstalledPlugin): string {
    const file = lstatSync(`${folder}/package.json`, { throwIfNoEntry: false });
    return `${versionOf(folder)} ${file?.ino} ${file?.ctimeMs}`;
  }

  /** A package may be a fine plugin of oclif and bring us nothing. */
  protected tellWhatIsBrought(plugins: readonly InstalledPlugin[]): void {
    for (const { name, folder } of plugins) {
      const manifest = manifestOf(folder);
      const brings = providersOf(manifest);
      if (brings.length === 0) this.warn(`${name}: brings no encapsulation or lookup (its package.json has no providers under the key "overlayadm")`);
      else this.log(`${name} ${versionOf(folder) ?? ''}: brings ${brings.join(', ')}`);
    }
  }

  /** Tells overlayd and the person. `removed`: packages that are not there any more. */
  protected async changed(plugins: readonly InstalledPlugin[], removed: readonly string[] = []): Promise<PluginsChanged> {
    const names = plugins.map(({ name }) => name);
    const reloaded = await reloadPlugins(this.directories, { version: this.config.version, clock: commandClock }, names);
    if (reloaded !== null) {
      tellReload(reloaded, removed, {
        log: (text) => this.log(text),
        warn: (text) => void this.warn(text),
        failWith: (error) => this.failWith(error),
      });
    }
    return { packages: plugins.map((plugin) => this.described(plugin)), reload: reloaded?.reload ?? null };
  }
}

/** oclif finds out by the last part of a file's name which package npm made of it, and may find one that was there before. */
const mistaken = (what: string, stray: readonly string[]): OverlayError =>
  new OverlayError('PLUGIN_FAILED', `${what}: ${stray.join(', ')} cannot be installed (another package came from a file of that name)`, {
    details: { package: what, names: stray },
    advice: 'Rename the file, or uninstall the other package.',
  });
