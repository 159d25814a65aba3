// What is read from -p and -v, and what is said about the rest.
import { describe, expect, it } from 'vitest';
import { parsePropertyArguments, parsePropertyNames } from '../../../src/core/cli/property-arguments.ts';
import { parseTargetChange } from '../../../src/core/cli/target-arguments.ts';
import { parseVlanId, parseVnetid } from '../../../src/core/cli/vnetid.ts';

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
    { texts: ['a'], message: "no value specified for 'a'" },
    { texts: ['a='], message: "no value specified for 'a'" },
    { texts: ['=x'], message: "invalid property list '=x': no name before '=x'" },
    { texts: ['a=1,'], message: "invalid property list 'a=1,': nothing where prop=value has to be" },
    { texts: ['a=1,,b=2'], message: "invalid property list 'a=1,,b=2': nothing where prop=value has to be" },
    { texts: ['a=1,2'], message: "invalid property list 'a=1,2': '2' would be a second value of a" },
    { texts: ['a=1', 'b'], message: "no value specified for 'b'" },
    { texts: ['a=b=c'], message: "invalid property list 'a=b=c': more than one = in 'a=b=c'" },
    { texts: ['a=1,a=2'], message: 'a: given more than once (1, 2)' },
    { texts: ['a=1', 'a=1'], message: 'a: given more than once (1, 1)' },
    { texts: [`a=${'x'.repeat(4096)}`], message: `property list too long 'a=${'x'.repeat(38)}...'` },
  ])('refuses $texts', ({ texts, message }) => {
    expect(() => parsePropertyArguments(texts)).toThrow(expect.objectContaining({ code: 'USAGE', message }));
  });
});

describe('-p of what is typed wrongly', () => {
  it('says how far it was understood, and that there is no quoting', () => {
    const advice =
      "Write -p prop=value[,prop=value...]. There is no quoting: a value can contain neither , nor =. Understood until there: a is '1'; b is 'x'.";
    expect(() => parsePropertyArguments(['a=1', 'b=x,y'])).toThrow(expect.objectContaining({ advice }));
  });

  it('takes no more properties than a request may have', () => {
    const text = Array.from({ length: 65 }, (_, i) => `p${i}=1`).join();
    expect(() => parsePropertyArguments([text])).toThrow('property list too long: 65 properties');
  });
});

describe('-p of reset-linkprop', () => {
  it.each([
    [undefined, null],
    [['mtu'], ['mtu']],
    [
      ['mtu,netns', 'mtu'],
      ['mtu', 'netns'],
    ],
  ])('%j', (texts, names) => expect(parsePropertyNames(texts)).toEqual(names));

  it.each([[['']], [['mtu,']], [['mtu=1']]])('refuses %j', (texts) =>
    expect(() => parsePropertyNames(texts)).toThrow('invalid link properties specified'),
  );
});

describe('-d, -f and -s of modify-overlay', () => {
  const MAC = '2:8:20:0:0:1';
  const none = { deleted: [], set: [], flushes: 0 };

  it.each([
    [
      { ...none, deleted: [MAC] },
      { kind: 'delete', mac: MAC },
    ],
    [{ ...none, flushes: 1 }, { kind: 'flush' }],
    [
      { ...none, set: [`${MAC}=a=b`] },
      { kind: 'set', mac: MAC, destination: 'a=b', text: `${MAC}=a=b` },
    ],
  ])('%j', (options, change) => expect(parseTargetChange(options)).toEqual(change));

  it.each([
    [{ deleted: ['x', 'x'], set: ['x', 'x'], flushes: 2 }, 'the option -d cannot be specified more than once'],
    [{ deleted: ['x'], set: ['x', 'x'], flushes: 2 }, 'the option -f cannot be specified more than once'],
    [{ deleted: ['x'], set: ['x', 'x'], flushes: 1 }, 'the option -s cannot be specified more than once'],
    [{ deleted: ['x'], set: ['x'], flushes: 1 }, 'invalid mac address: x'],
    [{ ...none, set: ['x'] }, 'malformed value, expected mac=dest, got: x'],
    [{ ...none, set: [`${MAC}=`] }, `malformed value, expected mac=dest, got: ${MAC}=`],
    [{ ...none, set: [`${MAC}=${'x'.repeat(256)}`] }, `malformed value, expected mac=dest, got: ${MAC}=${'x'.repeat(242)}`],
    [{ ...none, set: ['=drop'] }, 'malformed value, expected mac=dest, got: =drop'],
    [{ ...none, set: ['1:2:3:4:5=drop'] }, 'invalid mac address: 1:2:3:4:5'],
    [{ ...none, deleted: ['1:2:3:4:5:678'] }, 'invalid mac address: 1:2:3:4:5:678'],
    [none, 'need to specify one of -d, -f, or -s'],
    [{ ...none, deleted: [MAC], flushes: 1 }, 'only one of -d, -f, or -s may be used'],
  ])('%j: %s', (options, message) => expect(() => parseTargetChange(options)).toThrow(expect.objectContaining({ code: 'USAGE', message })));
});

describe('-v of create-vnic', () => {
  it.each(['1', '4094', '007'])('%s', (text) => expect(parseVlanId(text)).toBe(Number(text)));
  it.each(['0', '4095', '', 'x', '1.5', '-1', '0x1'])("refuses '%s'", (text) => expect(() => parseVlanId(text)).toThrow(`invalid vlan-id '${text}'`));
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
