// Samples to medians, and medians to plain tables.
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

const GIB = 2 ** 30;

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** @throws RangeError without a sample. */
export function summarize(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (index: number): number => {
    const value = sorted[index];
    if (value === undefined) throw new RangeError('no samples');
    return value;
  };
  const middle = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1), count: sorted.length };
}

/** Samples by figure ("TCP Gb/s") and by what was measured ("kernel"). */
export class Samples {
  readonly #samples = new Map<string, Map<string, number[]>>();

  add(figure: string, subject: string, value: number): void {
    const subjects = this.#samples.get(figure) ?? new Map<string, number[]>();
    this.#samples.set(figure, subjects);
    subjects.set(subject, [...(subjects.get(subject) ?? []), value]);
  }

  /** As rows(), and behind it the ratio of each run to that of the baseline beside it: median, least and largest. */
  pairedRows(baseline: string): string[][] {
    const ratios = [...this.#samples.values()].flatMap((subjects) =>
      [...subjects.values()].map((samples) => ratiosOf(samples, subjects.get(baseline))),
    );
    return this.rows(baseline).map((row, at) => [...row, ...(ratios[at] as readonly string[])]);
  }

  /** One row for each figure and subject; the ratio is that of the medians. */
  rows(baseline: string): string[][] {
    return [...this.#samples].flatMap(([figure, subjects]) => {
      const base = subjects.get(baseline);
      return [...subjects].map(([subject, samples]) => {
        const { median, min, max, count } = summarize(samples);
        const ratio = median / (base === undefined ? 0 : summarize(base).median);
        const shown = [median, min, max].map(significant);
        return [figure, subject, ...shown, String(count), Number.isFinite(ratio) ? significant(ratio) : '-'];
      });
    });
  }
}

export const significant = (value: number): string => (Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3))));

function ratiosOf(samples: readonly number[], base: readonly number[] | undefined): string[] {
  const ratios = samples.map((sample, run) => sample / (base?.[run] ?? 0));
  if (base === undefined || !ratios.every(Number.isFinite)) return ['-', '-'];
  const { median, min, max } = summarize(ratios);
  return [significant(median), `${significant(min)} - ${significant(max)}`];
}

/** The value that `share` of the samples do not exceed. @throws RangeError without a sample. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('no samples');
  return value;
}

/** The first column is text and stands left, numbers stand right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const isNumber = (column: number): boolean => rows.every((row) => !/[a-z]{2}/i.test(row[column] ?? ''));
  const cell = (text: string, column: number): string => (isNumber(column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0));
  return all.map((row) => row.map(cell).join('  ').trimEnd()).join('\n');
}

export function machine(): string {
  const [cpu] = cpus();
  const memory = `${significant(totalmem() / GIB)} GiB`;
  return `${cpus().length} x ${cpu?.model.trim() ?? 'unknown processor'}, ${memory}, Linux ${release()}, Node.js ${process.version}`;
}

/** 1, 5 and 15 minutes: other work on the machine shows here. */
export const load = (): string => readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).join(' ');
