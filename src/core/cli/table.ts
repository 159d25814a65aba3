// Tables of the show commands: from fields and rows to lines, by the rules of illumos ofmt.c in human and in parsable mode.

/** What a value means to the reader, for colours. */
export type Tone = 'good' | 'bad' | 'attention';
export type Paint = (tone: Tone, text: string) => string;

export interface Field<R> {
  readonly name: string;
  /** Characters, the blank to the next column included. The last field of a table is as wide as its value. */
  readonly width: number;
  /** null and the empty string are shown as `--` to people, and stay empty in parsable mode. */
  value(row: R): string | null;
  /** false: a sentence, whose commas separate nothing. */
  readonly wraps?: boolean;
  readonly tone?: (row: R) => Tone | undefined;
  /** true: a column only for those who name it, or `all`. */
  readonly asked?: boolean;
}

/** For people: header lines, padded columns, long lists wrapped. `heightRows`: of the terminal; the header comes again after so many. */
export interface HumanMode {
  readonly kind: 'human';
  readonly heightRows: number;
  readonly paint?: Paint | undefined;
}
/** For programs: values between colons, one row a line, no header, no colour. */
export interface ParsableMode {
  readonly kind: 'parsable';
}
export type TableMode = HumanMode | ParsableMode;

/** Makes lines of rows that come in pieces; headers are counted over all of them. */
export function tablePrinter<R>(fields: readonly Field<R>[], mode: TableMode): (rows: readonly R[]) => string[] {
  return mode.kind === 'parsable' ? (rows) => rows.map((row) => parsableLine(fields, row)) : humanPrinter(fields, mode);
}

export const formatTable = <R>(fields: readonly Field<R>[], rows: readonly R[], mode: TableMode): string[] => tablePrinter(fields, mode)(rows);

/** A single value is given as it is; of several, what would be taken for a separator is escaped. */
function parsableLine<R>(fields: readonly Field<R>[], row: R): string {
  const values = fields.map((field) => printable(field.value(row) ?? ''));
  return values.length === 1 ? (values[0] ?? '') : values.map((value) => value.replace(/[:\\]/g, '\\$&')).join(':');
}

interface Cell {
  readonly lines: readonly string[];
  readonly tone?: Tone | undefined;
}

function humanPrinter<R>(fields: readonly Field<R>[], { heightRows, paint }: HumanMode): (rows: readonly R[]) => string[] {
  const header = formatLine(
    fields,
    fields.map(({ name }) => ({ text: name })),
    undefined,
  );
  // Counts headers and rows but not continuation lines, as ofmt_print() does. A height of 1 would leave no room for a row.
  const period = Math.max(2, heightRows);
  let printed = 0;
  return (rows) => {
    const lines: string[] = [];
    for (const row of rows) {
      if (printed % period === 0) {
        lines.push(header);
        printed++;
      }
      lines.push(...formatRow(fields, row, paint));
      printed++;
    }
    return lines;
  };
}

function formatRow<R>(fields: readonly Field<R>[], row: R, paint: Paint | undefined): string[] {
  const cells = fields.map((field): Cell => ({ lines: cellLines(field, printable(field.value(row) || '--')), tone: field.tone?.(row) }));
  const height = Math.max(...cells.map(({ lines }) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    formatLine(
      fields,
      cells.map(({ lines, tone }) => ({ text: lines[line] ?? '', tone })),
      paint,
    ),
  );
}

/** The lines of one value: lists wrap at commas, sentences do not. */
const cellLines = <R>({ width, wraps }: Field<R>, text: string): string[] => (wraps === false ? [text] : wrap(text, width));

/**
 * A value that fills its column or more is followed by one blank, and the columns after it shrink by what it took too
 * much. The last column is not padded.
 */
function formatLine<R>(
  fields: readonly Field<R>[],
  texts: readonly { readonly text: string; readonly tone?: Tone | undefined }[],
  paint: Paint | undefined,
): string {
  let line = '';
  let excess = 0;
  for (const [index, { width }] of fields.entries()) {
    const { text, tone } = texts[index] ?? { text: '' };
    const needed = visibleWidth(text) + excess;
    const last = index === fields.length - 1;
    line += tone === undefined || text === '' ? text : (paint?.(tone, text) ?? text);
    if (!last) line += ' '.repeat(Math.max(1, width - needed));
    excess = Math.max(0, needed - width + 1);
  }
  return line.trimEnd();
}

/** Packs the parts of a list with commas into lines of `width`; a line that is not the last keeps its comma. */
function wrap(text: string, width: number): string[] {
  const parts = text.split(',').filter((part) => part !== '');
  if (parts.length < 2) return [text];
  const lines: string[] = [];
  let line = '';
  for (const [index, part] of parts.entries()) {
    if (line !== '' && visibleWidth(line) + visibleWidth(part) > width) {
      lines.push(line);
      line = '';
    }
    line += index === parts.length - 1 ? part : `${part},`;
  }
  return [...lines, line];
}

/** Characters, where a combining mark stands on the one before it. */
function visibleWidth(text: string): number {
  return isPlain(text) ? text.length : Array.from(text.replace(/\p{M}/gu, '')).length;
}

/** Text of plugins and of other people ends up here: what could move the cursor or change colours is shown as `?`. */
export function printable(text: string): string {
  return isPlain(text) ? text : text.replace(/\p{Cc}/gu, '?');
}

/** Asked first, because the first use of a class of Unicode costs a start some milliseconds. */
const isPlain = (text: string): boolean => /^[ -~]*$/.test(text);
