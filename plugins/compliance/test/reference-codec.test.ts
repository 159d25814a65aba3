// The reference codec against arithmetic on whole words, and on any bytes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipshim } from '../src/ipshim.ts';
import { matchOfBit, readField, referenceHeader, referenceRead, writeField } from '../src/reference-codec.ts';

const anyBytes = fc.uint8Array({ maxLength: 80 }).map((bytes) => Array.from(bytes));
const anyField = fc.integer({ min: 1, max: 32 }).chain((bits) => fc.record({ bits: fc.constant(bits), bit: fc.integer({ min: 0, max: 64 - bits }) }));

describe('reference codec', () => {
  it('writes the bits that a 64-bit word has there, and no others', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), anyField, fc.integer({ min: 0, max: 0xffff_ffff }), (word, field, value) => {
        const bytes = Array.from({ length: 8 }, (_, i) => Number((word >> BigInt(56 - 8 * i)) & 0xffn));
        const shift = BigInt(64 - field.bit - field.bits);
        const mask = (1n << BigInt(field.bits)) - 1n;
        const expected = (word & ~(mask << shift)) | ((BigInt(value) & mask) << shift);
        const written = writeField(bytes, field, value).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
        expect(written).toBe(expected);
        expect(readField(writeField(bytes, field, value), field)).toBe(Number(BigInt(value) & mask));
      }),
    );
  });
  it('reads any bytes to a header inside the packet, or to a named drop', () => {
    fc.assert(
      fc.property(anyBytes, (packet) => {
        const reading = referenceRead(ipshim.format, packet);
        if (reading.kind === 'kept') expect(reading.headerBytes <= packet.length && reading.headerBytes >= 8).toBe(true);
        else expect(['too-short', 'ipshim.version', 'ipshim.critical-option']).toContain(reading.reason);
      }),
    );
  });
  it('writes the entropy where the format has it', () => {
    expect(referenceHeader(ipshim.format, 1, 0xbeef)).toEqual([0x10, 0, 0xbe, 0xef, 0, 0, 1, 0]);
  });
  it('knows which match compares a bit', () => {
    expect([0, 3, 4, 8, 9, 63].map((bit) => matchOfBit(ipshim.format, bit))).toEqual([
      'ipshim.version',
      'ipshim.version',
      undefined,
      'ipshim.critical-option',
      undefined,
      undefined,
    ]);
  });
});
