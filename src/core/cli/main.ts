// Runs one command line and shows what went wrong outside of any command: an unknown one, a file that cannot be loaded.
import { readFileSync } from 'node:fs';
import { flush, type Interfaces, run } from '@oclif/core';
import { painter } from './colour.ts';
import { hasFlag, reportFailure } from './report.ts';

/** Sets the exit status and never rejects. */
export async function runCli(args: readonly string[], options: Interfaces.LoadOptions): Promise<void> {
  try {
    await run([...args], options);
    await flush();
  } catch (thrown) {
    if (isExit(thrown)) {
      process.exitCode = thrown.oclif.exit;
      return;
    }
    // As oclif reads it for commands that there are.
    const json = hasFlag(args, '--json') || process.env.OVERLAYADM_CONTENT_TYPE?.toLowerCase() === 'json';
    const paint = json || hasFlag(args, '--no-color') ? undefined : painter('stderr', process.env);
    process.exitCode = reportFailure(thrown, { json, usage: 'COMMAND [OPTION]... (see overlayadm --help)', paint });
  }
}

/** oclif ends a program by throwing, also when all is well. */
function isExit(thrown: unknown): thrown is { readonly oclif: { readonly exit: number } } {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIT';
}

/**
 * Runs what dist/cli.cjs has: a command of ours that is no topic, or an option. oclif finds the commands in that file, of which
 * this is a part then (tools/bundle.mjs), instead of as files of dist/commands.
 */
export async function runBundled(args: readonly string[], root: string): Promise<void> {
  const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as Interfaces.PJSON;
  const commands = { strategy: 'explicit', target: './dist/cli.cjs', identifier: 'COMMANDS' } as const;
  // Only the list of all commands has some of other packages (help); to find these packages takes 13 ms.
  const others = listsCommands(args[0]) ? {} : { plugins: [] };
  await runCli(args, { root, pjson: { ...pjson, oclif: { ...pjson.oclif, commands, ...others } }, userPlugins: false, devPlugins: false });
}

const listsCommands = (word: string | undefined): boolean => word === undefined || word.startsWith('-');
