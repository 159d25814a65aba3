// Builders of frames and addresses for tests.
import { ipToBytes, type MacAddress, macFromBytes, macToBytes, parseIp, parseMac } from '@overlayadm/api';

/** The n-th address of a made-up vendor; `mac(1)` is 02:00:00:00:00:01. */
export function mac(number: number): MacAddress {
  const bytes = Uint8Array.of(2, 0, (number >>> 24) & 0xff, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff);
  return macFromBytes(bytes);
}

/** @throws when the text is no address: a test must not go on with undefined. */
export const macOf = (text: string): MacAddress => parseMac(text) ?? fail(text);
export const ipOf = (text: string): NonNullable<ReturnType<typeof parseIp>> => parseIp(text) ?? fail(text);

function fail(text: string): never {
  throw new Error(`no address: ${text}`);
}

/** An Ethernet frame of an EtherType nobody uses (0x88b5, IEEE local experimental), with `text` as payload. */
export function frame(to: MacAddress, from: MacAddress, text = '', etherType = 0x88b5): Uint8Array {
  const payload = new TextEncoder().encode(text);
  return Uint8Array.of(...macToBytes(to), ...macToBytes(from), etherType >> 8, etherType & 0xff, ...payload);
}

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(14));

/** A broadcast ARP request, RFC 826. */
export function arpRequest(from: MacAddress, sender: string, target: string): Uint8Array {
  const addresses = [...macToBytes(from), ...ipToBytes(ipOf(sender)), 0, 0, 0, 0, 0, 0, ...ipToBytes(ipOf(target))];
  return Uint8Array.of(255, 255, 255, 255, 255, 255, ...macToBytes(from), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...addresses);
}
