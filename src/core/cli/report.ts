// How an error is shown: `overlayadm: what happened`, what to do below it, the usage line where it was typed wrongly.
import { messageOf, OverlayError } from '../rpc/errors.ts';
import { toJson } from './json.ts';
import { type Paint, printable } from './table.ts';
import { USAGE, usageError } from './usage.ts';

const PROGRAM = 'overlayadm';

export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly advice?: string;
}

/** oclif marks its errors with `oclif`; those of its parser carry the whole configuration, so only their text is taken. */
interface OclifError extends Error {
  readonly oclif: object;
  readonly code?: unknown;
  readonly flags?: unknown;
  readonly args?: unknown;
}

/** Every error as one of ours: mistakes found by oclif become USAGE, anything unknown INTERNAL. */
export function toOverlayError(error: unknown): OverlayError {
  if (OverlayError.is(error)) return error;
  // The one error of oclif that is not about what was typed: a command's own file cannot be loaded.
  if (isOclifError(error) && error.code !== 'MODULE_NOT_FOUND') return usageError(oclifText(error));
  return new OverlayError('INTERNAL', `internal error: ${messageOf(error)}`, {
    cause: error,
    advice: 'This is a mistake in overlayadm; please report it with the output of the same command under DEBUG=*.',
  });
}

function isOclifError(error: unknown): error is OclifError {
  return error instanceof Error && 'oclif' in error && typeof error.oclif === 'object' && error.oclif !== null;
}

/** dladm's words where it has some, else the first paragraph of oclif's without its hint at --help. */
function oclifText(error: OclifError): string {
  if (Array.isArray(error.flags)) return `unrecognized option '${error.flags.join("', '")}'`;
  if (Array.isArray(error.args) && error.message.startsWith('Missing ')) return `missing operand: ${error.args.map((arg) => arg.name).join(', ')}`;
  const wanting = /^Flag (--\S+) expects a value/.exec(error.message);
  if (wanting) return `option '${wanting[1]}' requires a value`;
  const extra = /^Unexpected arguments?: (.+)$/m.exec(error.message);
  if (extra) return `unexpected operand: ${extra[1]}`;
  const repeated = /^Flag (--\S+) can only be specified once/.exec(error.message);
  if (repeated) return `option '${repeated[1]}' is given more than once`;
  const unknown = /^[Cc]ommand (.+) not found/.exec(error.message);
  // oclif joins the words of a topic by colons.
  if (unknown) return `unknown subcommand '${unknown[1]?.replaceAll(':', ' ')}'`;
  return error.message.replace(/\nSee more help with --help$/, '').replace(/\s*\n\s*/g, ' ');
}

/** Status 2 for what was typed wrongly, else 1. */
export const exitStatusOf = (error: OverlayError): number => (error.code === USAGE ? 2 : 1);

/** Lines for stderr, without the last line feed. */
export function reportLines(error: OverlayError, usage: string | undefined, paint?: Paint): string[] {
  const lines = [`${painted('bad', `${PROGRAM}:`, paint)} ${printable(error.message)}`, ...adviceLines(error.advice)];
  if (error.code === USAGE && usage !== undefined) lines.push(`usage: ${PROGRAM} ${usage}`);
  return lines;
}

export const warningLine = (text: string, paint?: Paint): string => `${painted('attention', `${PROGRAM}: warning:`, paint)} ${printable(text)}`;

const adviceLines = (advice: string | undefined): string[] => advice?.split('\n').map((line) => `  ${printable(line)}`) ?? [];

/** Lines for stderr, without the last line feed. */
export const warningLines = (text: string, advice: string | undefined, paint?: Paint): string[] => [warningLine(text, paint), ...adviceLines(advice)];

const painted = (tone: 'bad' | 'attention', text: string, paint: Paint | undefined): string => paint?.(tone, text) ?? text;

export function printLines(lines: readonly string[]): void {
  if (lines.length > 0) process.stderr.write(`${lines.join('\n')}\n`);
}

export interface FailureOptions {
  /** One object on standard output; else lines on standard error. */
  readonly json: boolean;
  readonly usage: string | undefined;
  readonly paint: Paint | undefined;
}

/** Shows why a command ended. @returns its exit status */
export function reportFailure(error: unknown, { json, usage, paint }: FailureOptions): number {
  const shown = toOverlayError(error);
  if (json) process.stdout.write(`${toJson(reportJson(shown))}\n`);
  else printLines(reportLines(shown, usage, paint));
  printLines(stackLines(error));
  return exitStatusOf(shown);
}

/** What --json shows for an error. */
export function reportJson(error: OverlayError): { readonly error: ErrorReport } {
  const { code, message, details, advice } = error;
  return { error: { code, message, details, ...(advice === undefined ? {} : { advice }) } };
}

/**
 * `failed to delete overlay0: link busy`, from an error that may name its object or the failure itself already; a text
 * that tells of the object in its own words, as "lo is not an overlay", stays as it is.
 */
export function failureOf(failure: string, name: string, message: string): string {
  return message.startsWith(`${name}: `) ? `${failure} ${message}` : message;
}

/** Where an error comes from, for those who asked oclif to be talkative: DEBUG set to anything. */
export function stackLines(error: unknown): string[] {
  return process.env.DEBUG && error instanceof Error && error.stack !== undefined ? [error.stack] : [];
}

/** Is it among the words before `--`? For what is shown when the parser itself failed. */
export const hasFlag = (argv: readonly string[], flag: string): boolean => wordsBeforeDashes(argv).includes(flag);

export function wordsBeforeDashes(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end < 0 ? argv : argv.slice(0, end);
}
