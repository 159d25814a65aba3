// What is read from -p and -v, and what is said about the rest.
import { describe, expect, it } from 'vitest';
import { parsePropertyArguments } from '../../../src/core/cli/property-arguments.ts';
import { parseVnetid } from '../../../src/core/cli/vnetid.ts';

describe('-p', () => {
  it.each([
    { texts: [], expected: [] },
    { texts: ['mtu=1400'], expected: [['mtu', '1400']] },
    {
      texts: ['vxlan/listen_ip=fd00::1,mtu=1400'],
      expected: [
        ['vxlan/listen_ip', 'fd00::1'],
        ['mtu', '1400'],
      ],
    },
    {
      texts: ['a=1', 'b=2,c=3'],
      expected: [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ],
    },
    { texts: ['__proto__=1'], expected: [['__proto__', '1']] },
  ])('$texts', ({ texts, expected }) => {
    expect(parsePropertyArguments(texts)).toEqual(expected.map(([name, text]) => ({ name, text })));
  });

  it.each([
    { texts: [''], message: "invalid property list '': nothing where prop=value has to be" },
    { texts: ['a'], message: "invalid property list 'a': no value for a" },
    { texts: ['a='], message: "invalid property list 'a=': no value for a" },
    { texts: ['=x'], message: "invalid property list '=x': no name before '=x'" },
    { texts: ['a=1,'], message: "invalid property list 'a=1,': nothing where prop=value has to be" },
    { texts: ['a=1,,b=2'], message: "invalid property list 'a=1,,b=2': nothing where prop=value has to be" },
    { texts: ['a=1,2'], message: "invalid property list 'a=1,2': '2' would be a second value of a" },
    { texts: ['a=1', 'b'], message: "invalid property list 'b': no value for b" },
    { texts: ['a=b=c'], message: "invalid property list 'a=b=c': more than one = in 'a=b=c'" },
    { texts: ['a=1,a=2'], message: 'a: given more than once (1, 2)' },
    { texts: ['a=1', 'a=1'], message: 'a: given more than once (1, 1)' },
  ])('refuses $texts', ({ texts, message }) => {
    expect(() => parsePropertyArguments(texts)).toThrow(expect.objectContaining({ code: 'USAGE', message }));
  });
});

describe('-v', () => {
  it.each([
    ['0', 0],
    ['23', 23],
    ['007', 7],
    ['16777216', 16_777_216],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s', (text, vnetid) => {
    expect(parseVnetid(text)).toBe(vnetid);
  });

  it.each(['', ' 1', '1 ', '-1', '+1', '0x10', '1e3', '1.0', 'x', '１'])("couldn't parse '%s'", (text) => {
    expect(() => parseVnetid(text)).toThrow(expect.objectContaining({ code: 'USAGE', message: `couldn't parse virtual network id: ${text}` }));
  });

  it.each(['9007199254740992', '99999999999999999999999'])('%s is too large', (text) => {
    expect(() => parseVnetid(text)).toThrow(`virtual network id too large: ${text}`);
  });
});
