// Underlay addresses in the columns of the target table: four words each, bytes in network order, IPv4 in the first.

/** 4 or 16 bytes, in the order in which they stand, into four words. */
export function writeAddress(words: Uint32Array, at: number, ip: Uint8Array): void {
  const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * at, 16);
  bytes.fill(0);
  bytes.set(ip);
}

export function readAddress(words: Uint32Array, at: number, family: 4 | 6): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + 4 * at, family === 4 ? 4 : 16).slice();
}

export function isAddress(words: Uint32Array, at: number, ip: Uint8Array): boolean {
  const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * at, 16);
  return ip.every((byte, index) => bytes[index] === byte);
}
