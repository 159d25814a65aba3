// Names of overlays and VNICs: what a link may be called, and the next free overlayN.
import { OverlayError } from '@overlayadm/api';
import { isLinkName, LINK_NAME_ADVICE } from '../util/link-name.ts';

/** @throws OverlayError LINK_NAME when no link may be called so. */
export function checkLinkName(name: string): void {
  if (isLinkName(name)) return;
  throw new OverlayError('LINK_NAME', `invalid link name ${JSON.stringify(name.slice(0, 64))}`, {
    details: { name },
    advice: LINK_NAME_ADVICE,
  });
}

/** The lowest overlayN that `isTaken` does not say yes to. */
export function freeOverlayName(isTaken: (name: string) => boolean): string {
  for (let number = 0; ; number++) {
    const name = `overlay${number}`;
    if (!isTaken(name)) return name;
  }
}
