// Names of overlays and VNICs: what a link may be called, and the next free overlayN.
import { OverlayError } from '@overlayadm/api';
import { MAX_LINK_NAME_BYTES } from '../util/limits.ts';

/** A letter first, a number without leading zero last, as dladm wants it; so that names can be counted up. */
const LINK_NAME = /^[A-Za-z](?:[A-Za-z0-9_.]*[A-Za-z_.])?(?:0|[1-9][0-9]*)$/;

/** @throws OverlayError LINK_NAME when no link may be called so. */
export function checkLinkName(name: string): void {
  if (name.length <= MAX_LINK_NAME_BYTES && LINK_NAME.test(name)) return;
  throw new OverlayError('LINK_NAME', `invalid link name ${JSON.stringify(name.slice(0, 64))}`, {
    details: { name },
    advice: `A name has at most ${MAX_LINK_NAME_BYTES} characters: a letter, then letters, digits, "_" and ".", and at the end a number without leading zero, as in overlay0.`,
  });
}

/** The lowest overlayN that `isTaken` does not say yes to. */
export function freeOverlayName(isTaken: (name: string) => boolean): string {
  for (let number = 0; ; number++) {
    const name = `overlay${number}`;
    if (!isTaken(name)) return name;
  }
}
