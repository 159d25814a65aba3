// Runs one command line and shows what went wrong outside of any command: an unknown one, a file that cannot be loaded.
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
    const json = hasFlag(args, '--json');
    const paint = json || hasFlag(args, '--no-color') ? undefined : painter('stderr', process.env);
    process.exitCode = reportFailure(thrown, { json, usage: 'COMMAND [OPTION]... (see overlayadm --help)', paint });
  }
}

/** oclif ends a program by throwing, also when all is well. */
function isExit(thrown: unknown): thrown is { readonly oclif: { readonly exit: number } } {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIT';
}
