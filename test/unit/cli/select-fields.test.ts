// Which columns -o takes, and the words of illumos ofmt_strerror() for what it does not.
import { describe, expect, it } from 'vitest';
import { selectFields } from '../../../src/core/cli/select-fields.ts';
import type { Field } from '../../../src/core/cli/table.ts';

const field = (name: string, asked = false): Field<null> => ({ name, width: 5, value: () => null, asked });
const FIELDS = [field('LINK'), field('PID', true), field('MTU')];

function select(output: string | undefined, parsable: boolean): { names: string[]; warnings: string[] } {
  const warnings: string[] = [];
  const fields = selectFields(FIELDS, { output, parsable, warn: (text) => warnings.push(text) });
  return { names: fields.map(({ name }) => name), warnings };
}

describe('selectFields', () => {
  it.each([
    { output: undefined, names: ['LINK', 'MTU'] },
    { output: 'all', names: ['LINK', 'PID', 'MTU'] },
    { output: 'ALL', names: ['LINK', 'PID', 'MTU'] },
    { output: 'mtu,Link', names: ['MTU', 'LINK'] },
    { output: 'pid', names: ['PID'] },
    { output: 'link,link', names: ['LINK', 'LINK'] },
    { output: ',link,', names: ['LINK'] },
  ])('takes $output', ({ output, names }) => {
    expect(select(output, false)).toEqual({ names, warnings: [] });
    if (output !== undefined && output.toLowerCase() !== 'all') expect(select(output, true)).toEqual({ names, warnings: [] });
  });

  it.each([
    { output: 'x,link', warning: "ignoring unknown output field: `x'" },
    { output: 'x,link,y', warning: "ignoring unknown output fields: `x' `y'" },
    { output: 'all,link', warning: "ignoring unknown output field: `all'" },
  ])('shows people what is left of $output', ({ output, warning }) => {
    expect(select(output, false)).toEqual({ names: ['LINK'], warnings: [warning] });
  });

  it.each([
    { output: 'x', parsable: false, message: 'no valid output fields' },
    { output: '', parsable: false, message: 'no valid output fields' },
    { output: ',', parsable: true, message: 'no valid output fields' },
    { output: undefined, parsable: true, message: 'output fields must be specified in parsable mode' },
    { output: '', parsable: true, message: 'output fields must be specified in parsable mode' },
    { output: 'All', parsable: true, message: 'output fields must be specified in parsable mode' },
    { output: 'x,link', parsable: true, message: "unknown output field: `x'" },
    { output: 'x,link,y', parsable: true, message: "unknown output fields: `x' `y'" },
  ])('refuses $output (parsable: $parsable)', ({ output, parsable, message }) => {
    const advice = 'Fields: link, pid, mtu.';
    expect(() => select(output, parsable)).toThrow(expect.objectContaining({ code: 'USAGE', message, advice }));
  });
});
