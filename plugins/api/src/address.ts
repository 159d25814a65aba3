// Addresses as branded, canonical strings: what crosses JSON, files and property values is already the value itself.

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** A 48-bit Ethernet address, six lower-case two-digit octets: `de:ad:be:ef:00:00`. */
export type MacAddress = Brand<string, 'mac'>;
/** An IPv4 address in dotted quads or an IPv6 address as RFC 5952 §4 writes it; v4-mapped addresses are kept as IPv4. */
export type IpAddress = Brand<string, 'ip'>;
export type IpFamily = 4 | 6;

const CANONICAL_MAC = /^[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}$/;
const MAC_TEXT = /^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i;

/** Reads `ether_aton` syntax: six octets of one or two hexadecimal digits, any case. Anything else gives undefined. */
export function parseMac(text: string): MacAddress | undefined {
  // Tables of 100,000 entries are read at a time, and nearly all of them are canonical.
  if (CANONICAL_MAC.test(text)) return text as MacAddress;
  if (!MAC_TEXT.test(text)) return undefined;
  return text
    .toLowerCase()
    .split(':')
    .map((octet) => octet.padStart(2, '0'))
    .join(':') as MacAddress;
}

/** The six octets at `at`. @throws RangeError when fewer than six are there. */
export function macFromBytes(bytes: Uint8Array, at = 0): MacAddress {
  if (at + 6 > bytes.length) throw new RangeError(`a MAC address needs 6 bytes at ${at}, there are ${bytes.length - at}`);
  let text = '';
  for (let i = 0; i < 6; i++) text += (i ? ':' : '') + (bytes[at + i] as number).toString(16).padStart(2, '0');
  return text as MacAddress;
}

export function macToBytes(mac: MacAddress): Uint8Array {
  return Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** As `ether_ntoa` prints it, without leading zeros: what `show-overlay -t` shows, as illumos does. */
export const macToDisplay = (mac: MacAddress): string => mac.replace(/(^|:)0/g, '$1');

/** Group addresses have the lowest bit of the first octet set (IEEE 802-2014 §8.2.2); broadcast is one of them. */
export const isGroupMac = (mac: MacAddress): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;

const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
/** No octet has a leading zero, so that there is one way to write an address, and what matches is canonical. */
const IPV4_TEXT = new RegExp(`^${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}$`);

function ipv4Bytes(text: string): number[] | undefined {
  return IPV4_TEXT.test(text) ? text.split('.').map(Number) : undefined;
}

function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes('.')) {
      const tail = ipv4Bytes(part);
      if (tail === undefined) return undefined;
      bytes.push(...tail);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      const group = Number.parseInt(part, 16);
      bytes.push(group >> 8, group & 0xff);
    } else return undefined;
  }
  return bytes;
}

function ipv6Bytes(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] as string);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string) : [];
  if (head === undefined || tail === undefined) return undefined;
  // An embedded IPv4 address may only end the whole address (RFC 4291 §2.2).
  if (halves.length === 2 && (halves[0] as string).includes('.')) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

const isMapped = (bytes: Uint8Array): boolean =>
  bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (start + length < groups.length && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** 4 or 16 bytes in network order; v4-mapped addresses become IPv4. @throws RangeError for any other length. */
export function ipFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length === 4) return bytes.join('.') as IpAddress;
  if (bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  if (isMapped(bytes)) return bytes.subarray(12).join('.') as IpAddress;
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number));
  const zeros = longestZeroRun(groups);
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (zeros.start < 0) return hex(groups) as IpAddress;
  return `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.start + zeros.length))}` as IpAddress;
}

/** Reads IPv4 or IPv6 text (no zone, no prefix length) into its canonical form. Anything else gives undefined. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) return IPV4_TEXT.test(text) ? (text as IpAddress) : undefined;
  const bytes = ipv6Bytes(text);
  return bytes === undefined ? undefined : ipFromBytes(Uint8Array.from(bytes));
}

/** 4 bytes for IPv4, 16 for IPv6, network order. */
export function ipToBytes(ip: IpAddress): Uint8Array {
  return Uint8Array.from((ip.includes(':') ? ipv6Bytes(ip) : ipv4Bytes(ip)) as number[]);
}

export const ipFamily = (ip: IpAddress): IpFamily => (ip.includes(':') ? 6 : 4);

export type IpScope = 'unspecified' | 'loopback' | 'multicast' | 'broadcast' | 'v4-compatible' | '6to4' | 'unicast';

function ipv4Scope(bytes: Uint8Array): IpScope {
  const [first] = bytes as unknown as [number];
  if (bytes.every((byte) => byte === 0)) return 'unspecified';
  if (bytes.every((byte) => byte === 255)) return 'broadcast';
  if (first === 127) return 'loopback';
  return first >= 224 && first <= 239 ? 'multicast' : 'unicast';
}

/** What kind of address it is; `v4-compatible` (`::a.b.c.d`) and `6to4` (2002::/16) are kinds of their own because illumos refuses them. */
export function ipScope(ip: IpAddress): IpScope {
  const bytes = ipToBytes(ip);
  if (bytes.length === 4) return ipv4Scope(bytes);
  if (bytes[0] === 0xff) return 'multicast';
  if (bytes[0] === 0x20 && bytes[1] === 0x02) return '6to4';
  if (!bytes.subarray(0, 12).every((byte) => byte === 0)) return 'unicast';
  const low = new DataView(bytes.buffer).getUint32(12);
  if (low === 0) return 'unspecified';
  return low === 1 ? 'loopback' : 'v4-compatible';
}
