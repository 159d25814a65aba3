// What a plugin is given when its overlay was made with another version of it.
import { defineProperties } from '@overlayadm/api';
import { expect, it } from 'vitest';
import { currentValues } from '../../../src/core/varpd/current-values.ts';

const rest = { access: 'rw', required: false, summary: 'x', live: true } as const;
const plugin = {
  properties: defineProperties([
    { ...rest, name: 'old', type: 'uint', default: 1 },
    { ...rest, name: 'added', type: 'string', default: 'usual' },
    { ...rest, name: 'port', type: 'uint', default: 7, onlyFor: 'port' },
    { ...rest, name: 'free', type: 'string' },
  ]),
};

it('has every default that the overlay was made without, and its own values before them', () => {
  expect(currentValues(plugin, { values: { old: 5 }, needs: ['ip', 'port'] })).toEqual({ old: 5, added: 'usual', port: 7 });
});

it('has nothing that is not there with this encapsulation', () => {
  expect(currentValues(plugin, { values: { old: 5, free: 'x' }, needs: ['ip'] })).toEqual({ old: 5, added: 'usual', free: 'x' });
});
