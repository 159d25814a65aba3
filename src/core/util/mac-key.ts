// A MAC address as one exact number, the form in which it crosses to the engine: order of numbers is order of octets.
import { type MacAddress, macFromBytes } from '@overlayadm/api';

/** 0 to 2^48-1. */
export const macToKey = (mac: MacAddress): number => Number.parseInt(mac.replaceAll(':', ''), 16);

export function keyToMac(key: number): MacAddress {
  const bytes = new Uint8Array(6);
  for (let i = 5, rest = key; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return macFromBytes(bytes);
}
