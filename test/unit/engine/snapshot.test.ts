// Targets as bytes: what is written is read again, and whatever else the bytes say, nothing but targets comes out.
import { ipToBytes } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTargets, TARGET_RECORD_BYTES, type TargetRecord, writeTargets } from '../../../src/core/engine/snapshot.ts';
import { ipOf } from '../../helpers/frames.ts';

const MAC = 0x02_08_20_00_00_09;
const V4: TargetRecord = { mac: MAC, to: { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 4789 }, fixed: true };
const V6: TargetRecord = { mac: 0xfe_ff_ff_ff_ff_ff, to: { family: 6, ip: ipToBytes(ipOf('2001:db8::7')), port: 65535 }, fixed: false };
const DROP: TargetRecord = { mac: 0x02_00_00_00_00_00, to: 'drop', fixed: true };

const read = (bytes: Uint8Array): TargetRecord[] => [...readTargets(bytes)];
const withByte = (record: TargetRecord, at: number, byte: number): Uint8Array => writeTargets([record]).with(at, byte);

const destinations = fc
  .oneof(
    fc.tuple(fc.constant(4 as const), fc.uint8Array({ minLength: 4, maxLength: 4 })),
    fc.tuple(fc.constant(6 as const), fc.uint8Array({ minLength: 16, maxLength: 16 })),
  )
  .chain(([family, ip]) => fc.integer({ min: 1, max: 65535 }).map((port) => ({ family, ip, port })));
const macs = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => bytes.with(0, (bytes[0] ?? 0) & 0xfe))
  .filter((bytes) => bytes.some((byte) => byte !== 0));
const records = fc.record({
  mac: macs.map((bytes) => bytes.reduce((mac, byte) => mac * 256 + byte, 0)),
  to: fc.oneof(fc.constant('drop' as const), destinations),
  fixed: fc.boolean(),
});

describe('targets', () => {
  it('stand in the bytes as documented', () => {
    expect(Buffer.from(writeTargets([V4])).toString('hex')).toBe(`020820000009020412b5c0000207${'00'.repeat(12)}`);
    expect(Buffer.from(writeTargets([V6])).toString('hex')).toBe('feffffffffff0006ffff20010db8000000000000000000000007');
    expect(Buffer.from(writeTargets([DROP])).toString('hex')).toBe(`02000000000003${'00'.repeat(19)}`);
  });

  it('are read as they were written, in their order', () => {
    fc.assert(fc.property(fc.array(records, { maxLength: 20 }), (written) => void expect(read(writeTargets(written))).toEqual(written)));
  });

  it('come out of any bytes only where the bytes are what would be written for them', () => {
    const noise = fc.array(
      fc.oneof(
        records.map((record) => writeTargets([record])),
        fc.uint8Array({ minLength: TARGET_RECORD_BYTES, maxLength: TARGET_RECORD_BYTES }),
      ),
    );
    const property = fc.property(noise, fc.uint8Array({ maxLength: TARGET_RECORD_BYTES - 1 }), (parts, end) => {
      const bytes = Uint8Array.from(Buffer.concat([...parts, end]));
      const expected = parts.filter((part) => read(part).length === 1);
      expect(Buffer.from(writeTargets(read(bytes)))).toEqual(Buffer.concat(expected));
    });
    fc.assert(property, { numRuns: 300 });
  });

  it.each([
    ['of a group', withByte(V4, 0, 0x03)],
    ['without a MAC', withByte(DROP, 0, 0)],
    ['with a flag that nobody knows', withByte(V4, 6, 4)],
    ['of no family', withByte(V4, 7, 0)],
    ['of another family', withByte(V4, 7, 5)],
    ['of IPv4 with bytes behind the address', withByte(V4, 25, 1)],
    ['with port 0', writeTargets([{ ...V4, to: { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 0 } }])],
    ['to drop with a family', withByte(DROP, 7, 4)],
    ['to drop with an address', withByte(DROP, 25, 1)],
    ['cut short', writeTargets([V4]).subarray(0, TARGET_RECORD_BYTES - 1)],
  ])('%s are passed over, and those around them are not', (_what, wrong) => {
    expect(read(wrong)).toEqual([]);
    expect(read(Uint8Array.from(Buffer.concat([writeTargets([V6]), wrong])))).toEqual([V6]);
    if (wrong.length === TARGET_RECORD_BYTES) expect(read(Uint8Array.from(Buffer.concat([wrong, writeTargets([V6])])))).toEqual([V6]);
  });
});
