// The text of -p, by the grammar of illumos dladm_parse_args() with exactly one value for each name.
import type { OverlayError } from '../rpc/errors.ts';
import type { PropertyArgument } from '../rpc/protocol.ts';
import { usageError } from './usage.ts';

/**
 * `prop=value[,prop=value...]`, each text one -p. There is no quoting: a value can contain neither `,` nor `=`.
 * @throws OverlayError USAGE for anything else, and for a property that is given twice.
 */
export function parsePropertyArguments(texts: readonly string[]): PropertyArgument[] {
  const found = new Map<string, string>();
  for (const text of texts) {
    let previous: string | undefined;
    for (const item of text.split(',')) {
      const { name, value } = parseItem(text, item, previous);
      if (found.has(name)) throw usageError(`${name}: given more than once (${found.get(name)}, ${value})`);
      found.set(name, value);
      previous = name;
    }
  }
  return [...found].map(([name, text]) => ({ name, text }));
}

function parseItem(text: string, item: string, previous: string | undefined): { name: string; value: string } {
  const [name, value, ...more] = item.split('=');
  if (name === undefined || item === '') throw invalid(text, 'nothing where prop=value has to be');
  if (name === '') throw invalid(text, `no name before '${item}'`);
  if (value === undefined) throw invalid(text, previous === undefined ? `no value for ${name}` : `'${item}' would be a second value of ${previous}`);
  if (more.length > 0) throw invalid(text, `more than one = in '${item}'`);
  if (value === '') throw invalid(text, `no value for ${name}`);
  return { name, value };
}

function invalid(text: string, why: string): OverlayError {
  return usageError(`invalid property list '${text}': ${why}`, 'Write -p prop=value[,prop=value...]; a value cannot contain , or =.');
}
