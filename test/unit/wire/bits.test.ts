// Bit fields and checksums against the simplest thing that could be right.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allZero, readBits, readU16, sameBytes, writeBits, writeU16 } from '../../../src/core/wire/bits.ts';
import { addPseudoHeader, addWords, checksumOf, foldSum } from '../../../src/core/wire/checksum.ts';
import { bytes, naiveChecksum } from './frames.ts';

const field = fc
  .integer({ min: 1, max: 32 })
  .chain((bits) => fc.record({ bits: fc.constant(bits), bit: fc.integer({ min: 0, max: 16 * 8 - bits }) }));
const data = fc.uint8Array({ minLength: 20, maxLength: 20 });
const bitText = (array: Uint8Array): string => [...array].map((byte) => byte.toString(2).padStart(8, '0')).join('');

describe('bits', () => {
  it('reads as in RFC diagrams', () => {
    expect(readBits(bytes('08000000 12345600'), 0, { bit: 32, bits: 24 })).toBe(0x123456);
    expect(readBits(bytes('2b'), 0, { bit: 2, bits: 6 })).toBe(0x2b);
    expect(readBits(bytes('ff80000001'), 1, { bit: 0, bits: 32 })).toBe(0x80000001);
  });

  it('reads what stands there, at any offset', () => {
    fc.assert(
      fc.property(data, fc.integer({ min: 0, max: 4 }), field, (array, at, { bit, bits }) => {
        expect(readBits(array, at, { bit, bits })).toBe(Number.parseInt(bitText(array.subarray(at)).slice(bit, bit + bits), 2));
      }),
    );
  });

  it('writes the field and nothing else', () => {
    fc.assert(
      fc.property(data, fc.integer({ min: 0, max: 4 }), field, fc.integer({ min: 0, max: 0xffff_ffff }), (array, at, { bit, bits }, value) => {
        const before = bitText(array);
        writeBits(array, at, { bit, bits }, value);
        const from = at * 8 + bit;
        const low = value.toString(2).padStart(32, '0').slice(-bits);
        expect(bitText(array)).toBe(before.slice(0, from) + low + before.slice(from + bits));
      }),
    );
  });

  it('takes bytes outside of the array as zero and writes none', () => {
    const two = Uint8Array.of(0xff, 0xff);
    expect(readBits(two, 0, { bit: 8, bits: 16 })).toBe(0xff00);
    expect(readU16(two, 7)).toBe(0);
    writeBits(two, 0, { bit: 12, bits: 32 }, 0);
    expect([...two]).toEqual([0xff, 0xf0]);
  });

  it('compares, tests and writes words', () => {
    const some = bytes('0102 0102 0000');
    expect(sameBytes(some, 0, 2, 2)).toBe(true);
    expect(sameBytes(some, 0, 1, 2)).toBe(false);
    expect(allZero(some, 4, 2)).toBe(true);
    expect(allZero(some, 3, 2)).toBe(false);
    writeU16(some, 4, 0xabcd);
    expect(readU16(some, 4)).toBe(0xabcd);
  });
});

describe('checksum', () => {
  it('is the one of the example of RFC 1071 §3', () => {
    expect(foldSum(addWords(bytes('0001 f203 f4f5 f6f7'), 0, 8))).toBe(0xddf2);
  });

  it('is the naive one for any bytes, odd lengths too, and verifies itself', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(5), (array, at) => {
        const padded = Uint8Array.from([...new Uint8Array(at).fill(0xee), ...array, 0xee]);
        const checksum = checksumOf(addWords(padded, at, array.length));
        // 0 and 0xffff are the same number in ones' complement.
        expect(checksum % 65535).toBe(naiveChecksum([...array]) % 65535);
        expect(foldSum(addWords(padded, at, array.length) + checksum)).toBe(0xffff);
      }),
    );
  });

  it('takes the IPv6 pseudo header in', () => {
    const ip = bytes('60000000 0020 3a ff 20010db8000000000000000000000001 20010db8000000000000000000000002');
    const pseudo = [...ip.subarray(8, 40), 0, 1, 0, 2, 0, 0, 0, 58];
    expect(checksumOf(addPseudoHeader(ip, 0, 0x10002, 58))).toBe(naiveChecksum(pseudo));
  });
});
