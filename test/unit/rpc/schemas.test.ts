// The parameters that each method takes, and those it does not.
import { describe, expect, it } from 'vitest';
import type { MethodName, Methods } from '../../../src/core/rpc/protocol.ts';
import { PERMISSIONS } from '../../../src/core/rpc/protocol.ts';
import { checkParams, paramsOf } from '../../../src/core/rpc/schemas.ts';
import { MAX_NAME_CHARACTERS, MAX_PATH_BYTES, MAX_PROPERTY_ARGUMENTS } from '../../../src/core/util/limits.ts';

const CREATE = { name: 'overlay0', encap: 'vxlan', search: 'files', vnetid: 23, properties: [{ name: 'mtu', text: '1400' }], temporary: false };
const GOOD: { readonly [M in MethodName]: readonly Methods[M]['params'][] } = {
  hello: [{ version: '0.1.0' }],
  'overlay.create': [CREATE, { encap: 'vxlan', search: 'direct', vnetid: 0, properties: [], temporary: true }],
  'overlay.delete': [{ name: 'overlay0', temporary: false }],
  'overlay.up': [{ name: null }, { name: 'overlay0' }],
  'overlay.names': [{ saved: false }, { saved: true }],
  'overlay.properties': [{ name: 'overlay0' }],
  'overlay.health': [{ name: 'overlay0' }],
  'overlay.targets': [
    { name: 'overlay0', after: null },
    { name: 'overlay0', after: '2:8:20:0:0:1' },
  ],
  'overlay.counters': [{ name: 'overlay0' }],
  'vnic.create': [
    { name: 'v0', overlay: 'overlay0', properties: [], temporary: false },
    { name: 'v0', overlay: 'overlay0', mac: '2:8:20:0:0:1', vid: 5, properties: [], temporary: true },
  ],
  'vnic.delete': [{ name: 'v0', temporary: true }],
  'vnic.list': [{ overlay: null }, { overlay: 'overlay0' }],
  'target.set': [{ overlay: 'overlay0', mac: '2:8:20:0:0:1', destination: '192.0.2.2:4789' }],
  'target.remove': [{ overlay: 'overlay0', mac: '2:8:20:0:0:1' }],
  'target.flush': [{ overlay: 'overlay0' }],
  'link.list': [{}],
  'link.statistics': [{ link: 'v0' }],
  'linkprop.list': [{ link: 'v0' }],
  'linkprop.set': [{ link: 'v0', properties: [{ name: 'mtu', text: '1400' }], temporary: false }],
  'linkprop.reset': [
    { link: 'v0', properties: null, temporary: true },
    { link: 'v0', properties: ['mtu'], temporary: false },
  ],
  'plugin.list': [{}],
  'plugin.reload': [{}],
};
const METHODS = Object.keys(PERMISSIONS) as MethodName[];

describe.each(METHODS)('%s', (method) => {
  it.each(GOOD[method].map((params) => ({ params })))('takes $params as it is', ({ params }) => {
    expect(checkParams(method, params)).toEqual(params);
  });

  it.each<{ params: unknown }>([undefined, null, 'text', [], { ...GOOD[method][0], extra: 1 }].map((params) => ({ params })))(
    'refuses %j',
    ({ params }) => {
      expect(() => checkParams(method, params)).toThrow(
        expect.objectContaining({ code: 'RPC_INVALID', details: expect.objectContaining({ method }) }),
      );
    },
  );

  it.each(Object.keys(GOOD[method][0] ?? {}).filter((key) => !(method === 'overlay.create' && key === 'name')))('needs %s', (key) => {
    const { [key as never]: _, ...rest } = GOOD[method][0] as Record<string, unknown>;
    expect(() => checkParams(method, rest)).toThrow(expect.objectContaining({ code: 'RPC_INVALID' }));
  });
});

it('has a schema for every method and no other', () => {
  expect(Object.keys(paramsOf).sort()).toEqual([...METHODS].sort());
});

const LONG = 'x'.repeat(MAX_NAME_CHARACTERS);
const property = (bytes: number) => ({ name: 'files/config', text: 'x'.repeat(bytes) });

describe('bounds', () => {
  it.each([
    { vnetid: Number.MAX_SAFE_INTEGER },
    { name: LONG },
    { properties: Array(MAX_PROPERTY_ARGUMENTS).fill(property(1)) },
    { properties: [property(MAX_PATH_BYTES), property(0)] },
  ])('lets the largest pass', (change) => {
    expect(() => checkParams('overlay.create', { ...CREATE, ...change })).not.toThrow();
  });

  it.each([
    { vnetid: -1 },
    { vnetid: 1.5 },
    { vnetid: 2 ** 53 },
    { vnetid: Number.NaN },
    { vnetid: '23' },
    { name: null },
    { name: '' },
    { name: `${LONG}x` },
    { encap: '' },
    { properties: {} },
    { properties: [['mtu', '1400']] },
    { properties: [{ name: 'mtu', text: 1400 }] },
    { properties: [{ ...property(1), more: 1 }] },
    { properties: [property(MAX_PATH_BYTES + 1)] },
    { properties: Array(MAX_PROPERTY_ARGUMENTS + 1).fill(property(1)) },
  ])('refuses what is beyond: %j', (change) => {
    expect(() => checkParams('overlay.create', { ...CREATE, ...change })).toThrow(expect.objectContaining({ code: 'RPC_INVALID' }));
  });

  it('does not repeat a long value in its text', () => {
    expect(() => checkParams('overlay.create', { ...CREATE, vnetid: 'y'.repeat(10_000) })).toThrow(
      /^overlay\.create: wrong parameters \(vnetid: .{1,300}\)$/,
    );
  });
});
