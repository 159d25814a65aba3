// All properties of one overlay as one table, and the values they get: -p, then configuration, then defaults.
import { type AnyPropertyValues, type DestinationField, OverlayError, type PropertyValue } from '@overlayadm/api';
import { type PropertyText, refuseRepeated } from './arguments.ts';
import type { PropertyDescription } from './description.ts';
import { OVERLAY_PROPERTIES, SEARCH_PROPERTY, SET_BY_OPTION } from './generic.ts';
import { parseValue, showText } from './parse.ts';
import { wordOf } from './values.ts';

export type PropertyOwner = 'overlay' | 'encap' | 'lookup';

/** What the table needs to know of a plugin. */
export interface PluginProperties {
  readonly name: string;
  readonly properties: readonly PropertyDescription[];
}
export interface EncapProperties extends PluginProperties {
  readonly needs: readonly DestinationField[];
}

export interface PropertyEntry {
  /** What people see and type: `vxlan/listen_port`, `mtu`. */
  readonly fullName: string;
  readonly owner: PropertyOwner;
  readonly description: PropertyDescription;
}

export interface PropertyTableOf {
  readonly encap: EncapProperties;
  readonly lookup: PluginProperties;
  /** In the order of show-overlay. Without the properties whose `onlyFor` names something the encapsulation does not need. */
  readonly entries: readonly PropertyEntry[];
}

export interface ResolvedProperty extends PropertyEntry {
  /** undefined when it has none; for what `-e`, `-s` and `-v` set too. */
  readonly value: PropertyValue | undefined;
  readonly from: 'argument' | 'configuration' | 'default' | 'nothing';
}

/** The properties of an overlay with these two plugins. */
export function propertyTable(encap: EncapProperties, lookup: PluginProperties): PropertyTableOf {
  const generic = (description: PropertyDescription): PropertyEntry => ({ fullName: description.name, owner: 'overlay', description });
  const of = (plugin: PluginProperties, owner: PropertyOwner): PropertyEntry[] =>
    plugin.properties
      .filter(({ onlyFor }) => onlyFor === undefined || encap.needs.includes(onlyFor))
      .map((description) => ({ fullName: `${plugin.name}/${description.name}`, owner, description }));
  const entries = [...OVERLAY_PROPERTIES.map(generic), ...of(encap, 'encap'), generic(SEARCH_PROPERTY), ...of(lookup, 'lookup')];
  return { encap, lookup, entries };
}

/**
 * The value of every property of the table. `given` is what was typed and must fit entirely; `configured` holds defaults for
 * any plugin by full name, of which the table's own are taken. `refuse` of plugins was not asked yet.
 * @throws OverlayError PROPERTY_UNKNOWN, PROPERTY_READ_ONLY, PROPERTY_REPEATED, PROPERTY_INVALID for `given`, in this order
 * for each; PROPERTY_INVALID for `configured`; PROPERTY_MISSING with every property that still lacks its value.
 */
export function resolveProperties(
  table: PropertyTableOf,
  given: readonly PropertyText[],
  configured: ReadonlyMap<string, string> = new Map(),
): readonly ResolvedProperty[] {
  for (const { name } of given) refuseName(table, name);
  refuseRepeated(given);
  const typed = new Map(given.map(({ name, text }) => [name, text]));
  const resolved = table.entries.map((entry) => resolveOne(entry, typed, configured));
  refuseMissing(resolved);
  return resolved;
}

function resolveOne(entry: PropertyEntry, typed: ReadonlyMap<string, string>, configured: ReadonlyMap<string, string>): ResolvedProperty {
  const { fullName, description } = entry;
  const text = typed.get(fullName);
  if (text !== undefined) return { ...entry, value: parseValue(fullName, description, text), from: 'argument' };
  const usual = isSettable(entry) ? configured.get(fullName) : undefined;
  if (usual !== undefined) return { ...entry, value: parseConfigured(entry, usual), from: 'configuration' };
  return { ...entry, value: description.default, from: description.default === undefined ? 'nothing' : 'default' };
}

function parseConfigured({ fullName, description }: PropertyEntry, text: string): PropertyValue {
  try {
    return parseValue(fullName, description, text);
  } catch (cause) {
    if (!OverlayError.is(cause)) throw cause;
    const advice = 'The value comes from the configuration directory; correct it there, or give another one with -p.';
    throw new OverlayError(cause.code, cause.message, { details: { ...cause.details, source: 'configuration' }, advice, cause });
  }
}

/** Can it be given with -p at all? */
export const isSettable = ({ fullName, owner, description }: PropertyEntry): boolean =>
  description.access === 'rw' && !(owner === 'overlay' && Object.hasOwn(SET_BY_OPTION, fullName));

/** @throws OverlayError PROPERTY_UNKNOWN or PROPERTY_READ_ONLY when `name` cannot be given with -p. */
function refuseName(table: PropertyTableOf, name: string): void {
  const entry = table.entries.find(({ fullName }) => fullName === name);
  if (entry === undefined) throw unknownProperty(table, name);
  if (isSettable(entry)) return;
  const option = entry.owner === 'overlay' && Object.hasOwn(SET_BY_OPTION, name) ? SET_BY_OPTION[name] : undefined;
  throw new OverlayError('PROPERTY_READ_ONLY', `${name}: cannot be set with -p${option === undefined ? ' (read-only property)' : ''}`, {
    details: { property: name },
    advice: option === undefined ? `Leave out ${name}.` : `Use ${option}.`,
  });
}

function unknownProperty({ encap, lookup, entries }: PropertyTableOf, name: string): OverlayError {
  const known = entries.filter(isSettable).map(({ fullName }) => fullName);
  const shown = showText(name);
  const slash = name.indexOf('/');
  const prefix = name.slice(0, Math.max(slash, 0));
  const own = [encap, lookup].filter((plugin) => plugin.name === prefix).flatMap((plugin) => plugin.properties);
  const left = own.find((description) => description.name === name.slice(slash + 1));
  let message = `${shown}: no such property`;
  if (left !== undefined) message = `${shown}: is not there with ${encap.name}, whose destinations have no ${left.onlyFor}`;
  else if (slash > 0 && own.length === 0 && prefix !== encap.name && prefix !== lookup.name && prefix !== 'varpd')
    message = `${shown}: belongs to the plugin ${showText(prefix)}, but this overlay uses ${encap.name} and ${lookup.name}`;
  const meant = known.find((full) => full.endsWith(`/${name}`));
  const advice = meant === undefined ? `Known are: ${known.join(', ')}.` : `Did you mean ${meant}? Known are: ${known.join(', ')}.`;
  return new OverlayError('PROPERTY_UNKNOWN', message, { details: { property: name, known }, advice });
}

function refuseMissing(resolved: readonly ResolvedProperty[]): void {
  const missing = resolved.filter(({ description, value }) => description.required && value === undefined);
  if (missing.length === 0) return;
  const names = missing.map(({ fullName }) => fullName);
  const typed = missing.map(({ fullName, description }) => `${fullName}=<${wordOf(description.type)}>`).join(',');
  throw new OverlayError('PROPERTY_MISSING', `${names.join(', ')}: required, but ${names.length === 1 ? 'has' : 'have'} no value`, {
    details: { properties: names },
    advice: `Add -p ${typed}.`,
  });
}

/** The values of one plugin, by name without prefix, as its `create` and `socket` take them. What has no value is left out. */
export function valuesOf(resolved: readonly ResolvedProperty[], owner: PropertyOwner): AnyPropertyValues {
  const values: Record<string, PropertyValue> = {};
  for (const { owner: of, description, value } of resolved) if (of === owner && value !== undefined) values[description.name] = value;
  return values;
}
