// Which columns are shown: the text of -o, by the rules and with the words of illumos ofmt_open() and ofmt_strerror().
import type { Field } from './table.ts';
import { usageError } from './usage.ts';

export interface Selection {
  /** The text of -o. */
  readonly output: string | undefined;
  readonly parsable: boolean;
  /** Told of names that are no fields, when people read the table. */
  warn(text: string): void;
}

/**
 * In the order they were asked for; one that is named twice is shown twice.
 * @throws OverlayError USAGE when nothing is left to show, or a program asks for what there is not.
 */
export function selectFields<R>(fields: readonly Field<R>[], { output, parsable, warn }: Selection): readonly Field<R>[] {
  // dladm makes no list of `all` before ofmt sees it, so that both have the same text.
  const all = output?.toLowerCase() === 'all';
  if (parsable && (output === undefined || output === '' || all)) throw usageError('output fields must be specified in parsable mode', known(fields));
  if (all) return fields;
  if (output === undefined) return fields.filter((field) => field.asked !== true);
  const names = output.split(',').filter((name) => name !== '');
  const found = names.map((name) => fields.find((field) => field.name.toLowerCase() === name.toLowerCase()));
  const chosen = found.filter((field) => field !== undefined);
  const bad = names.filter((_, index) => found[index] === undefined);
  if (parsable && bad.length > 0) throw usageError(unknownFields(bad), known(fields));
  if (chosen.length === 0) throw usageError('no valid output fields', known(fields));
  if (bad.length > 0) warn(`ignoring ${unknownFields(bad)}`);
  return chosen;
}

const unknownFields = (names: readonly string[]): string =>
  `unknown output field${names.length === 1 ? '' : 's'}: ${names.map((name) => `\`${name}'`).join(' ')}`;

const known = <R>(fields: readonly Field<R>[]): string => `Fields: ${fields.map(({ name }) => name.toLowerCase()).join(', ')}.`;
