// The seven property types: how a value is read from text, recognised in JSON, and shown.
import { type PropertyType, type PropertyValue, parseIp, parseMac } from '@overlayadm/api';
import { MAX_PATH_BYTES, MAX_PROPERTY_BYTES } from '../util/limits.ts';

interface TypeRule {
  /** What a person may write, for "is not allowed (...)". */
  readonly expected: string;
  /** The word of a usage line: `<ip>`. */
  readonly word: string;
  read(text: string): PropertyValue | undefined;
}

// Without leading zeros: 010 is eight to some programs and ten to others.
const WHOLE = /^-?(0|[1-9][0-9]{0,15})$/;

function readWhole(text: string): number | undefined {
  if (!WHOLE.test(text) || text === '-0') return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function readLine(text: string, maxBytes: number): string | undefined {
  // A lone surrogate would not survive being saved as UTF-8.
  if (/[\0\r\n]/.test(text) || text.length > maxBytes || !text.isWellFormed()) return undefined;
  return Buffer.byteLength(text) <= maxBytes ? text : undefined;
}

const RULES: Readonly<Record<PropertyType, TypeRule>> = {
  int: { expected: 'a whole decimal number', word: 'number', read: readWhole },
  uint: { expected: 'a whole decimal number, not negative', word: 'number', read: (text) => (text.startsWith('-') ? undefined : readWhole(text)) },
  ip: { expected: 'an IPv4 or IPv6 address', word: 'ip', read: parseIp },
  ether: { expected: 'a MAC address such as 02:08:20:0:0:1', word: 'mac', read: parseMac },
  string: { expected: `one line of at most ${MAX_PROPERTY_BYTES} bytes`, word: 'text', read: (text) => readLine(text, MAX_PROPERTY_BYTES) },
  boolean: { expected: 'true or false', word: 'true|false', read: (text) => (text === 'true' ? true : text === 'false' ? false : undefined) },
  path: {
    expected: `an absolute path of at most ${MAX_PATH_BYTES} bytes`,
    word: 'path',
    read: (text) => (text.startsWith('/') ? readLine(text, MAX_PATH_BYTES) : undefined),
  },
};

export const PROPERTY_TYPES = Object.keys(RULES) as readonly PropertyType[];

export const expectedOf = (type: PropertyType): string => RULES[type].expected;
export const wordOf = (type: PropertyType): string => RULES[type].word;

/** The value that `text` stands for, in canonical form; undefined when it is no text of this type. */
export const readValue = (type: PropertyType, text: string): PropertyValue | undefined => RULES[type].read(text);

/** The text that readValue() reads back to the same value. */
export const formatValue = (value: PropertyValue): string => String(value);

/** Is `value`, of whatever origin, a value of this type in canonical form? */
export function isValueOf(type: PropertyType, value: unknown): value is PropertyValue {
  const kind = type === 'int' || type === 'uint' ? 'number' : type === 'boolean' ? 'boolean' : 'string';
  // Object.is, because -0 reads back as 0.
  return typeof value === kind && Object.is(readValue(type, String(value)), value);
}
