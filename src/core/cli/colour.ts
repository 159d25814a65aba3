// Colours: whether there are any, and which. chalk is loaded only when one is printed.
import { createRequire } from 'node:module';
import type { ChalkInstance } from 'chalk';
import type { Environment } from '../util/directories.ts';
import type { Paint, Tone } from './table.ts';

/** Set by a command that was told --no-color; warnings and errors of the process follow it. */
let forbidden = false;
export function forbidColour(): void {
  forbidden = true;
}

interface Stream {
  readonly isTTY?: boolean;
}

/** A terminal, or who sets FORCE_COLOR (chalk reads how much of it), unless NO_COLOR is there with any text (no-color.org). */
export function wantsColour(stream: Stream, environment: Environment): boolean {
  if (forbidden || environment.NO_COLOR) return false;
  return stream.isTTY === true || environment.FORCE_COLOR !== undefined;
}

let chalks: { readonly stdout: ChalkInstance; readonly stderr: ChalkInstance } | undefined;

/** Synchronous, because a warning has to be out before what follows it. */
function chalkOf(stream: 'stdout' | 'stderr'): ChalkInstance {
  if (chalks === undefined) {
    const chalk = createRequire(import.meta.url)('chalk') as typeof import('chalk');
    chalks = { stdout: chalk.default, stderr: chalk.chalkStderr };
  }
  return chalks[stream];
}

const COLOUR_OF = { good: 'green', bad: 'red', attention: 'yellow' } as const satisfies Readonly<Record<Tone, keyof ChalkInstance>>;

/** undefined where the text stays plain. */
export function painter(stream: 'stdout' | 'stderr', environment: Environment): Paint | undefined {
  if (!wantsColour(process[stream], environment)) return undefined;
  return (tone, text) => chalkOf(stream)[COLOUR_OF[tone]](text);
}
