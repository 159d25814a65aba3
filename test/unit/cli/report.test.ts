// How errors look to the person who typed the command.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { exitStatusOf, failureOf, reportJson, reportLines, toOverlayError } from '../../../src/core/cli/report.ts';
import { usageError } from '../../../src/core/cli/usage.ts';

describe('reportLines', () => {
  it('has the message, and every line of the advice indented', () => {
    const error = new OverlayError('X', 'net0: is bad', { advice: 'First.\nThen.' });
    expect(reportLines(error, 'show-overlay')).toEqual(['overlayadm: net0: is bad', '  First.', '  Then.']);
  });

  it('ends with the usage line for what was typed wrongly', () => {
    expect(reportLines(usageError('bad', 'Do.'), 'show-overlay [-f]')).toEqual(['overlayadm: bad', '  Do.', 'usage: overlayadm show-overlay [-f]']);
  });

  it('lets no control character of a plugin through', () => {
    const error = new OverlayError('X', 'a\u001b[2Jb\nc', { advice: 'd\u0007' });
    expect(reportLines(error, undefined)).toEqual(['overlayadm: a?[2Jb?c', '  d?']);
  });
});

describe('toOverlayError', () => {
  const oclif = (message: string, more: object = {}): Error => Object.assign(new Error(message), { oclif: { exit: 2 } }, more);

  it('keeps ours', () => {
    const error = new OverlayError('X', 'x');
    expect(toOverlayError(error)).toBe(error);
    expect(exitStatusOf(error)).toBe(1);
  });

  it.each([
    {
      error: oclif('Nonexistent flags: -x, --yy\nSee more help with --help', { flags: ['-x', '--yy'] }),
      message: "unrecognized option '-x', '--yy'",
    },
    { error: oclif('Missing 1 required arg:\nvnic  name', { args: [{ name: 'vnic' }] }), message: 'missing operand: vnic' },
    { error: oclif('Flag --encap expects a value'), message: "option '--encap' requires a value" },
    { error: oclif('Unexpected argument: b\nSee more help with --help', { args: ['b'] }), message: 'unexpected operand: b' },
    { error: oclif('Flag --encap can only be specified once\nSee more help with --help'), message: "option '--encap' is given more than once" },
    { error: oclif('command foo:bar not found'), message: "unknown subcommand 'foo bar'" },
  ])('$message: is about what was typed', ({ error, message }) => {
    expect(toOverlayError(error)).toMatchObject({ code: 'USAGE', message });
    expect(exitStatusOf(toOverlayError(error))).toBe(2);
  });

  it.each([
    { error: new TypeError('x is not a function'), message: 'internal error: x is not a function' },
    { error: oclif('cannot load a.js', { code: 'MODULE_NOT_FOUND' }), message: 'internal error: cannot load a.js' },
    { error: 'a text', message: 'internal error: a text' },
    { error: null, message: 'internal error: null' },
  ])('$message: is ours to mend', ({ error, message }) => {
    expect(toOverlayError(error)).toMatchObject({ code: 'INTERNAL', message, cause: error });
  });
});

it('JSON has what a script needs and no cause', () => {
  const error = new OverlayError('X', 'x', { details: { a: 1 }, advice: 'Do.', cause: new Error('secret') });
  expect(reportJson(error)).toEqual({ error: { code: 'X', message: 'x', details: { a: 1 }, advice: 'Do.' } });
});

it.each([
  { message: 'net0: link busy', text: 'failed to delete net0: link busy' },
  { message: 'failed to delete net0: link busy', text: 'failed to delete net0: link busy' },
  { message: 'lo is not an overlay', text: 'lo is not an overlay' },
])('$message', ({ message, text }) => {
  expect(failureOf('failed to delete', 'net0', message)).toBe(text);
});
