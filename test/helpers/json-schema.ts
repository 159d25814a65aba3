// Checks a value against the JSON Schema files of schemas/: the keywords that they use, and no other.
import { readFileSync } from 'node:fs';

type Schema = Readonly<Record<string, unknown>>;
type Check = (value: unknown, argument: unknown, schema: Schema, path: string) => string[];

export function schemaOf(name: string): Schema {
  return JSON.parse(readFileSync(new URL(`../../schemas/${name}.json`, import.meta.url), 'utf8'));
}

/** What is wrong, one line each; none when the value is as the schema says. @throws Error for a keyword that is not known here. */
export function violations(value: unknown, schema: Schema, path = '$'): string[] {
  return Object.entries(schema).flatMap(([keyword, argument]) => {
    const check = CHECKS[keyword];
    if (check === undefined) throw new Error(`${path}: the keyword ${keyword} is not known to this checker`);
    return check(value, argument, schema, path);
  });
}

const nothing: Check = () => [];
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

const when = (wrong: boolean, text: string): string[] => (wrong ? [text] : []);

const CHECKS: Readonly<Record<string, Check>> = {
  $schema: nothing,
  title: nothing,
  description: nothing,
  type: (value, types, _, path) => when(![types].flat().includes(typeOf(value)), `${path}: ${typeOf(value)}, not ${[types].flat().join(' or ')}`),
  enum: (value, values, _, path) => when(!(values as unknown[]).includes(value), `${path}: ${JSON.stringify(value)} is not one of them`),
  pattern: (value, pattern, _, path) =>
    when(typeof value === 'string' && !new RegExp(String(pattern), 'u').test(value), `${path}: ${JSON.stringify(value)} is not like ${pattern}`),
  minimum: (value, least, _, path) => when(typeof value === 'number' && value < Number(least), `${path}: ${value} is below ${least}`),
  maximum: (value, most, _, path) => when(typeof value === 'number' && value > Number(most), `${path}: ${value} is above ${most}`),
  items: (value, schema, _, path) => (Array.isArray(value) ? value.flatMap((item, at) => violations(item, schema as Schema, `${path}[${at}]`)) : []),
  required: (value, names, _, path) => (isObject(value) ? (names as string[]).flatMap((name) => when(!(name in value), `${path}: no ${name}`)) : []),
  properties: (value, schemas, _, path) =>
    Object.entries(schemas as Record<string, Schema>).flatMap(([name, schema]) =>
      isObject(value) && name in value ? violations(value[name], schema, `${path}.${name}`) : [],
    ),
  additionalProperties: (value, rule, { properties }, path) =>
    Object.entries(isObject(value) ? value : {})
      .filter(([name]) => !(name in ((properties as object | undefined) ?? {})))
      .flatMap(([name, more]) => (rule === false ? [`${path}: ${name} is not in the schema`] : violations(more, rule as Schema, `${path}.${name}`))),
};
