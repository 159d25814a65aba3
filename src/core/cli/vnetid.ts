// Reads the number of -v.
import { usageError } from './usage.ts';

/**
 * A whole decimal number, as illumos wants it; which numbers an encapsulation has is overlayd's to know.
 * @throws OverlayError USAGE
 */
export function parseVnetid(text: string): number {
  if (!/^[0-9]+$/.test(text)) throw usageError(`couldn't parse virtual network id: ${text}`, 'Write a whole decimal number.');
  const vnetid = Number(text);
  if (!Number.isSafeInteger(vnetid)) throw usageError(`virtual network id too large: ${text}`);
  return vnetid;
}
