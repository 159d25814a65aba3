// Names of links, and the next free one.
import { OverlayError } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkLinkName, freeOverlayName } from '../../../src/core/overlay/names.ts';

describe('a link name', () => {
  it.each(['overlay0', 'a0', 'a1', 'A10', 'net.blue_3', 'a.1', 'vx4x5', 'a23456789012345', 'overlay10'])('may be %s', (name) => {
    expect(() => checkLinkName(name)).not.toThrow();
  });

  it.each([
    '',
    '0',
    'overlay',
    'overlay00',
    'overlay01',
    '1overlay0',
    '_a0',
    '.a0',
    'a b0',
    'a/0',
    'a0\n',
    'ä0',
    'a-0',
    'a:0',
    'a234567890123456',
    '../a0',
    'a%0',
  ])('may not be %j, and the refusal says what may be', (name) => {
    expect(() => checkLinkName(name)).toThrow(
      expect.objectContaining({ code: 'LINK_NAME', details: { name }, advice: expect.stringContaining('overlay0') }),
    );
  });

  it('of any kind is taken or refused, never more', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (name) => {
        try {
          checkLinkName(name);
        } catch (error) {
          expect(OverlayError.is(error)).toBe(true);
        }
      }),
    );
  });

  it('is repeated in the message only so far', () => {
    expect(() => checkLinkName('x'.repeat(10_000))).toThrow(expect.objectContaining({ message: expect.stringMatching(/^.{0,100}$/) }));
  });
});

describe('the next free name', () => {
  it('is the lowest that nobody has, gaps first', () => {
    const taken = new Set(['overlay0', 'overlay1', 'overlay3']);
    expect(freeOverlayName((name) => taken.has(name))).toBe('overlay2');
    expect(freeOverlayName(() => false)).toBe('overlay0');
  });
});
