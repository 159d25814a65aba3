// The JSON reader against JSON.parse, and on any bytes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JsonReading, type JsonValue, MAX_DEPTH, MAX_VALUES, readJson, readJsonMembers, readText } from '../src/json.ts';

/** What JSON.parse would give. */
function plain(value: JsonValue): unknown {
  if (value.kind === 'null') return null;
  if (value.kind === 'array') return value.items.map(plain);
  if (value.kind !== 'object') return value.value;
  const object: Record<string, unknown> = {};
  // As JSON.parse: own properties, whatever they are called.
  for (const { key, value: member } of value.members)
    Object.defineProperty(object, key, { value: plain(member), enumerable: true, configurable: true, writable: true });
  return object;
}

const parsed = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
};

const read = (text: string): { readonly value: unknown } | undefined => {
  const reading = readJson(text);
  return reading.kind === 'ok' ? { value: plain(reading.value) } : undefined;
};

const problem = (text: string): string => {
  const reading = readJson(text);
  return reading.kind === 'ok' ? 'ok' : `${reading.line}: ${reading.problem}`;
};

function readJsonBytes(bytes: Uint8Array): JsonReading {
  const text = readText(bytes);
  return typeof text === 'string' ? readJson(text) : { kind: 'error', ...text };
}

/** Texts that are nearly JSON: pieces of it in any order. */
const piece = fc.constantFrom(
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"',
  '\\',
  '\\u00',
  '\\u0041',
  '"a"',
  '"k":',
  '1',
  '-',
  '0',
  '.5',
  'e3',
  'true',
  'null',
  'fals',
  ' ',
  '\n',
  '\t',
  '\u0001',
  '\ufeff',
  'é',
);
const nearlyJson = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));

describe('readJson', () => {
  it('gives what JSON.parse gives, for any document and any white space', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom('', ' ', '\t', '\n'), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(read(text)).toEqual(parsed(text));
      }),
    );
  });
  it('accepts and refuses what JSON.parse accepts and refuses', () => {
    fc.assert(
      fc.property(nearlyJson, (text) => void expect(read(text)).toEqual(parsed(text))),
      { numRuns: 3_000 },
    );
    for (const text of [
      '-',
      '01',
      '1.',
      '1e',
      '+1',
      '-0',
      '1E+2',
      '1e999',
      '"\\ud800"',
      '{"__proto__":1,"__proto__":2}',
      '[1,]',
      '{"a":1,}',
      '\f1',
      '"\u007f"',
    ]) {
      expect(read(text), text).toEqual(parsed(text));
    }
  });
  it('has an answer for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const reading = readJsonBytes(bytes);
        const lines = bytes.filter((byte) => byte === 0x0a).length + 1;
        if (reading.kind === 'error') expect(reading.line >= 1 && reading.line <= lines).toBe(true);
      }),
    );
  });
  it('keeps the line of each key and value', () => {
    const reading = readJson('\n{"a":\r\n  [1,\n2], "b"\n:\n\nnull}');
    expect(reading).toEqual({
      kind: 'ok',
      value: {
        kind: 'object',
        line: 2,
        members: [
          {
            key: 'a',
            keyLine: 2,
            value: {
              kind: 'array',
              line: 3,
              items: [
                { kind: 'number', line: 3, value: 1 },
                { kind: 'number', line: 4, value: 2 },
              ],
            },
          },
          { key: 'b', keyLine: 4, value: { kind: 'null', line: 7 } },
        ],
      },
    });
  });
  it.each([
    ['', '1: expected a value, the file ends here'],
    ['root:x:0:0', '1: expected a JSON object, which begins with {'],
    ['{"a"\n=1}', '2: expected : after a key'],
    ['{\n\n1:2}', '3: expected a key in double quotes or }'],
    ['{"a":1,}', '1: expected a key in double quotes'],
    ['{"a":1\n"b":2}', '2: expected , or } after a value'],
    ['[1\n\n2]', '3: expected , or ] after a value'],
    ['{"a":x}', '1: expected a JSON value'],
    ['{}\n{}', '2: expected the end of the file'],
    ['{"a\n', '1: a string has a line break or another control character in it'],
    ['{"a', '1: a string has no closing double quote'],
    ['{"\\x', '1: a string has an unknown escape in it'],
    ['{"\\u12g4"', '1: expected four hexadecimal digits after \\u'],
    ['[-]', '1: expected a digit after -'],
  ])('says of %j: %s', (text, expected) => expect(problem(text)).toBe(expected));
  it('follows a bounded depth, however deep a file is', () => {
    expect(problem('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH))).toBe('ok');
    expect(problem('['.repeat(1_000_000))).toMatch(/nested too deeply/);
    expect(problem('{"a":'.repeat(100_000))).toMatch(/nested too deeply/);
  });
});

describe('readJsonMembers', () => {
  function collected(text: string): unknown {
    const members = readJsonMembers(text);
    const found = [];
    for (let step = members.next(); ; step = members.next()) {
      if (step.done === true) return step.value === undefined ? { kind: 'ok', value: { kind: 'object', line: 1, members: found } } : 'error';
      found.push(step.value);
    }
  }
  it('gives, one at a time, the members that readJson gives of an object, and refuses what it refuses', () => {
    fc.assert(
      fc.property(nearlyJson, (text) => {
        const whole = readJson(`{${text}`);
        expect(collected(`{${text}`)).toEqual(whole.kind === 'ok' ? whole : 'error');
      }),
      { numRuns: 3_000 },
    );
  });
  it('has given what stands before a mistake', () => {
    const members = readJsonMembers('{"a": 1,\n"b": x}');
    expect(members.next().value).toMatchObject({ key: 'a' });
    expect(members.next()).toEqual({ done: true, value: { line: 2, problem: 'expected a JSON value' } });
  });
  it.each(['', '[]', ' 7', 'x'])('takes nothing but an object: %j', (text) => expect(collected(text)).toBe('error'));
});

describe('readJson, of many values', () => {
  it('keeps a bounded number, so that a file cannot fill the memory of the host', () => {
    expect(problem(`[${'0,'.repeat(MAX_VALUES)}0]`)).toMatch(/too many values/);
  });
});

describe('readText', () => {
  it('accepts a byte order mark, once', () => {
    expect(readJsonBytes(new TextEncoder().encode('\ufeff{}')).kind).toBe('ok');
    expect(readJsonBytes(new TextEncoder().encode('\ufeff\ufeff{}')).kind).toBe('error');
  });
  it.each([
    [[0x7b, 0x0a, 0x0a, 0xff, 0x0a], 3],
    [[0xc3], 1],
    [[0x0a, 0xed, 0xa0, 0x80], 2],
    [[0x22, 0xc3, 0x0a, 0xa9], 1],
  ])('names the line of bytes that are no UTF-8: %j', (bytes, line) => {
    expect(readJsonBytes(Uint8Array.from(bytes))).toEqual({ kind: 'error', line, problem: 'the text is not UTF-8' });
  });
});
