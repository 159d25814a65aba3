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
