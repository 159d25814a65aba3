// `-p name=value[,name=value...]`, in the grammar of illumos dladm_parse_args, where a property has exactly one value.
import { OverlayError } from '@overlayadm/api';
import { showText } from './parse.ts';

/** A value somebody typed, not read yet. `name` is the full name: `vxlan/listen_ip`. */
export interface PropertyText {
  readonly name: string;
  readonly text: string;
}

const ONE_VALUE = 'A property has exactly one value, and a value cannot contain "," or "=".';

function syntax(message: string, details: Readonly<Record<string, string>>): OverlayError {
  return new OverlayError('PROPERTY_SYNTAX', message, { details, advice: 'Write -p name=value[,name=value...].' });
}

/**
 * Reads the arguments of all `-p` options, in order.
 * @throws OverlayError PROPERTY_SYNTAX for what is not name=value, PROPERTY_REPEATED for a name that is given twice.
 */
export function parsePropertyArguments(options: readonly string[]): readonly PropertyText[] {
  const found: PropertyText[] = [];
  for (const option of options) {
    let previous: string | undefined;
    for (const item of option.split(',')) {
      const argument = readItem(option, item, previous);
      found.push(argument);
      previous = argument.name;
    }
  }
  refuseRepeated(found);
  return found;
}

function readItem(option: string, item: string, previous: string | undefined): PropertyText {
  const [name = '', text, ...more] = item.split('=');
  if (item === '') throw syntax(`-p ${showText(option)}: is empty, or has an empty part`, { argument: option });
  if (more.length > 0) throw manyValues(name, item.slice(name.length + 1));
  // dladm reads `a=1,2` as two values of a; no overlay property takes two.
  if (text === undefined && previous !== undefined) throw manyValues(previous, item);
  if (text === undefined) throw syntax(`${showText(name)}: has no value`, { argument: option, property: name });
  if (name === '') throw syntax(`-p ${showText(option)}: a value has no name`, { argument: option });
  if (text === '') throw syntax(`${showText(name)}: the value is empty`, { argument: option, property: name });
  return { name, text };
}

function manyValues(property: string, extra: string): OverlayError {
  return new OverlayError('PROPERTY_SYNTAX', `${showText(property)}: has more than one value (${showText(extra)})`, {
    details: { property, value: extra },
    advice: ONE_VALUE,
  });
}

/** @throws OverlayError PROPERTY_REPEATED for the first name that is there twice. */
export function refuseRepeated(given: readonly PropertyText[]): void {
  const names = new Set<string>();
  for (const { name } of given) {
    if (names.has(name))
      throw new OverlayError('PROPERTY_REPEATED', `${showText(name)}: is given more than once`, {
        details: { property: name },
        advice: 'Give it once.',
      });
    names.add(name);
  }
}
