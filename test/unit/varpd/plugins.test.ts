// A default export is a plugin only when everything that can be seen of it is right.
import { describe, expect, it } from 'vitest';
import { describePlugin, findPlugin, type Plugin, whyNotPlugin } from '../../../src/core/varpd/plugins.ts';

const lookup = { kind: 'lookup', name: 'x', properties: [], create: () => {} };
const encap = {
  kind: 'encap',
  name: 'x',
  properties: [],
  needs: ['ip'],
  vnetid: { min: 0, max: 1 },
  carriesVlanTag: true,
  format: {
    carrier: { over: 'udp' },
    template: [0, 0, 0, 0],
    vnetid: { bit: 0, bits: 24 },
    accept: [],
    length: { kind: 'fixed' },
    entropy: 'udp-source-port',
  },
  socket: () => ({ listenIp: '192.0.2.1' }),
};

describe('whyNotPlugin', () => {
  it.each([[lookup], [encap]])('accepts $kind', (plugin) => expect(whyNotPlugin(plugin)).toBeUndefined());

  it.each([
    ['nothing', undefined, /not an object/],
    ['another kind', { ...lookup, kind: 'driver' }, /neither encap nor lookup/],
    ['no properties', { ...lookup, properties: undefined }, /no list of properties/],
    ['no create', { ...lookup, create: 1 }, /no function create/],
    ['no socket', { ...encap, socket: undefined }, /no function socket/],
    ['a name that cannot be typed', { ...lookup, name: 'X y' }, /description.name/],
    ['a property that is none', { ...lookup, properties: [{ name: 'a', type: 'file' }] }, /a: type is none of/],
    ['a format with a wrong field', { ...encap, format: { ...encap.format, vnetid: { bit: 0, bits: 33 } } }, /format.vnetid.bits/],
    ['a range of identifiers beyond 32 bits', { ...encap, vnetid: { min: 0, max: 2 ** 32 } }, /vnetid.max/],
  ])('refuses %s', (_, plugin, why) => expect(whyNotPlugin(plugin)).toMatch(why));
});

describe('findPlugin', () => {
  it('says which modules failed', () => {
    const plugins = { loaded: [lookup as unknown as Plugin], failures: ['./index.js: broken'] };
    expect(describePlugin(findPlugin(plugins, 'lookup', 'x'))).toEqual({ kind: 'lookup', name: 'x', properties: [] });
    expect(() => findPlugin(plugins, 'encap', 'x')).toThrow('encap x: the plugin cannot be used (./index.js: broken)');
  });
});
