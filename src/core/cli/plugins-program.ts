// Runs one command of @oclif/plugin-plugins so that nothing of an outside package is run, and takes what it says.
import { chmodSync, mkdirSync } from 'node:fs';
import { type Interfaces, ux } from '@oclif/core';
import { messageOf, OverlayError } from '../rpc/errors.ts';
import { mayCreateIn } from './host.ts';
import { OUTSIDE_CODE, refuseOutsideCode } from './outside-code.ts';
import { installedPlugins } from './plugins-installed.ts';

export interface PluginsProgram {
  readonly id: 'plugins:install' | 'plugins:link' | 'plugins:uninstall' | 'plugins:update';
  readonly args: readonly string[];
  /** Without outside plugins in it. */
  readonly config: Interfaces.Config;
  readonly directory: string;
  /** Folders besides the plugin directory whose code is not ours. */
  readonly outside: readonly string[];
  /** Shows what npm says as it says it. */
  readonly verbose: boolean;
}

/** What went wrong, and every line that was printed before. */
export class ProgramFailed extends Error {
  readonly lines: readonly string[];
  constructor(cause: unknown, lines: readonly string[]) {
    super(messageOf(cause), { cause });
    this.lines = lines;
  }
}

/** @throws OverlayError NOT_PERMITTED */
export function checkMayChange(directory: string, words: string): void {
  if (mayCreateIn(directory)) return;
  throw new OverlayError('NOT_PERMITTED', `${directory}: permission denied`, {
    details: { directory },
    advice: `Plugins are installed for the whole host, by root: sudo overlayadm ${words}`,
  });
}

/** Warnings it gave. @throws ProgramFailed */
export async function runPluginsProgram(program: PluginsProgram): Promise<string[]> {
  const { id, directory, config, verbose } = program;
  prepare(directory);
  const folders = installedPlugins(directory).map(({ folder }) => folder);
  const guard = refuseOutsideCode(config.root, [directory, ...folders, ...program.outside]);
  const warnings = collectWarnings();
  const said = captureOutput(verbose);
  try {
    // oclif's spinner writes past captureOutput().
    Object.assign(ux.action, { start: () => undefined, stop: () => undefined });
    const { commands } = await import('@oclif/plugin-plugins');
    await commands[id].run([...program.args, ...(verbose ? ['--verbose'] : [])], config);
    return [...warnings, ...warningsIn(said.lines())];
  } catch (error) {
    throw new ProgramFailed(error, said.lines());
  } finally {
    said.stop();
    guard.lift();
  }
}

/** Hosts run as another user, who has to be able to read what npm writes; scripts of packages would run as root. */
function prepare(directory: string): void {
  process.umask(0o022);
  process.env.npm_config_ignore_scripts = 'true';
  // Else a package could bring a program `git`, which npm would find first when it fetches from a repository.
  process.env.npm_config_bin_links = 'false';
  // Else npm waits for more than a minute before it says that the registry cannot be reached.
  process.env.npm_config_fetch_retries ??= '1';
  process.env.npm_config_fetch_retry_mintimeout ??= '1000';
  process.env.OVERLAYADM_DATA_DIR = directory;
  process.env.OVERLAYADM_NPM_LOG_LEVEL ??= 'error';
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  chmodSync(directory, 0o755);
}

/** oclif warns of each module that it could not load, which is what we want. */
function collectWarnings(): string[] {
  const warnings: string[] = [];
  process.removeAllListeners('warning');
  process.on('warning', (warning: Error & { readonly detail?: unknown }) => {
    const text = [warning.message, typeof warning.detail === 'string' ? warning.detail : ''].join('\n');
    if (!text.includes(OUTSIDE_CODE)) warnings.push(warning.message);
  });
  return warnings;
}

type Write = typeof process.stdout.write;

/** What is printed while a command of somebody else runs: it is for our own texts, and would spoil --json. */
function captureOutput(verbose: boolean): { lines(): string[]; stop(): void } {
  const { stdout, stderr } = process;
  const kept = { stdout: stdout.write, stderr: stderr.write };
  let text = '';
  const write = ((chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    if (verbose) kept.stderr.call(stderr, chunk as string);
    const done = rest.find((each) => typeof each === 'function') as (() => void) | undefined;
    if (done !== undefined) process.nextTick(done);
    return true;
  }) as Write;
  stdout.write = write;
  stderr.write = write;
  return {
    lines: () => text.split('\n').filter((line) => line.trim() !== ''),
    stop: () => {
      stdout.write = kept.stdout;
      stderr.write = kept.stderr;
    },
  };
}

/** oclif frames its warnings: ` ›   Warning: text`, and further lines with the same bar. */
function warningsIn(lines: readonly string[]): string[] {
  const warnings: string[] = [];
  for (const line of lines) {
    const framed = /^ [›»] +(.*)$/.exec(line)?.[1];
    if (framed === undefined) continue;
    if (framed.startsWith('Warning: ')) warnings.push(framed.slice('Warning: '.length));
    else if (warnings.length > 0) warnings.push(`${warnings.pop()} ${framed}`);
  }
  return warnings;
}
