// A MAC address as one exact number, the form in which it crosses to the engine: order of numbers is order of octets.
import { type MacAddress, macFromBytes } from '@overlayadm/api';

/** 0 to 2^48-1. */
export const macToKey = (mac: MacAddress): number => Number.parseInt(mac.replaceAll(':', ''), 16);

/** The two numbers in which tables of targets and messages of the kernel keep one: 16 bits, and 32 as a signed number. */
export const keyHalves = (key: number): [high: number, low: number] => [Math.floor(key / 0x1_0000_0000), key | 0];
export const keyOfHalves = (high: number, low: number): number => high * 0x1_0000_0000 + (low >>> 0);

export function keyToMac(key: number): MacAddress {
  const bytes = new Uint8Array(6);
  for (let i = 5, rest = key; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return macFromBytes(bytes);
}
