// The check of JSON against JSON.parse(), and what it finds besides: the place, and keys that are there twice.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { whyNotJson } from '../../../src/core/config/json.ts';

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const TWICE = 'this key is there twice';

describe('whyNotJson', () => {
  it.each([
    ['', 0, 'expected a value'],
    [' \n ', 3, 'expected a value'],
    ['{', 1, 'expected a key in double quotes or }'],
    ['{a: 1}', 1, 'expected a key in double quotes or }'],
    ['{"a" 1}', 5, 'expected :'],
    ['{"a": }', 6, 'expected a value'],
    ['{"a": 1,}', 8, 'expected a key in double quotes'],
    ['{"a": 1 "b"', 8, 'expected , or }'],
    ['{"a": 01}', 7, 'expected , or }'],
    ['[1,]', 3, 'expected a value'],
    ['[1}', 2, 'expected , or ]'],
    ['{} x', 3, 'expected the end of the file'],
    ['{"a": "x\ny"}', 6, 'expected a value'],
    ['{"a": 1, "a": 2}', 9, TWICE],
    ['{"a": 1, "\\u0061": 2}', 9, TWICE],
    ['[{"b": {"a": 1, "a": 2}}]', 16, TWICE],
    ['{"__proto__": 1, "__proto__": 2}', 17, TWICE],
  ])('%j: at %i, %s', (text, at, reason) => {
    expect(whyNotJson(text)).toEqual({ at, reason });
  });

  it.each(['{"a": {"a": [1, {"a": 2}]}, "b": {"a": 3}}', ' [] ', '"\x7f\u2028\\ud800"', '-0.5e+3', 'null'])('takes %j', (text) => {
    expect(whyNotJson(text)).toBeUndefined();
  });

  it('takes what JSON.parse() takes, of anything written by JSON.stringify()', () => {
    fc.assert(fc.property(fc.json(), (text) => whyNotJson(text) === undefined));
  });

  it('says of almost JSON what JSON.parse() says, but for keys that are there twice', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"',
      '\\',
      '1',
      '-',
      '0',
      '.',
      'e',
      'true',
      'null',
      ' ',
      '\n',
      '\t',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        const mistake = whyNotJson(text);
        if (mistake?.reason !== TWICE) expect(mistake === undefined).toBe(parses(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('is not ended by a deep nesting', () => {
    expect(whyNotJson('['.repeat(100_000) + ']'.repeat(100_000))).toBeUndefined();
    expect(whyNotJson('{"a":'.repeat(50_000))).toEqual({ at: 250_000, reason: 'expected a value' });
  });
});
