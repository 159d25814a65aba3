// The Internet checksum (RFC 1071) and the IPv6 pseudo header (RFC 8200 §8.1).

/** Adds the 16-bit words in network order to `sum`, an odd last byte padded with zero. Not folded: that is done once, at the end. */
export function addWords(bytes: Uint8Array, at: number, length: number, sum = 0): number {
  let total = sum;
  const even = at + length - (length & 1);
  for (let i = at; i < even; i += 2) total += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  return length & 1 ? total + ((bytes[even] as number) << 8) : total;
}

/** Sum of the pseudo header of the IPv6 header at `ipAt`. `length` is that of the upper-layer packet, bytes. */
export function addPseudoHeader(bytes: Uint8Array, ipAt: number, length: number, nextHeader: number): number {
  // Source and destination stand side by side in the header as in the pseudo header.
  return addWords(bytes, ipAt + 8, 32) + (length >>> 16) + (length & 0xffff) + nextHeader;
}

/** Folds a sum to 16 bits. Over data that holds its own checksum the result is 0xffff when the checksum is right. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = Math.floor(folded / 0x10000) + (folded % 0x10000);
  return folded;
}

/** What goes into the checksum field: the complement of the folded sum over the data with that field zero. */
export const checksumOf = (sum: number): number => 0xffff - foldSum(sum);
