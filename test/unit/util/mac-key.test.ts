// MAC addresses as numbers: exact both ways, and in the same order.
import { type MacAddress, macFromBytes } from '@overlayadm/api';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { keyToMac, macToKey } from '../../../src/core/util/mac-key.ts';

const macs = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => macFromBytes(bytes));

it('goes there and back', () => {
  fc.assert(fc.property(macs, (mac) => keyToMac(macToKey(mac)) === mac));
  expect(macToKey('ff:ff:ff:ff:ff:ff' as MacAddress)).toBe(2 ** 48 - 1);
});

it('keeps the order', () => {
  fc.assert(fc.property(macs, macs, (a, b) => macToKey(a) < macToKey(b) === a < b));
});
