// Fields of up to 32 bits at any bit offset, numbered as in RFC diagrams.
import type { BitField } from '@overlayadm/api';

/**
 * The field's value, unsigned. `at` is the byte where bit 0 stands. Bytes outside of `bytes` count as zero.
 * Plain arithmetic instead of shifts: a field of 32 bits that is not byte aligned spans 40 bits.
 */
export function readBits(bytes: Uint8Array, at: number, field: BitField): number {
  const end = field.bit + field.bits;
  const lastByte = at + Math.ceil(end / 8);
  let value = 0;
  for (let i = at + (field.bit >>> 3); i < lastByte; i++) value = value * 256 + ((bytes[i] as number) | 0);
  return Math.floor(value / 2 ** (-end & 7)) % 2 ** field.bits;
}

/** Writes the low `field.bits` bits of `value` (0 to 2^32-1); bits around the field stay. Nothing outside of `bytes` is written. */
export function writeBits(bytes: Uint8Array, at: number, field: BitField, value: number): void {
  let rest = value >>> 0;
  let end = field.bit + field.bits;
  for (let left = field.bits; left > 0; ) {
    const i = at + ((end - 1) >>> 3);
    const behind = -end & 7;
    const take = Math.min(left, 8 - behind);
    const mask = ((1 << take) - 1) << behind;
    bytes[i] = ((bytes[i] as number) & ~mask) | ((rest << behind) & mask);
    rest >>>= take;
    left -= take;
    end -= take;
  }
}

/** 16 bits in network order; bytes outside of `bytes` count as zero. */
export const readU16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Are the `length` bytes at `a` and at `b` equal? */
export function sameBytes(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}

/** Are all `length` bytes at `at` zero? */
export function allZero(bytes: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== 0) return false;
  return true;
}
