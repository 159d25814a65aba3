// The words on the command line of the benchmark.
import { parseArgs } from 'node:util';
import { DATAPATHS, type Datapath } from '../helpers/netns.ts';

/** What can be asked for with --only. */
export const PARTS = ['tcp', 'udp', 'ping', 'lookups', 'rows', 'answers', 'scale'] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly runs: number;
  readonly parts: readonly Part[];
  /** Of our overlays. */
  readonly datapaths: readonly Datapath[];
}

export const USAGE = `usage: npm run bench -- [--runs N] [--only ${PARTS.join('|')}]... [--datapath ${DATAPATHS.join('|')}]...`;
const MAX_RUNS = 100;

/** Those that are named, all when none is. @throws Error for one that does not exist. */
function choose<T extends string>(option: string, all: readonly T[], named: readonly string[] | undefined): readonly T[] {
  const unknown = named?.find((name) => !all.some((each) => each === name));
  if (unknown !== undefined) throw new Error(`${option}: there is no ${unknown}`);
  return all.filter((each) => named?.includes(each) ?? true);
}

/** @throws Error with what is wrong. */
export function readOptions(args: readonly string[]): Options {
  const many = { type: 'string', multiple: true } as const;
  const { values } = parseArgs({ args: [...args], options: { runs: { type: 'string', default: '10' }, only: many, datapath: many } });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > MAX_RUNS) throw new Error(`--runs: ${values.runs} is not a number from 1 to ${MAX_RUNS}`);
  return { runs, parts: choose('--only', PARTS, values.only), datapaths: choose('--datapath', DATAPATHS, values.datapath) };
}
