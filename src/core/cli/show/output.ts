// Where the rows of a show command go, piece by piece: a table, parsable lines, or a JSON array.
import { toJson } from '../json.ts';
import { selectFields } from '../select-fields.ts';
import { type Field, tablePrinter } from '../table.ts';
import { usageError } from '../usage.ts';
import type { FlagSpecification, ShowContext } from './specification.ts';

/** The flags that are the same on every show command; `show-linkprop` has another letter for the second. */
export const OUTPUT_FLAGS = {
  output: { char: 'o', value: 'FIELD,...', summary: 'Show these fields only, in this order; all for every one.' },
  parsable: { char: 'p', aliases: ['parseable'], summary: 'Print for programs: values between colons, no header. Needs -o.' },
} as const satisfies Readonly<Record<string, FlagSpecification>>;

export interface Sink<R> {
  rows(rows: readonly R[]): void;
  /** After the last row. A JSON array is not closed without it, so that one that is cut short does not look whole. */
  end(): void;
}

export interface OutputWords {
  readonly output: string | undefined;
  readonly parsable: boolean;
}

/** To be opened before overlayd is asked: it may throw. @throws OverlayError USAGE */
export function openOutput<R>(context: ShowContext, fields: readonly Field<R>[], words: OutputWords): Sink<R> {
  if (context.json) {
    refuseWithJson(words);
    return jsonSink(context.write);
  }
  const selected = selectFields(fields, { ...words, warn: context.warn });
  const mode = words.parsable ? ({ kind: 'parsable' } as const) : ({ kind: 'human', heightRows: context.heightRows, paint: context.paint } as const);
  const linesOf = tablePrinter(selected, mode);
  return {
    rows: (rows) => {
      if (rows.length > 0) context.write(`${linesOf(rows).join('\n')}\n`);
    },
    end: () => {},
  };
}

/** The shape of JSON does not depend on what else is typed. @throws OverlayError USAGE */
export function refuseWithJson({ output, parsable }: OutputWords): void {
  if (output !== undefined || parsable) throw usageError('--json shows all fields: -o and parsable output cannot be used with it');
}

/** The text of JSON.stringify(rows, null, 2). */
export function jsonSink<R>(write: (text: string) => void): Sink<R> {
  let begun = false;
  return {
    rows: (rows) => {
      if (rows.length === 0) return;
      write(`${begun ? ',' : '['}\n${rows.map(indented).join(',\n')}`);
      begun = true;
    },
    end: () => write(begun ? '\n]\n' : '[]\n'),
  };
}

const indented = (row: unknown): string => toJson(row).replace(/^/gm, '  ');
