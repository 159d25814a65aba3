// Header formats: three real ones as golden bytes, every rule of checkFormat() broken once, decap against an oracle.
import type { HeaderFormat } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkFormat, compileDecap, compileHeader, decap, writeEntropy } from '../../../src/core/wire/header-format.ts';
import { bytes, hex } from './frames.ts';

const VXLAN: HeaderFormat = {
  carrier: { over: 'udp' },
  template: [0x08, 0, 0, 0, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [{ at: 0, mask: [0x08], value: [0x08], dropReason: 'vxlan.i-flag-clear' }],
  length: { kind: 'fixed' },
  entropy: 'udp-source-port',
  kernelKind: 'vxlan',
};
const GENEVE: HeaderFormat = {
  carrier: { over: 'udp' },
  template: [0, 0, 0x65, 0x58, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [
    { at: 0, mask: [0xc0], value: [0x00], dropReason: 'geneve.version' },
    { at: 1, mask: [0x40], value: [0x00], dropReason: 'geneve.critical-option' },
    { at: 2, mask: [0xff, 0xff], value: [0x65, 0x58], dropReason: 'geneve.not-ethernet' },
  ],
  length: { kind: 'counted', count: { bit: 2, bits: 6 }, unitBytes: 4 },
  entropy: 'udp-source-port',
  kernelKind: 'geneve',
};
const NVGRE: HeaderFormat = {
  carrier: { over: 'ip', protocol: 47 },
  template: [0x20, 0x00, 0x65, 0x58, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [
    { at: 0, mask: [0xb0, 0x07], value: [0x20, 0x00], dropReason: 'nvgre.flags' },
    { at: 2, mask: [0xff, 0xff], value: [0x65, 0x58], dropReason: 'nvgre.not-ethernet' },
  ],
  length: { kind: 'fixed' },
  entropy: { bit: 56, bits: 8 },
};
/** Nothing at a byte border: an identifier of 20 bits, entropy of 5, a count of 3. */
const ODD: HeaderFormat = {
  carrier: { over: 'udp' },
  template: [0xa0, 0, 0, 0],
  vnetid: { bit: 3, bits: 20 },
  accept: [{ at: 0, mask: [0xe0], value: [0xa0], dropReason: 'odd.start' }],
  length: { kind: 'counted', count: { bit: 28, bits: 3 }, unitBytes: 2 },
  entropy: { bit: 23, bits: 5 },
};
const FORMATS = { vxlan: VXLAN, geneve: GENEVE, nvgre: NVGRE, odd: ODD };
const RANGE = { min: 0, max: 0xfffff };
const out = new Uint32Array(1);

it('bakes the identifier in', () => {
  expect(hex(compileHeader(VXLAN, 0x123456))).toBe('0800000012345600');
  expect(hex(compileHeader(VXLAN, 0xffffff))).toBe('08000000ffffff00');
  expect(hex(compileHeader(GENEVE, 0x123456))).toBe('0000655812345600');
  expect(hex(compileHeader(NVGRE, 0x123456))).toBe('2000655812345600');
});

it('writes the entropy where the format has it', () => {
  const header = bytes('ffff 2000655812345600 ffff');
  writeEntropy(NVGRE.entropy, header, 2, 0xdeadbeef);
  expect(hex(header)).toBe('ffff20006558123456efffff');
  writeEntropy(VXLAN.entropy, header, 2, 0x11111111);
  expect(hex(header)).toBe('ffff20006558123456efffff');
});

describe('decap', () => {
  const vxlan = compileDecap(VXLAN, 'vxlan');
  const geneve = compileDecap(GENEVE, 'geneve');
  const reason = (compiled: typeof vxlan, text: string): string | undefined =>
    compiled.dropReasons[-1 - decap(compiled, bytes(text), 0, bytes(text).length, out)];

  it('names its reasons, the short datagram first', () => {
    expect(vxlan.dropReasons).toEqual(['vxlan.short', 'vxlan.i-flag-clear']);
    expect(reason(vxlan, '08000000 123456')).toBe('vxlan.short');
    expect(reason(vxlan, '')).toBe('vxlan.short');
    expect(reason(vxlan, 'f7ffffff 12345600')).toBe('vxlan.i-flag-clear');
    expect(reason(geneve, '40006558 12345600')).toBe('geneve.version');
    expect(reason(geneve, '00406558 12345600')).toBe('geneve.critical-option');
    expect(reason(geneve, '00006559 12345600')).toBe('geneve.not-ethernet');
    expect(reason(geneve, '01006558 12345600 000000')).toBe('geneve.short');
  });

  it('ignores reserved bits and reads identifiers from 0x800000 up', () => {
    expect(decap(vxlan, bytes('ffffffff fedcbaff'), 0, 8, out)).toBe(8);
    expect(out[0]).toBe(0xfedcba);
  });

  it('skips counted options', () => {
    expect(decap(geneve, bytes('ee 02006558 00000100 0000000011111111 aa'), 1, 17, out)).toBe(16);
    expect(out[0]).toBe(1);
  });

  it.each(Object.entries(FORMATS))('takes back what was put on: %s', (name, format) => {
    const compiled = compileDecap(format, name);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xfffff }), fc.nat(0xffff_ffff), fc.nat(9), fc.nat(60), (vnetid, hash, at, payload) => {
        const arena = new Uint8Array(at + format.template.length + payload).fill(0xff);
        arena.set(compileHeader(format, vnetid), at);
        writeEntropy(format.entropy, arena, at, hash);
        expect(decap(compiled, arena, at, arena.length - at, out)).toBe(format.template.length);
        expect(out[0]).toBe(vnetid);
      }),
    );
  });

  it.each(Object.entries(FORMATS))('agrees with an oracle on any bytes: %s', (name, format) => {
    const compiled = compileDecap(format, name);
    const near = fc
      .uint8Array({ maxLength: 6 })
      .map((tail) => Uint8Array.from([...format.template.map((byte, i) => byte ^ ((tail[i] ?? 0) & 0x41)), ...tail]));
    fc.assert(
      fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 24 })), (datagram) => {
        const found = decap(compiled, datagram, 0, datagram.length, out);
        expect(found < 0 ? compiled.dropReasons[-1 - found] : [found, out[0]]).toEqual(oracle(name, format, datagram));
      }),
      { numRuns: 500 },
    );
  });
});

/** decap() in text: bits as a string of 0 and 1. */
function oracle(name: string, format: HeaderFormat, datagram: Uint8Array): string | [number, number] {
  if (datagram.length < format.template.length) return `${name}.short`;
  for (const match of format.accept)
    for (const [i, mask] of match.mask.entries()) if (((datagram[match.at + i] as number) & mask) !== match.value[i]) return match.dropReason;
  const text = [...datagram].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const read = ({ bit, bits }: { bit: number; bits: number }): number => Number.parseInt(text.slice(bit, bit + bits), 2);
  const extra = format.length.kind === 'counted' ? read(format.length.count) * format.length.unitBytes : 0;
  const length = format.template.length + extra;
  return length > datagram.length ? `${name}.short` : [length, read(format.vnetid)];
}

describe('checkFormat', () => {
  it.each(Object.entries(FORMATS))('accepts %s, also after a trip through JSON', (_, format) => {
    expect(checkFormat(format, RANGE)).toBeUndefined();
    expect(checkFormat(JSON.parse(JSON.stringify(format)), RANGE)).toBeUndefined();
  });

  const match = VXLAN.accept[0] as HeaderFormat['accept'][number];
  const broken: readonly (readonly [string, object])[] = [
    ['template is not a list of bytes', { template: [256, 0, 0, 0] }],
    ['template is not a list of bytes', { template: 'AAAA' }],
    ['template has 0 bytes, allowed are 4-64 in steps of 4', { template: [] }],
    ['template has 6 bytes', { template: [8, 0, 0, 0, 0, 0] }],
    ['template has 68 bytes', { template: new Array(68).fill(0) }],
    ['carrier is neither', { carrier: { over: 'tcp' } }],
    ['carrier is neither', { carrier: null }],
    ['carrier has an unknown field', { carrier: { over: 'udp', protocol: 17 } }],
    ['carrier has no field protocol', { carrier: { over: 'ip' } }],
    ['carrier protocol is not', { carrier: { over: 'ip', protocol: 256 } }],
    ['entropy is the UDP source port, but', { carrier: { over: 'ip', protocol: 47 } }],
    ['kernelKind is none of', { kernelKind: 'gre' }],
    ['kernelKind gretap does not fit', { kernelKind: 'gretap' }],
    ['vnetid is not a field', { vnetid: { bit: 41, bits: 24 } }],
    ['vnetid is not a field', { vnetid: { bit: -1, bits: 24 } }],
    ['vnetid is not a field', { vnetid: { bit: 32, bits: 33 } }],
    ['vnetid is not a field', { vnetid: { bit: 32, bits: 0 } }],
    ['vnetid is not a field', { vnetid: { bit: 0.5, bits: 8 } }],
    ['vnetid is not an object', { vnetid: 3 }],
    ['vnetid has no field bits', { vnetid: { bit: 3 } }],
    ['vnetid and entropy overlap', { entropy: { bit: 55, bits: 8 } }],
    ['entropy is not an object', { entropy: 'none' }],
    ['vnetid and length count overlap', { length: { kind: 'counted', count: { bit: 30, bits: 3 }, unitBytes: 4 } }],
    ['length is neither', { length: { kind: 'guessed' } }],
    ['length unitBytes', { length: { kind: 'counted', count: { bit: 8, bits: 3 }, unitBytes: 0 } }],
    ['template is not zero where vnetid', { template: [8, 0, 0, 0, 0, 0, 1, 0] }],
    ['template is not zero where length count', { length: { kind: 'counted', count: { bit: 2, bits: 6 }, unitBytes: 4 } }],
    ['accept is not a list', { accept: {} }],
    ['accept has 33 entries', { accept: new Array(33).fill(match) }],
    ['accept[0]: mask and value differ', { accept: [{ ...match, mask: [8, 0] }] }],
    ['accept[0]: mask and value are not', { accept: [{ ...match, mask: [], value: [] }] }],
    ['accept[1] is not inside', { accept: [match, { ...match, at: 8 }] }],
    ['accept[0]: dropReason', { accept: [{ ...match, dropReason: 'Bad Reason' }] }],
    ['accept[0]: the template itself', { accept: [{ ...match, value: [0] }] }],
    ['accept[0] compares bits of vnetid', { accept: [{ ...match, at: 3, mask: [0, 1], value: [0, 0] }] }],
    ['accept[0] is not an object', { accept: [null] }],
    ['format has an unknown field', { kernelkind: 'vxlan' }],
  ];
  it.each(broken)('%s', (reason, change) => {
    expect(checkFormat({ ...VXLAN, ...change }, RANGE)?.startsWith(reason)).toBe(true);
  });

  it('wants a range that fits', () => {
    expect(checkFormat(VXLAN, { min: 0, max: 0xffffff })).toBeUndefined();
    expect(checkFormat(VXLAN, { min: 0, max: 0x1000000 })).toBe('vnetid 16777216 does not fit into 24 bits');
    for (const range of [undefined, null, {}, { min: 2, max: 1 }, { min: -1, max: 1 }, { min: 0, max: 1.5 }])
      expect(checkFormat(VXLAN, range)).toContain('vnetid range');
  });

  it('wants every field', () => {
    for (const field of Object.keys(VXLAN).filter((key) => key !== 'kernelKind')) {
      const { [field]: _, ...rest } = VXLAN as unknown as Record<string, unknown>;
      expect(checkFormat(rest, RANGE)).toBe(`format has no field ${field}`);
    }
  });

  it('is total over JSON, and what passes can be run', () => {
    const junk = fc.jsonValue();
    const bent = fc
      .tuple(fc.constantFrom(...Object.values(FORMATS)), fc.constantFrom(...Object.keys(VXLAN)), junk)
      .map(([format, key, value]) => ({ ...format, [key]: value }));
    fc.assert(
      fc.property(fc.oneof(junk, bent), fc.oneof(fc.constant(RANGE), junk), (value, range) => {
        const reason = checkFormat(value, range);
        if (reason !== undefined) return;
        const format = value as unknown as HeaderFormat;
        const header = compileHeader(format, 5);
        expect(decap(compileDecap(format, 'x'), header, 0, header.length, out)).toBe(header.length);
      }),
      { numRuns: 500 },
    );
  });
});
