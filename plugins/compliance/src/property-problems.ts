// What can be wrong with a table of properties, each as a sentence.
import type { AnyPropertyDefinition, IpAddress, PropertyTable, PropertyType, PropertyValue } from '@overlayadm/api';
import { parseIp, parseMac } from '@overlayadm/api';

const NAME = /^[a-z][a-z0-9_]{0,30}$/;

/** One address of every kind there is: `refuse` of an `ip` property has to have an answer for each. */
export const ADDRESSES_OF_EVERY_KIND: readonly IpAddress[] = [
  '0.0.0.0',
  '10.0.0.1',
  '127.0.0.1',
  '169.254.0.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::10.0.0.1',
  '2002:a00:1::',
  '2001:db8::1',
  'fe80::1',
  'fd00::1',
  'ff02::1',
  'ffff::1',
].map((text) => {
  const ip = parseIp(text);
  if (ip === undefined) throw new RangeError(`${text} is no address`);
  return ip;
});

const IS_OF_TYPE: Readonly<Record<PropertyType, (value: PropertyValue) => boolean>> = {
  int: (value) => Number.isSafeInteger(value),
  uint: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  ip: (value) => typeof value === 'string' && parseIp(value) === value,
  ether: (value) => typeof value === 'string' && parseMac(value) === value,
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  path: (value) => typeof value === 'string' && value.startsWith('/'),
};

const isRange = (possible: NonNullable<AnyPropertyDefinition['possible']>): possible is { readonly min: number; readonly max: number } =>
  !Array.isArray(possible);

/** `refuse` without the type of its value: the caller takes values of the right type. */
const refusal = (definition: AnyPropertyDefinition, value: PropertyValue): unknown =>
  (definition.refuse as ((value: PropertyValue) => unknown) | undefined)?.(value);

function isPossible(definition: AnyPropertyDefinition, value: PropertyValue): boolean {
  const { possible } = definition;
  if (possible === undefined) return true;
  if (isRange(possible)) return Number(value) >= possible.min && Number(value) <= possible.max;
  return (possible as readonly PropertyValue[]).includes(value);
}

/** Values of the property that are worth trying on `refuse`. */
function probes(definition: AnyPropertyDefinition): PropertyValue[] {
  const { possible } = definition;
  const listed: readonly PropertyValue[] = possible === undefined ? [] : isRange(possible) ? [possible.min, possible.max] : possible;
  const addresses = definition.type === 'ip' ? ADDRESSES_OF_EVERY_KIND : [];
  return [...listed, ...addresses, ...(definition.default === undefined ? [] : [definition.default])];
}

function refuseProblems(definition: AnyPropertyDefinition): string[] {
  const problems: string[] = [];
  for (const value of probes(definition)) {
    const answer = refusal(definition, value);
    if (refusal(definition, value) !== answer) problems.push(`refuse(${value}) gives two answers`);
    if (answer !== undefined && (typeof answer !== 'string' || !/^\S[^\n]*[^\s.]$/.test(answer))) {
      problems.push(`refuse(${value}) has to give undefined or the end of a sentence, one line without a full stop`);
    }
  }
  return problems;
}

function valueProblems(definition: AnyPropertyDefinition): string[] {
  const { type, possible, default: preset } = definition;
  const problems: string[] = [];
  if (possible !== undefined && isRange(possible)) {
    if (type !== 'int' && type !== 'uint') problems.push('a range is for numbers');
    if (!(possible.min <= possible.max)) problems.push('the range is empty');
  }
  if (!probes(definition).every((value) => IS_OF_TYPE[type](value))) problems.push(`default or possible values are not of type ${type}`);
  if (preset !== undefined && !isPossible(definition, preset)) problems.push('the default is not possible');
  if (preset !== undefined && refusal(definition, preset) !== undefined) problems.push('the default is refused');
  return problems;
}

function problemsOf(definition: AnyPropertyDefinition): string[] {
  const problems: string[] = [];
  if (!NAME.test(definition.name)) problems.push('the name has to be [a-z][a-z0-9_]*, at most 31 characters');
  if (!Object.hasOwn(IS_OF_TYPE, definition.type)) return [...problems, 'unknown type'];
  if (!['r-', 'rw'].includes(definition.access)) problems.push('unknown access');
  if (definition.access === 'r-' && definition.required) problems.push('nobody can set it, so it cannot be required');
  if (!/^\S[^\n]*\S$/.test(definition.summary)) problems.push('the summary has to be one line');
  if (typeof definition.live !== 'boolean' || typeof definition.required !== 'boolean') problems.push('live and required are true or false');
  return [...problems, ...valueProblems(definition), ...refuseProblems(definition)];
}

/** Everything wrong with a table, each sentence with the name of its property; empty when it is right. */
export function propertyProblems(table: PropertyTable): string[] {
  const names = table.map((definition) => definition.name);
  const repeated = names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${name}: is there twice`);
  return [...repeated, ...table.flatMap((definition) => problemsOf(definition).map((problem) => `${definition.name}: ${problem}`))];
}
