// Names as dladm checks them when it reads its options: of links that are to be made, and of plugins.
import { OverlayError } from '../rpc/errors.ts';
import { MAX_PLUGIN_NAME_CHARACTERS } from '../util/limits.ts';
import { isLinkName, isTooLong, LINK_NAME_ADVICE } from '../util/link-name.ts';
import { usageError } from './usage.ts';

/** `what`: "encapsulation", "search". @throws OverlayError USAGE */
export function checkPluginName(what: string, name: string | undefined): void {
  if (name !== undefined && name.length > MAX_PLUGIN_NAME_CHARACTERS) {
    throw usageError(`${what} plugin name too long '${name}'`, `A plugin name has at most ${MAX_PLUGIN_NAME_CHARACTERS} characters.`);
  }
}

/** @throws OverlayError LINK_NAME, as overlayd does: whoever finds it first. */
export function checkNewLink(name: string): void {
  const what = isTooLong(name) ? 'link name too long' : 'invalid link name';
  if (!isLinkName(name)) throw new OverlayError('LINK_NAME', `${what} '${name}'`, { details: { name }, advice: LINK_NAME_ADVICE });
}

/**
 * An operand without a character is mostly a variable of a script that was not set; one that is too long for a request would
 * be taken for a mistake of the program. @throws OverlayError USAGE
 */
export function checkOperands(operands: readonly string[], maxCharacters: number): void {
  for (const operand of operands) {
    if (operand === '') throw usageError('an operand is empty', 'Leave it out, or write a name.');
    if (operand.length > maxCharacters) throw usageError(`name too long '${operand.slice(0, 40)}...'`, `At most ${maxCharacters} characters.`);
  }
}
