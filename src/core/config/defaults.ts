// The key `defaults` of the configuration: property values that an overlay gets when -p does not give them.

import { OVERLAY_PROPERTIES, SEARCH_PROPERTY, SET_BY_OPTION } from '../property/generic.ts';
import { showText } from '../property/parse.ts';
import type { OverlayError } from '../util/errors.ts';
import { MAX_NAME_CHARS, MAX_PATH_BYTES, MAX_PROPERTY_BYTES } from '../util/limits.ts';
import { nearest } from '../util/nearest.ts';
import { invalid } from './errors.ts';

/** `plugin/name`: what providers.ts of varpd lets a plugin be called, and description.ts its properties. */
const PLUGIN_PROPERTY = /^([a-z][a-z0-9]*)\/([a-z][a-z0-9_]*)$/;
/** Properties that have no plugin's prefix, whoever may set them. */
const GENERIC = [...OVERLAY_PROPERTIES, SEARCH_PROPERTY];
const SETTABLE = GENERIC.filter(({ name, access }) => access === 'rw' && !Object.hasOwn(SET_BY_OPTION, name)).map(({ name }) => name);

/** Unknown names of one plugin's properties, for checkConfiguredNames(). */
export interface KnownNames {
  /** The plugin: `vxlan`. */
  readonly prefix: string;
  /** Its properties, without the prefix. */
  readonly names: readonly string[];
}

/**
 * Full property name to text, as it would stand behind -p. Whether a plugin has the property, and the value fits it, is not
 * known here. Total: `section` is any data.
 * @throws OverlayError CONFIG_INVALID
 */
export function parseDefaults(path: string, section: object): ReadonlyMap<string, string> {
  const defaults = new Map<string, string>();
  for (const [name, value] of Object.entries(section)) {
    refuseName(path, name);
    defaults.set(name, textOf(path, name, value));
  }
  return defaults;
}

function refuseName(path: string, name: string): void {
  const place = { path, key: showText(name) };
  if (SETTABLE.includes(name)) return;
  if (Object.hasOwn(SET_BY_OPTION, name))
    throw invalid(place, `cannot have a default (create-overlay takes it from ${SET_BY_OPTION[name]} alone)`, 'Leave it out.');
  if (GENERIC.some((generic) => generic.name === name)) throw invalid(place, 'cannot have a default (read-only property)', 'Leave it out.');
  const [, plugin = '', property = ''] = PLUGIN_PROPERTY.exec(name) ?? [];
  if (plugin !== '' && plugin.length <= MAX_NAME_CHARS && property.length <= MAX_NAME_CHARS) return;
  const advice = `Write plugin/property as in show-overlay, or one of: ${SETTABLE.join(', ')}.`;
  throw invalid(place, `no such property${didYouMean(name, SETTABLE)}`, advice);
}

/** The end of a message about an unknown `word`. */
export function didYouMean(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}

function textOf(path: string, key: string, value: unknown): string {
  const text =
    typeof value === 'string' ? value : typeof value === 'boolean' ? String(value) : typeof value === 'number' ? numberText(value) : undefined;
  const reason = text === undefined ? whyNoText(value) : whyNotText(text);
  if (text === undefined || reason !== undefined) throw invalid({ path, key }, `${reason}`, `Correct it, or leave out ${key}.`);
  return text;
}

/** A number that was rounded when it was read is not what the file says. */
const numberText = (value: number): string | undefined => (Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : undefined);

function whyNoText(value: unknown): string {
  if (typeof value === 'number') return 'is no number that can be kept exactly';
  return value === null ? 'has no value' : `is a ${Array.isArray(value) ? 'list' : 'map'}, but has to be a string, number or boolean`;
}

/** The rules of a value behind -p, which has no quoting, so that each default can be given, shown and saved like any value. */
function whyNotText(text: string): string | undefined {
  if (text === '') return 'has no value';
  if (/[\0\r\n]/.test(text) || !text.isWellFormed()) return 'is not one line of text';
  if (/[,=]/.test(text)) return 'has , or = in it, which no value of a property can have';
  const max = text.startsWith('/') ? MAX_PATH_BYTES : MAX_PROPERTY_BYTES;
  return Buffer.byteLength(text) > max ? `has more than ${max} bytes` : undefined;
}

/**
 * The first configured property that a plugin of `known` does not have; undefined when there is none. Properties of other
 * plugins are passed by: they may be installed later. `path`: the file, for the message.
 */
export function checkConfiguredNames(configured: ReadonlyMap<string, string>, known: readonly KnownNames[], path?: string): OverlayError | undefined {
  for (const key of configured.keys()) {
    const slash = key.indexOf('/');
    const plugin = known.find(({ prefix }) => prefix === key.slice(0, Math.max(slash, 0)));
    if (plugin === undefined || plugin.names.includes(key.slice(slash + 1))) continue;
    const names = plugin.names.map((name) => `${plugin.prefix}/${name}`);
    const meant = nearest(key.slice(slash + 1), plugin.names);
    const reason = `no such property${meant === undefined ? '' : `; did you mean ${plugin.prefix}/${meant}?`}`;
    return invalid({ path: path ?? 'configuration', key }, reason, `Known are: ${names.join(', ')}.`);
  }
  return undefined;
}
