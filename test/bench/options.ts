// The words on the command line of the benchmark.
import { parseArgs } from 'node:util';

/** What can be asked for with --only. */
export const PARTS = ['tcp', 'udp', 'ping', 'lookups', 'rows', 'scale'] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly runs: number;
  readonly parts: readonly Part[];
}

export const USAGE = `usage: npm run bench -- [--runs N] [--only ${PARTS.join('|')}]...`;
const MAX_RUNS = 100;

const isPart = (text: string): text is Part => PARTS.some((part) => part === text);

/** @throws Error with what is wrong. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({ args: [...args], options: { runs: { type: 'string', default: '10' }, only: { type: 'string', multiple: true } } });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > MAX_RUNS) throw new Error(`--runs: ${values.runs} is not a number from 1 to ${MAX_RUNS}`);
  const only = values.only ?? [...PARTS];
  const unknown = only.find((name) => !isPart(name));
  if (unknown !== undefined) throw new Error(`--only: there is no ${unknown}`);
  return { runs, parts: only.filter(isPart) };
}
