// Text to value and back, for one property: the words of refusals, and the columns of show-overlay.
import { OverlayError, type PropertyValue } from '@overlayadm/api';
import { MAX_SHOWN_CHARS } from '../util/limits.ts';
import { isPossible, type PropertyDescription } from './description.ts';
import { expectedOf, formatValue, readValue, wordOf } from './values.ts';

export { formatValue } from './values.ts';

/** A text as it may stand in a message: quoted when it would be invisible or break the line, cut when long. */
export function showText(text: string): string {
  const cut = text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS).toWellFormed()}...` : text;
  return /^[\x21-\x7e]+$/.test(cut) ? cut : JSON.stringify(cut).replace(/[\x7f-\x9f\u2028\u2029]/g, '?');
}

/** What may be written: `1-65535`, `auto,tap`, or what the type allows. */
export const expectedFor = (description: PropertyDescription): string => formatPossible(description) ?? expectedOf(description.type);

/**
 * Reads `text` as a value of this property. `name` is the full name, for the message.
 * @throws OverlayError PROPERTY_INVALID when it is none of the type, or none that is possible.
 */
export function parseValue(name: string, description: PropertyDescription, text: string): PropertyValue {
  const value = readValue(description.type, text);
  if (value !== undefined && isPossible(description, value)) return value;
  const expected = expectedFor(description);
  throw new OverlayError('PROPERTY_INVALID', `${name}: ${showText(text)} is not allowed (${expected})`, {
    details: { property: name, value: text, expected },
    advice: `Give -p ${name}=<${wordOf(description.type)}>, of: ${expected}.`,
  });
}

/** The error for a value that the plugin's own `refuse` turned down; `reason` ends the sentence that begins with the value. */
export function refusedValue(name: string, value: PropertyValue, reason: string): OverlayError {
  const text = formatValue(value);
  return new OverlayError('PROPERTY_INVALID', `${name}: ${showText(text)} ${reason}`, {
    details: { property: name, value: text, expected: reason },
    advice: `Give another value with -p ${name}=<value>.`,
  });
}

/** POSSIBLE column: a range as `min-max`, a single value as itself, a list joined by commas; undefined for no limit. */
export function formatPossible({ possible }: Pick<PropertyDescription, 'possible'>): string | undefined {
  if (possible === undefined) return undefined;
  if (!('min' in possible)) return possible.map(formatValue).join(',');
  return possible.min === possible.max ? String(possible.min) : `${possible.min}-${possible.max}`;
}

/** DEFAULT column; undefined without one. */
export const formatDefault = (description: Pick<PropertyDescription, 'default'>): string | undefined =>
  description.default === undefined ? undefined : formatValue(description.default);
