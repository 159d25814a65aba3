// Reads the configuration directory: one file, of which overlayd takes property defaults at each create.
import { join } from 'node:path';
import { showText } from '../property/parse.ts';
import type { OverlayError } from '../util/errors.ts';
import { didYouMean, parseDefaults } from './defaults.ts';
import { invalid } from './errors.ts';
import { readTrusted } from './read-file.ts';
import { PLACES, parseConfiguration } from './syntax.ts';

export { checkConfiguredNames, type KnownNames } from './defaults.ts';

export interface Configuration {
  /** The file it comes from; undefined when there is none. */
  readonly path: string | undefined;
  /** Full property name to text, as it would stand behind -p. */
  readonly defaults: ReadonlyMap<string, string>;
}

/** Every top-level key, with its meaning. */
export const KEYS = {
  defaults: 'Values of properties that create-overlay was not given with -p, by full property name',
} as const;

const EMPTY: Configuration = { path: undefined, defaults: new Map() };

/**
 * Reads `directory`/config.yaml or config.json, anew each time. Neither of them, or no directory: an empty configuration.
 * @throws OverlayError CONFIG_INVALID, CONFIG_UNREADABLE, CONFIG_UNSAFE.
 */
export async function loadConfiguration(directory: string): Promise<Configuration> {
  const uid = process.geteuid?.() ?? 0;
  const paths = PLACES.map((place) => join(directory, place));
  const files: { path: string; bytes: Uint8Array }[] = [];
  for (const path of paths) {
    const bytes = await readTrusted(directory, path, uid);
    if (bytes !== undefined) files.push({ path, bytes });
  }
  const [file, other] = files;
  if (file === undefined) return EMPTY;
  if (other !== undefined) throw invalid({ path: file.path }, `${other.path} is there too`, 'Keep one of the two files.');
  return checkConfiguration(file.path, await parseConfiguration(file.path, file.bytes));
}

/** @throws OverlayError CONFIG_INVALID. Total: `value` is any data. */
export function checkConfiguration(path: string, value: unknown): Configuration {
  const top = section({ path }, value);
  for (const key of Object.keys(top)) if (!Object.hasOwn(KEYS, key)) throw unknownKey(path, key);
  const { defaults }: { defaults?: unknown } = top;
  return { path, defaults: defaults === undefined ? EMPTY.defaults : parseDefaults(path, section({ path, key: 'defaults' }, defaults)) };
}

function unknownKey(path: string, key: string): OverlayError {
  const known = Object.keys(KEYS);
  return invalid({ path, key: showText(key) }, `unknown key${didYouMean(key, known)}`, `Known are: ${known.join(', ')}.`);
}

/** In YAML null is what a section has whose lines are all commented out. */
function section(place: { path: string; key?: string }, value: unknown): object {
  if (value === null) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value;
  throw invalid(place, 'is not a map of names to values', 'Write: defaults: {name: value}.');
}
