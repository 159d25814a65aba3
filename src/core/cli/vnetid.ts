// Reads the numbers of -v: a virtual network, a VLAN.
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

/** IEEE 802.1Q: 0 means "no VLAN" and 4095 is reserved. */
const MAX_VLAN_ID = 4094;

/** @throws OverlayError USAGE in dladm's words. */
export function parseVlanId(text: string): number {
  const vid = Number(text);
  if (!/^[0-9]+$/.test(text) || vid < 1 || vid > MAX_VLAN_ID)
    throw usageError(`invalid vlan-id '${text}'`, `Write a number from 1 to ${MAX_VLAN_ID}.`);
  return vid;
}
