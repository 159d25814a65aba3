// The texts of -p: properties with values, by the grammar of illumos dladm_parse_args() with one value each, and names alone.
import type { OverlayError } from '../rpc/errors.ts';
import type { PropertyArgument } from '../rpc/protocol.ts';
import { MAX_NAME_CHARACTERS, MAX_PATH_BYTES, MAX_PROPERTY_ARGUMENTS } from '../util/limits.ts';
import { usageError } from './usage.ts';

/**
 * `prop=value[,prop=value...]`, each text one -p. There is no quoting: a value can contain neither `,` nor `=`.
 * @throws OverlayError USAGE for anything else, for a property that is given twice, and for too many.
 */
export function parsePropertyArguments(texts: readonly string[]): PropertyArgument[] {
  const found = new Map<string, string>();
  for (const text of texts) {
    let previous: string | undefined;
    for (const item of text.split(',')) {
      const { name, value } = parseItem(text, item, previous, found);
      if (found.has(name)) throw usageError(`${name}: given more than once (${found.get(name)}, ${value})`);
      found.set(name, value);
      previous = name;
    }
  }
  if (found.size > MAX_PROPERTY_ARGUMENTS) throw usageError(`property list too long: ${found.size} properties`, `At most ${MAX_PROPERTY_ARGUMENTS}.`);
  return [...found].map(([name, text]) => ({ name, text }));
}

type Found = ReadonlyMap<string, string>;

function parseItem(text: string, item: string, previous: string | undefined, found: Found): { name: string; value: string } {
  const [name, value, ...more] = item.split('=');
  if (name === undefined || item === '') throw invalid(text, 'nothing where prop=value has to be', found);
  if (name === '') throw invalid(text, `no name before '${item}'`, found);
  if (value === undefined) {
    if (previous !== undefined) throw invalid(text, `'${item}' would be a second value of ${previous}`, found);
    throw usageError(`no value specified for '${name}'`, 'Write -p prop=value[,prop=value...].');
  }
  if (more.length > 0) throw invalid(text, `more than one = in '${item}'`, found);
  if (value === '') throw usageError(`no value specified for '${name}'`, 'Write -p prop=value[,prop=value...].');
  if (name.length > MAX_NAME_CHARACTERS || value.length > MAX_PATH_BYTES) throw usageError(`property list too long '${item.slice(0, 40)}...'`);
  return { name, value };
}

/** Says how far it was understood: whoever wrote a `,` or `=` into a value sees where that was cut. */
function invalid(text: string, why: string, found: Found): OverlayError {
  const understood = [...found].map(([name, value]) => `${name} is '${value}'`);
  const until = understood.length === 0 ? '' : ` Understood until there: ${understood.join('; ')}.`;
  const rule = 'Write -p prop=value[,prop=value...]. There is no quoting: a value can contain neither , nor =.';
  return usageError(`invalid property list '${text}': ${why}`, rule + until);
}

/**
 * `prop[,prop...]`, each text one -p; null when there is none. A name that is given twice counts once.
 * @throws OverlayError USAGE
 */
export function parsePropertyNames(texts: readonly string[] | undefined): string[] | null {
  if (texts === undefined) return null;
  const names = texts.flatMap((text) => text.split(','));
  const wrong = names.find((name) => name === '' || name.includes('='));
  if (wrong !== undefined) throw usageError('invalid link properties specified', 'Write -p prop[,prop...]: names only, without values.');
  return [...new Set(names)];
}
