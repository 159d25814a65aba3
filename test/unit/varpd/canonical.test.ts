// The short way says the same as the long one.
import { parseIp, parseMac } from '@overlayadm/api';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readIp, readMac } from '../../../src/core/varpd/canonical.ts';

it('reads what parseMac and parseIp read', () => {
  const digits = fc.stringMatching(/^[0-9a-fA-F]{0,3}$/);
  const mac = fc.array(digits, { minLength: 5, maxLength: 7 }).map((octets) => octets.join(':'));
  const ip4 = fc.array(fc.oneof(fc.nat(300).map(String), fc.constant('01')), { minLength: 3, maxLength: 5 }).map((octets) => octets.join('.'));
  fc.assert(
    fc.property(fc.oneof(mac, ip4, fc.ipV6(), fc.ipV4(), fc.string()), (text) => {
      expect([readMac(text), readIp(text)]).toEqual([parseMac(text), parseIp(text)]);
    }),
    { numRuns: 500 },
  );
});
