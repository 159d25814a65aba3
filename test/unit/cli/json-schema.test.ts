// The checker of the tests finds what a schema forbids, and every schema file uses only what it knows.
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { schemaOf, violations } from '../../helpers/json-schema.ts';

const names = readdirSync(new URL('../../../schemas', import.meta.url)).map((file) => file.replace(/\.json$/, ''));

/** Every schema within a schema, itself included. */
function* within(schema: Readonly<Record<string, unknown>>): Generator<Readonly<Record<string, unknown>>> {
  yield schema;
  const inner = [schema.items, schema.additionalProperties, ...Object.values((schema.properties as object | undefined) ?? {})];
  for (const each of inner) if (typeof each === 'object' && each !== null) yield* within(each as Readonly<Record<string, unknown>>);
}

it.each(names)('%s.json can be checked, and names every key of its objects', (name) => {
  const schema = schemaOf(name);
  expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
  for (const each of within(schema)) {
    for (const value of [null, 'x', 1, [], {}]) expect(() => violations(value, each)).not.toThrow();
    if (each.properties !== undefined) expect(each.additionalProperties).toBe(false);
  }
});

describe('violations', () => {
  it.each([
    { schema: { type: 'string' }, value: 1, found: ['$: integer, not string'] },
    { schema: { type: ['string', 'null'] }, value: {}, found: ['$: object, not string or null'] },
    { schema: { type: 'integer' }, value: 1.5, found: ['$: number, not integer'] },
    { schema: { enum: ['a'] }, value: 'b', found: ['$: "b" is not one of them'] },
    { schema: { pattern: '^[0-9]+$' }, value: '1x', found: ['$: "1x" is not like ^[0-9]+$'] },
    { schema: { minimum: 1, maximum: 2 }, value: 0, found: ['$: 0 is below 1'] },
    { schema: { minimum: 1, maximum: 2 }, value: 3, found: ['$: 3 is above 2'] },
    { schema: { items: { type: 'null' } }, value: [null, 1], found: ['$[1]: integer, not null'] },
    { schema: { required: ['a'] }, value: {}, found: ['$: no a'] },
    { schema: { properties: { a: { type: 'null' } } }, value: { a: [] }, found: ['$.a: array, not null'] },
    { schema: { properties: {}, additionalProperties: false }, value: { b: 1 }, found: ['$: b is not in the schema'] },
    { schema: { additionalProperties: { type: 'null' } }, value: { b: 1 }, found: ['$.b: integer, not null'] },
  ])('$found', ({ schema, value, found }) => {
    expect(violations(value, schema)).toEqual(found);
  });

  it('does not pass over a keyword that it does not know', () => {
    expect(() => violations(1, { multipleOf: 2 })).toThrow('multipleOf');
  });
});
