// Where colours are, and where the text stays plain.
import { describe, expect, it } from 'vitest';
import { painter, wantsColour } from '../../../src/core/cli/colour.ts';

const terminal = { isTTY: true };
const pipe = {};

describe('wantsColour', () => {
  it.each([
    { stream: terminal, environment: {}, wants: true },
    { stream: pipe, environment: {}, wants: false },
    { stream: terminal, environment: { NO_COLOR: '1' }, wants: false },
    { stream: terminal, environment: { NO_COLOR: '' }, wants: true },
    { stream: pipe, environment: { FORCE_COLOR: '1' }, wants: true },
    { stream: pipe, environment: { FORCE_COLOR: '1', NO_COLOR: '1' }, wants: false },
  ])('$stream with $environment: $wants', ({ stream, environment, wants }) => {
    expect(wantsColour(stream, environment)).toBe(wants);
  });
});

it('gives no painter where nothing is to be painted', () => {
  expect(painter('stdout', { NO_COLOR: '1', FORCE_COLOR: '1' })).toBeUndefined();
});
