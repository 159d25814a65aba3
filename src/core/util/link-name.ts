// What a link may be called: the one rule, for the commands that check what was typed and for overlayd.
import { MAX_LINK_NAME_BYTES } from './limits.ts';

/** A letter first, a number without leading zero last, as dladm wants it; so that names can be counted up. */
const LINK_NAME = /^[A-Za-z](?:[A-Za-z0-9_.]*[A-Za-z_.])?(?:0|[1-9][0-9]*)$/;

export const LINK_NAME_ADVICE = `A name has at most ${MAX_LINK_NAME_BYTES} characters: a letter, then letters, digits, "_" and ".", and at the end a number without leading zero, as in overlay0.`;

export const isTooLong = (name: string): boolean => Buffer.byteLength(name) > MAX_LINK_NAME_BYTES;
export const isLinkName = (name: string): boolean => !isTooLong(name) && LINK_NAME.test(name);
