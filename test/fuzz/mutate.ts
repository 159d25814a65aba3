// Inputs made of others: bits turned, pieces cut, doubled and spliced, lengths that lie, and JSON whose values are swapped.
import type { Random } from './random.ts';

/** Longest input that a mutation makes, bytes; a seed may be longer. */
const MAX_BYTES = 12_000;
/** The same for JSON whose lists were made longer. */
const MAX_JSON_BYTES = 60_000;
const CORNERS_8 = [0, 1, 2, 4, 5, 6, 0x0f, 0x10, 0x3a, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xff] as const;
const CORNERS_16 = [0, 1, 7, 8, 19, 20, 39, 40, 0x7fff, 0x8000, 0x8100, 0x88a8, 0x0800, 0x0806, 0x86dd, 0xfffe, 0xffff] as const;
const CORNERS_32 = [0, 1, 3, 4, 15, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff] as const;

function put(bytes: Uint8Array, at: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) if (at + i < bytes.length) bytes[at + i] = value >>> (8 * (width - 1 - i));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts)).subarray(0, MAX_BYTES);
}

/** A number that stands beside a true one: what is left of the input from `at`, give or take a little. */
function nearLength(input: Uint8Array, at: number, random: Random): number {
  return Math.max(0, random.pick([input.length, input.length - at]) + random.below(9) - 4);
}

function lie(input: Uint8Array, random: Random): Uint8Array {
  const bytes = input.slice();
  const at = random.below(bytes.length);
  const width = random.pick([1, 2, 2, 4]);
  const corners = width === 1 ? CORNERS_8 : width === 2 ? CORNERS_16 : CORNERS_32;
  put(bytes, at, width, random.once(2) ? random.pick(corners) : nearLength(bytes, at, random));
  return bytes;
}

function flip(input: Uint8Array, random: Random): Uint8Array {
  const bytes = input.slice();
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  }
  return bytes;
}

function splice(input: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  return joined(input.subarray(0, random.below(input.length + 1)), other.subarray(random.below(other.length + 1)));
}

function repeat(input: Uint8Array, random: Random): Uint8Array {
  const from = random.below(input.length);
  const to = from + random.below(Math.min(64, input.length - from) + 1);
  const times = random.once(16) ? 200 : 1 + random.below(4);
  return joined(input.subarray(0, to), ...new Array<Uint8Array>(times).fill(input.subarray(from, to)), input.subarray(to));
}

function remove(input: Uint8Array, random: Random): Uint8Array {
  const from = random.below(input.length);
  return joined(input.subarray(0, from), input.subarray(from + 1 + random.below(16)));
}

function insert(input: Uint8Array, word: Uint8Array, random: Random): Uint8Array {
  const at = random.below(input.length + 1);
  return joined(input.subarray(0, at), word, input.subarray(random.once(2) ? at : at + word.length));
}

/** One step away from `input`. `words` are what the format is full of, `other` is another input of the door. */
function step(input: Uint8Array, other: Uint8Array, words: readonly Uint8Array[], random: Random): Uint8Array {
  if (input.length === 0) return random.once(2) ? other.slice() : random.bytes(random.below(64));
  switch (random.below(9)) {
    case 0:
      return input.slice(0, random.below(input.length + 1));
    case 1:
      return joined(input, random.bytes(random.below(64)));
    case 2:
      return splice(input, other, random);
    case 3:
      return repeat(input, random);
    case 4:
      return remove(input, random);
    case 5:
      return words.length > 0 ? insert(input, random.pick(words), random) : lie(input, random);
    case 6:
      return lie(input, random);
    default:
      return flip(input, random);
  }
}

/** One to four steps away from a seed, or once in a while nothing but noise. */
export function mutate(seeds: readonly Uint8Array[], words: readonly Uint8Array[], random: Random): Uint8Array {
  if (random.once(64)) return random.bytes(random.below(256));
  let bytes = random.pick(seeds);
  for (let left = 1 + random.below(4); left > 0; left--) bytes = step(bytes, random.pick(seeds), words, random);
  return bytes;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const NASTY: readonly Json[] = [
  null,
  true,
  -1,
  0,
  0.5,
  65536,
  2 ** 32,
  2 ** 53,
  -0,
  1e308,
  '',
  '\u0000',
  '\ud800',
  '__proto__',
  'constructor',
  '0.0.0.0',
  '::',
  '255.255.255.255',
  'ff:ff:ff:ff:ff:ff',
  '02:00:00:00:00:1',
  [],
  {},
  [[]],
  { length: 3 },
  'x'.repeat(5000),
];

function nasty(random: Random): Json {
  if (!random.once(60)) return random.pick(NASTY);
  let deep: Json = 1;
  for (let left = random.pick([10, 100, 3000]); left > 0; left--) deep = random.once(2) ? [deep] : { a: deep };
  return deep;
}

/** The same value with one place in it changed. */
function changed(value: Json, random: Random): Json {
  if (typeof value !== 'object' || value === null || random.once(6)) return nasty(random);
  if (Array.isArray(value)) return changedList(value, random);
  const entries = Object.entries(value);
  if (entries.length === 0 || random.once(6))
    return Object.fromEntries([...entries, [String(random.pick(['x', '__proto__', 'kind', ''])), nasty(random)]]);
  const at = random.below(entries.length);
  if (random.once(6)) return Object.fromEntries(entries.toSpliced(at, 1));
  return Object.fromEntries(entries.map(([key, child], index) => [key, index === at ? changed(child, random) : child]));
}

function changedList(list: readonly Json[], random: Random): Json {
  if (list.length === 0) return [nasty(random)];
  const at = random.below(list.length);
  if (random.once(6)) return list.toSpliced(at, 1);
  if (random.once(24)) return new Array<Json>(random.pick([33, 600])).fill(list[at] as Json);
  return list.map((child, index) => (index === at ? changed(child, random) : child));
}

/** JSON texts whose values were swapped for others; half of the time bytes changed as in any other input. */
export function mutateJson(seeds: readonly Uint8Array[], words: readonly Uint8Array[], random: Random): Uint8Array {
  const seed = random.pick(seeds);
  if (random.once(3)) return mutate(seeds, words, random);
  try {
    let value = JSON.parse(Buffer.from(seed).toString()) as Json;
    for (let left = 1 + random.below(3); left > 0; left--) value = changed(value, random);
    const text = JSON.stringify(value);
    return text.length > MAX_JSON_BYTES ? utf8(text.slice(0, random.below(MAX_JSON_BYTES))) : utf8(text);
  } catch {
    return mutate(seeds, words, random);
  }
}

export const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
