// Tables of the show commands: from fields and rows to lines, by the rules of illumos ofmt.c in human mode.

export interface Field<R> {
  readonly name: string;
  /** Characters, the blank to the next column included. The last field of a table is as wide as its value. */
  readonly width: number;
  /** null and the empty string are shown as `--`. */
  value(row: R): string | null;
  /** false: a sentence, whose commas separate nothing. */
  readonly wraps?: boolean;
}

/** For people: header lines, padded columns, long lists wrapped. `heightRows`: of the terminal; the header comes again after so many. */
export interface HumanMode {
  readonly kind: 'human';
  readonly heightRows: number;
}
export type TableMode = HumanMode;

export function formatTable<R>(fields: readonly Field<R>[], rows: readonly R[], mode: TableMode): string[] {
  const header = formatLine(
    fields,
    fields.map((field) => field.name),
  );
  const lines: string[] = [];
  // Counts headers and rows but not continuation lines, as ofmt_print() does. A height of 1 would leave no room for a row.
  let printed = 0;
  for (const row of rows) {
    if (printed % Math.max(2, mode.heightRows) === 0) {
      lines.push(header);
      printed++;
    }
    lines.push(...formatRow(fields, row));
    printed++;
  }
  return lines;
}

function formatRow<R>(fields: readonly Field<R>[], row: R): string[] {
  const cells = fields.map((field) => cellLines(field, printable(field.value(row) || '--')));
  const height = Math.max(...cells.map((cell) => cell.length));
  return Array.from({ length: height }, (_, line) =>
    formatLine(
      fields,
      cells.map((cell) => cell[line] ?? ''),
    ),
  );
}

/** The lines of one value: lists wrap at commas, sentences do not. */
const cellLines = <R>({ width, wraps }: Field<R>, text: string): string[] => (wraps === false ? [text] : wrap(text, width));

/**
 * A value that fills its column or more is followed by one blank, and the columns after it shrink by what it took too
 * much. The last column is not padded.
 */
function formatLine<R>(fields: readonly Field<R>[], texts: readonly string[]): string {
  let line = '';
  let excess = 0;
  for (const [index, { width }] of fields.entries()) {
    const text = texts[index] ?? '';
    const needed = text.length + excess;
    const last = index === fields.length - 1;
    line += last ? text : needed >= width ? `${text} ` : text.padEnd(width - excess);
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
    if (line !== '' && line.length + part.length > width) {
      lines.push(line);
      line = '';
    }
    line += index === parts.length - 1 ? part : `${part},`;
  }
  return [...lines, line];
}

/** Text of plugins and of other people ends up here: what could move the cursor or change colours is shown as `?`. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
