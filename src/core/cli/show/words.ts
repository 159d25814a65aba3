// The parser of the thin path: takes the plain forms that oclif's takes too, and leaves everything else to that one.
import { COMMON_FLAGS, type FlagSpecification, type ShowSpecification, type Words } from './specification.ts';

/** Values by the first name of their flag; a flag without a value has an empty list. */
type Values = Map<string, string[]>;

interface Reading {
  readonly flags: Readonly<Record<string, FlagSpecification>>;
  readonly values: Values;
  readonly operands: string[];
  /** What is left to read, the next one first. */
  readonly rest: string[];
}

export type CommonFlag = keyof typeof COMMON_FLAGS;

/**
 * undefined for whatever is not understood completely: --help, a flag that is none, a value that is missing or begins with
 * `-`, `--`, a flag given twice, too many operands. oclif says what is wrong with it.
 */
export function readWords<Flag extends string>(
  args: readonly string[],
  { flags, operand }: Pick<ShowSpecification<Flag>, 'flags' | 'operand'>,
): Words<Flag | CommonFlag> | undefined {
  const reading: Reading = { flags: { ...COMMON_FLAGS, ...flags }, values: new Map(), operands: [], rest: [...args] };
  for (let word = reading.rest.shift(); word !== undefined; word = reading.rest.shift()) {
    if (!(word.startsWith('-') ? readFlag(reading, word) : reading.operands.push(word) > 0)) return undefined;
  }
  if (reading.operands.length > (operand === undefined ? 0 : operand.multiple ? Number.POSITIVE_INFINITY : 1)) return undefined;
  return wordsOf(reading.operands, reading.values);
}

export function wordsOf(operands: readonly string[], values: ReadonlyMap<string, readonly string[]>): Words<string> {
  return {
    operands,
    has: (flag) => values.has(flag),
    text: (flag) => values.get(flag)?.[0],
    texts: (flag) => values.get(flag) ?? [],
  };
}

function readFlag(reading: Reading, word: string): boolean {
  return word.startsWith('--') ? readLong(reading, word.slice(2)) : readShort(reading, word.slice(1));
}

function readLong({ flags, values, rest }: Reading, text: string): boolean {
  const [name = '', ...value] = text.split('=');
  const [known, flag] = Object.entries(flags).find(([id, { aliases }]) => id === name || aliases?.includes(name)) ?? [];
  if (known === undefined || flag === undefined) return false;
  if (flag.value === undefined) return value.length === 0 && addFlag(values, known);
  return addValue(values, known, flag, value.length > 0 ? value.join('=') : rest.shift());
}

/** `-f`, `-ft`, `-o link`, `-olink`, `-pofield`. */
function readShort({ flags, values, rest }: Reading, text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const [known, flag] = Object.entries(flags).find(([, { char }]) => char === text[at]) ?? [];
    if (known === undefined || flag === undefined) return false;
    if (flag.value !== undefined) return addValue(values, known, flag, at + 1 < text.length ? text.slice(at + 1) : rest.shift());
    addFlag(values, known);
  }
  return text !== '';
}

function addFlag(values: Values, name: string): true {
  values.set(name, []);
  return true;
}

function addValue(values: Values, name: string, { multiple }: FlagSpecification, value: string | undefined): boolean {
  // oclif takes `-o=x` for x.
  if (value === undefined || value === '' || value.startsWith('-') || value.startsWith('=')) return false;
  const before = values.get(name);
  if (before !== undefined && multiple !== true) return false;
  values.set(name, [...(before ?? []), value]);
  return true;
}
