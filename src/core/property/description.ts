// A property as plain data: what a plugin host tells overlayd about a plugin's properties, and the check of it.
import type { AnyPropertyDefinition, PropertyDefinition, PropertyType, PropertyValue } from '@overlayadm/api';
import { MAX_NAME_CHARS, MAX_POSSIBLE_VALUES, MAX_PROPERTIES, MAX_SUMMARY_CHARS } from '../util/limits.ts';
import { isValueOf, PROPERTY_TYPES } from './values.ts';

/** A definition without its function: survives JSON. */
export interface PropertyDescription extends Omit<PropertyDefinition, 'refuse' | 'possible' | 'default'> {
  readonly default?: PropertyValue;
  readonly possible?: readonly PropertyValue[] | { readonly min: number; readonly max: number };
  /** The plugin has a rule of its own, which only its host can be asked for. */
  readonly hasRefuse: boolean;
}

export function describeProperty(definition: AnyPropertyDefinition): PropertyDescription {
  const { name, type, access, required, default: fallback, possible, unit, summary, onlyFor, refuse, live } = definition;
  return {
    name,
    type,
    access,
    required,
    ...(fallback === undefined ? {} : { default: fallback }),
    ...(possible === undefined ? {} : { possible }),
    ...(unit === undefined ? {} : { unit }),
    summary,
    ...(onlyFor === undefined ? {} : { onlyFor }),
    live,
    hasRefuse: refuse !== undefined,
  };
}

type Loose = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value);
const isOneOf = (value: unknown, words: readonly string[]): boolean => typeof value === 'string' && words.includes(value);

const NAME = /^[a-z][a-z0-9_]*$/;
const FIELDS = ['name', 'type', 'access', 'required', 'default', 'possible', 'unit', 'summary', 'onlyFor', 'live', 'hasRefuse'];

/** Why `value` is no PropertyDescription; undefined when it is one. Total: `value` is any JSON, come from a plugin host. */
export function checkDescription(value: unknown): string | undefined {
  if (!isObject(value)) return 'a property is not an object';
  const { name, type, access, required, summary, live, hasRefuse } = value;
  if (typeof name !== 'string' || !NAME.test(name) || name.length > MAX_NAME_CHARS)
    return `a property name is not of the form [a-z][a-z0-9_]* with at most ${MAX_NAME_CHARS} characters`;
  if (Object.keys(value).some((key) => !FIELDS.includes(key))) return `${name}: has an unknown field`;
  if (!isOneOf(type, PROPERTY_TYPES)) return `${name}: type is none of ${PROPERTY_TYPES.join(', ')}`;
  if (!isOneOf(access, ['r-', 'rw'])) return `${name}: access is neither r- nor rw`;
  if (typeof required !== 'boolean' || typeof live !== 'boolean' || typeof hasRefuse !== 'boolean')
    return `${name}: required, live and hasRefuse are not all true or false`;
  if (typeof summary !== 'string' || summary.length > MAX_SUMMARY_CHARS || /[\p{Cc}\u2028\u2029]/u.test(summary))
    return `${name}: summary is not one line of at most ${MAX_SUMMARY_CHARS} characters`;
  return (
    whyNotOptional(name, value) ?? whyNotPossible(name, type as PropertyType, value.possible) ?? whyNotDefault(name, type as PropertyType, value)
  );
}

function whyNotOptional(name: string, { unit, onlyFor }: Loose): string | undefined {
  if (unit !== undefined && !isOneOf(unit, ['bytes', 'ms', 's'])) return `${name}: unit is none of bytes, ms, s`;
  if (onlyFor !== undefined && !isOneOf(onlyFor, ['ethernet', 'ip', 'port'])) return `${name}: onlyFor is none of ethernet, ip, port`;
  return undefined;
}

function whyNotPossible(name: string, type: PropertyType, possible: unknown): string | undefined {
  if (possible === undefined) return undefined;
  if (Array.isArray(possible)) {
    if (possible.length === 0 || possible.length > MAX_POSSIBLE_VALUES) return `${name}: possible does not have 1-${MAX_POSSIBLE_VALUES} values`;
    return possible.every((value) => isValueOf(type, value)) ? undefined : `${name}: possible has a value that is no ${type}`;
  }
  if (type !== 'int' && type !== 'uint') return `${name}: possible is a range, but the type is ${type}`;
  const fits = isObject(possible) && isValueOf(type, possible.min) && isValueOf(type, possible.max) && possible.min <= possible.max;
  return fits ? undefined : `${name}: possible is neither a list nor {min, max} of ${type} values`;
}

function whyNotDefault(name: string, type: PropertyType, value: Loose): string | undefined {
  const fallback = value.default;
  if (fallback === undefined) return value.access === 'r-' && value.required ? `${name}: is required, but nobody can set it` : undefined;
  if (!isValueOf(type, fallback)) return `${name}: default is no ${type}`;
  return isPossible(value as unknown as PropertyDescription, fallback) ? undefined : `${name}: default is not possible`;
}

/** Why `value` is no table of descriptions: a list, bounded, each name once. Total. */
export function checkDescriptions(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'properties are not a list';
  if (value.length > MAX_PROPERTIES) return `there are ${value.length} properties, at most ${MAX_PROPERTIES} are allowed`;
  const names = new Set<unknown>();
  for (const item of value as unknown[]) {
    const reason = checkDescription(item);
    if (reason !== undefined) return reason;
    const { name } = item as PropertyDescription;
    if (names.has(name)) return `${name}: is there twice`;
    names.add(name);
  }
  return undefined;
}

/** Does `possible`, where there is one, allow this value of the right type? */
export function isPossible({ possible }: Pick<PropertyDescription, 'possible'>, value: PropertyValue): boolean {
  if (possible === undefined) return true;
  if ('min' in possible) return typeof value === 'number' && value >= possible.min && value <= possible.max;
  return possible.includes(value);
}
