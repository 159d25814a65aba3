// Whatever a plugin's promise gives becomes an answer that overlayd takes, or none.
import type { IpAddress, MacAddress } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAnswer, readDestination } from '../../../src/core/varpd/answers.ts';
import { type Ask, checkFromHost } from '../../../src/core/varpd/protocol.ts';

const mac = '02:00:00:00:00:01' as MacAddress;
const lookup: Ask = { id: 1, kind: 'lookup', to: mac, from: mac, etherType: 0x800 };
const resolve: Ask = { id: 2, kind: 'resolve', ip: '10.0.0.1' as IpAddress };
const dhcp: Ask = { id: 3, kind: 'dhcp', client: mac };

describe('readDestination', () => {
  it.each([
    [
      { ip: '2001:DB8:0::1', port: 1 },
      { ip: '2001:db8::1', port: 1 },
    ],
    [{ ip: '::ffff:192.0.2.1' }, { ip: '192.0.2.1' }],
    [{ mac: '2:0:0:0:0:A', more: 1 }, { mac: '02:00:00:00:00:0a' }],
    [{}, {}],
    [{ ip: 'x' }, undefined],
    [{ ip: 7 }, undefined],
    [{ mac: null }, undefined],
    [{ port: 0 }, undefined],
    [{ port: 65_536 }, undefined],
    [{ port: 1.5 }, undefined],
    [{ port: '1' }, undefined],
    [undefined, undefined],
  ])('reads %j', (given, expected) => expect(readDestination(given)).toEqual(expected));
});

describe('readAnswer', () => {
  it.each<[Ask, unknown, unknown]>([
    [lookup, { kind: 'found', destination: { ip: '192.0.2.1' } }, { id: 1, kind: 'found', destination: { ip: '192.0.2.1' } }],
    [lookup, { kind: 'drop', reason: 'files.no-entry' }, { id: 1, kind: 'drop', reason: 'files.no-entry' }],
    [lookup, { kind: 'drop' }, { id: 1, kind: 'drop', reason: 'lookup.refused' }],
    [lookup, undefined, undefined],
    [lookup, { mac }, undefined],
    [resolve, undefined, { id: 2, kind: 'drop', reason: 'lookup.unknown-address' }],
    [resolve, { mac: '2:0:0:0:0:1' }, { id: 2, kind: 'resolved', mac }],
    [resolve, { mac, destination: { port: 0 } }, undefined],
    [resolve, mac, undefined],
    [dhcp, mac, { id: 3, kind: 'resolved', mac }],
    [dhcp, 'x', undefined],
  ])('%j with %j', (ask, value, expected) => expect(readAnswer(ask, value)).toEqual(expected));

  it('gives only what overlayd takes', () => {
    const part = fc.oneof(fc.jsonValue(), fc.constantFrom('192.0.2.1', '::1', mac, 'found', 'drop'), fc.integer({ min: -1, max: 70_000 }));
    const value = fc.record({
      kind: part,
      reason: fc.oneof(part, fc.string({ unit: 'binary', size: 'large' })),
      mac: part,
      destination: fc.record({ ip: part, mac: part, port: part }),
    });
    fc.assert(
      fc.property(fc.constantFrom(lookup, resolve, dhcp), fc.oneof(value, part), (ask, given) => {
        const answer = readAnswer(ask, given);
        if (answer !== undefined)
          expect(checkFromHost({ type: 'answers', instance: 0, answers: [answer] })).toEqual({ ok: true, value: expect.anything() });
      }),
    );
  });
});
