// Values of every type: round trips, refusals in their exact words, and descriptions that come from a stranger.
import { type AnyPropertyDefinition, OverlayError, type PropertyType } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkDescription,
  checkDescriptions,
  describeProperty,
  isPossible,
  type PropertyDescription,
} from '../../../src/core/property/description.ts';
import { formatDefault, formatPossible, formatValue, parseValue, refusedValue, showText } from '../../../src/core/property/parse.ts';
import { isValueOf, PROPERTY_TYPES, readValue } from '../../../src/core/property/values.ts';

const describe_ = (type: PropertyType, more: Partial<PropertyDescription> = {}): PropertyDescription => ({
  name: 'x',
  type,
  access: 'rw',
  required: false,
  summary: 'a test',
  live: false,
  hasRefuse: false,
  ...more,
});

function caught(work: () => unknown): OverlayError {
  try {
    work();
  } catch (error) {
    if (error instanceof OverlayError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('reading', () => {
  const accepted: readonly (readonly [PropertyType, string, unknown])[] = [
    ['uint', '0', 0],
    ['uint', '9007199254740991', 2 ** 53 - 1],
    ['int', '-9007199254740991', -(2 ** 53 - 1)],
    ['ip', '2001:DB8:0:0::1', '2001:db8::1'],
    ['ip', '::ffff:10.0.0.1', '10.0.0.1'],
    ['ether', '2:8:20:0:0:A', '02:08:20:00:00:0a'],
    ['boolean', 'false', false],
    ['string', 'grüße', 'grüße'],
    ['string', 'x'.repeat(255), 'x'.repeat(255)],
    ['path', '/etc/overlay map.json', '/etc/overlay map.json'],
    ['path', `/${'x'.repeat(4094)}`, `/${'x'.repeat(4094)}`],
  ];
  it.each(accepted)('%s %s', (type, text, value) => {
    expect(readValue(type, text)).toBe(value);
  });

  const refused: readonly (readonly [PropertyType, readonly string[]])[] = [
    ['uint', ['', '-1', '+1', '1.0', '1e3', '0x10', ' 1', '1 ', '01', '9007199254740992', '99999999999999999999', '1\n', '١']],
    ['int', ['-0', '--1', '-', '-9007199254740992']],
    ['ip', ['', '10.0.0', '10.0.0.1/8', 'fe80::1%eth0', '010.0.0.1', 'host']],
    ['ether', ['', '1:2:3:4:5', '1-2-3-4-5-6', '111:2:3:4:5:6']],
    ['boolean', ['', 'TRUE', 'yes', '1']],
    ['string', ['a\nb', 'a\0b', 'x'.repeat(256), 'ü'.repeat(128), '\ud800']],
    ['path', ['', 'etc/x', './x', '/a\0', '/a\nb', `/${'x'.repeat(4095)}`]],
  ];
  it.each(refused)('no %s: %j', (type, texts) => {
    for (const text of texts) expect(readValue(type, text)).toBeUndefined();
  });

  it('is total, and what it reads is shown as text that reads back', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.integer().map(String),
      fc.maxSafeInteger().map(String),
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('true', '/x', '1:2:3:4:5:6'),
    );
    fc.assert(
      fc.property(fc.constantFrom(...PROPERTY_TYPES), text, (type, input) => {
        const value = readValue(type, input);
        if (value === undefined) return;
        expect(isValueOf(type, value)).toBe(true);
        expect(readValue(type, formatValue(value))).toBe(value);
      }),
      { numRuns: 1000 },
    );
  });

  it('recognises canonical values only', () => {
    expect(isValueOf('ip', '2001:DB8::1')).toBe(false);
    expect(isValueOf('ether', '2:8:20:0:0:1')).toBe(false);
    expect(isValueOf('uint', '5')).toBe(false);
    expect(isValueOf('int', -0)).toBe(false);
    expect(isValueOf('boolean', 'true')).toBe(false);
    fc.assert(fc.property(fc.constantFrom(...PROPERTY_TYPES), fc.jsonValue(), (type, value) => typeof isValueOf(type, value) === 'boolean'));
  });
});

describe('refusals', () => {
  const port = describe_('uint', { possible: { min: 1, max: 65535 } });

  it('name the property, the value and what is allowed', () => {
    const error = caught(() => parseValue('vxlan/listen_port', port, '70000'));
    expect(error.code).toBe('PROPERTY_INVALID');
    expect(error.message).toBe('vxlan/listen_port: 70000 is not allowed (1-65535)');
    expect(error.details).toEqual({ property: 'vxlan/listen_port', value: '70000', expected: '1-65535' });
  });

  it.each([
    [describe_('uint'), '-1', 'x: -1 is not allowed (a whole decimal number, not negative)'],
    [describe_('ip'), 'nonsense', 'x: nonsense is not allowed (an IPv4 or IPv6 address)'],
    [describe_('path'), 'a b', 'x: "a b" is not allowed (an absolute path of at most 4095 bytes)'],
    [describe_('boolean'), '', 'x: "" is not allowed (true or false)'],
    [describe_('string', { possible: ['auto', 'tap'] }), 'kernel', 'x: kernel is not allowed (auto,tap)'],
  ] as const)('%#', (description, text, message) => {
    expect(caught(() => parseValue('x', description, text)).message).toBe(message);
  });

  it('keep both ends of a range', () => {
    expect([1, 65535].map((value) => parseValue('p', port, String(value)))).toEqual([1, 65535]);
    for (const text of ['0', '65536']) expect(() => parseValue('p', port, text)).toThrow('is not allowed');
  });

  it('end with the words of the plugin', () => {
    const error = refusedValue('vxlan/listen_ip', '224.0.0.1', 'is a multicast address');
    expect(error.message).toBe('vxlan/listen_ip: 224.0.0.1 is a multicast address');
    expect(error.code).toBe('PROPERTY_INVALID');
  });

  it('show any text in one line of bounded length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const shown = showText(text);
        expect(shown.length).toBeLessThan(64 * 6 + 8);
        expect(shown).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        expect(shown.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('columns', () => {
  it('POSSIBLE', () => {
    expect(formatPossible({ possible: { min: 576, max: 8900 } })).toBe('576-8900');
    expect(formatPossible({ possible: { min: 7, max: 7 } })).toBe('7');
    expect(formatPossible({ possible: ['direct', 'files', 'svp'] })).toBe('direct,files,svp');
    expect(formatPossible({})).toBeUndefined();
  });

  it('DEFAULT', () => {
    expect(formatDefault({ default: 4789 })).toBe('4789');
    expect(formatDefault({ default: false })).toBe('false');
    expect(formatDefault({})).toBeUndefined();
  });
});

describe('descriptions', () => {
  const definition: AnyPropertyDefinition = {
    name: 'listen_port',
    type: 'uint',
    access: 'rw',
    required: true,
    default: 4789,
    possible: { min: 1, max: 65535 },
    onlyFor: 'port',
    unit: 'ms',
    summary: 'UDP port to receive on',
    refuse: () => undefined,
    live: false,
  };

  it('are the definition without its function, and survive JSON', () => {
    const { refuse: _, ...data } = definition;
    const description = describeProperty(definition);
    expect(description).toEqual({ ...data, hasRefuse: true });
    expect(JSON.parse(JSON.stringify(description))).toEqual(description);
    expect(checkDescription(description)).toBeUndefined();
    expect(describeProperty({ name: 'a', type: 'ip', access: 'r-', required: false, summary: '', live: true })).toEqual({
      name: 'a',
      type: 'ip',
      access: 'r-',
      required: false,
      summary: '',
      live: true,
      hasRefuse: false,
    });
  });

  const broken: readonly (readonly [string, object])[] = [
    ['a property name', { name: 'Listen' }],
    ['a property name', { name: 'a/b' }],
    ['a property name', { name: 'x'.repeat(32) }],
    ['a property name', { name: 5 }],
    ['listen_port: type', { type: 'number' }],
    ['listen_port: type', { type: 'toString' }],
    ['listen_port: access', { access: 'w-' }],
    ['listen_port: required, live', { required: 'y' }],
    ['listen_port: required, live', { live: undefined }],
    ['listen_port: required, live', { hasRefuse: 1 }],
    ['listen_port: summary', { summary: 'a\nb' }],
    ['listen_port: summary', { summary: 'x'.repeat(201) }],
    ['listen_port: unit', { unit: 'm' }],
    ['listen_port: onlyFor', { onlyFor: 'vlan' }],
    ['listen_port: default is no uint', { default: '4789' }],
    ['listen_port: default is no uint', { default: -1 }],
    ['listen_port: default is not possible', { default: 0 }],
    ['listen_port: possible does not have', { possible: [] }],
    ['listen_port: possible has a value', { possible: [1, 'x'] }],
    ['listen_port: possible is neither', { possible: { min: 2, max: 1 } }],
    ['listen_port: possible is neither', { possible: null }],
    ['listen_port: possible is a range', { type: 'string', default: 'x' }],
    ['listen_port: is required, but nobody', { access: 'r-', default: undefined }],
    ['listen_port: has an unknown field', { refuse: null }],
  ];
  it.each(broken)('%s ...', (reason, change) => {
    expect(checkDescription({ ...describeProperty(definition), ...change })?.startsWith(reason)).toBe(true);
  });

  it('are checked as a table', () => {
    const one = describe_('uint');
    expect(checkDescriptions([one, { ...one, name: 'y' }])).toBeUndefined();
    expect(checkDescriptions([one, one])).toBe('x: is there twice');
    expect(checkDescriptions(Array.from({ length: 64 }, (_, i) => ({ ...one, name: `p${i}` })))).toBeUndefined();
    expect(checkDescription({ ...one, possible: Array.from({ length: 64 }, (_, i) => i) })).toBeUndefined();
    expect(checkDescription({ ...one, possible: Array.from({ length: 65 }, (_, i) => i) })).toContain('1-64');
    expect(checkDescriptions(new Array(65).fill(one))).toContain('at most 64');
    expect(checkDescriptions({})).toBe('properties are not a list');
  });

  it('are checked without throwing, and what passes can be used', () => {
    const good = describeProperty(definition) as unknown as Record<string, unknown>;
    const bent = fc.tuple(fc.constantFrom(...Object.keys(good), 'unit'), fc.jsonValue()).map(([key, value]) => ({ ...good, [key]: value }));
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), bent), (value) => {
        if (checkDescription(value) !== undefined) return;
        const description = value as unknown as PropertyDescription;
        formatPossible(description);
        if (description.default !== undefined) expect(isPossible(description, description.default)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
