// Frames with and without tags, and frames that are too short for what they say.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBroadcast, isGroup, newFrame, newFrameView, parseFrame } from '../../../src/core/wire/ethernet.ts';
import { bytes, hex } from './frames.ts';

const view = newFrameView();
const parse = (text: string, at = 0): boolean => parseFrame(bytes(text), at, bytes(text).length - at, view);
const MACS = 'de ad be ef 00 00 02 08 20 00 00 01';

describe('parseFrame', () => {
  it('reads an untagged frame at an offset', () => {
    expect(parse(`ffff ${MACS} 0800 4500`, 2)).toBe(true);
    expect(view).toEqual({ to: 2, from: 8, etherType: 0x0800, tagged: false, vlan: -1, tci: -1, payloadAt: 16, payloadLength: 2 });
  });

  it('reads one 802.1Q tag and keeps its priority', () => {
    expect(parse(`${MACS} 8100 6064 86dd 60`)).toBe(true);
    expect(view).toEqual({ to: 0, from: 6, etherType: 0x86dd, tagged: true, vlan: 100, tci: 0x6064, payloadAt: 18, payloadLength: 1 });
  });

  it('leaves a second tag and a service tag as they are', () => {
    expect(parse(`${MACS} 8100 0064 8100 0065 0800`)).toBe(true);
    expect(view).toMatchObject({ tagged: true, vlan: 100, etherType: 0x8100 });
    expect(parse(`${MACS} 88a8 0064 8100 0065 0800`)).toBe(true);
    expect(view).toMatchObject({ tagged: true, vlan: -1, tci: -1, etherType: 0x88a8 });
  });

  it('forgets the tag of the frame before', () => {
    parse(`${MACS} 8100 6064 86dd 60`);
    parse(`${MACS} 0806`);
    expect(view).toMatchObject({ tagged: false, vlan: -1, tci: -1, etherType: 0x0806, payloadLength: 0 });
  });

  it('refuses what is too short', () => {
    expect(parse(`${MACS} 08`)).toBe(false);
    expect(parse(`${MACS} 8100 6064 86`)).toBe(false);
    expect(parse(`${MACS} 88a8 0064 81`)).toBe(false);
    expect(parseFrame(new Uint8Array(20), 10, 14, view)).toBe(false);
    expect(parseFrame(new Uint8Array(20), -1, 14, view)).toBe(false);
  });

  it('never points outside of the frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(10), fc.nat(50), (array, at, length) => {
        if (!parseFrame(array, at, length, view)) return;
        expect(view.payloadAt + view.payloadLength).toBe(at + length);
        expect(at + length).toBeLessThanOrEqual(array.length);
        expect(view.payloadLength).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

it('knows group and broadcast addresses', () => {
  const macs = bytes('ffffffffffff 3333ff000001 020820000001');
  expect([0, 6, 12].map((at) => isGroup(macs, at))).toEqual([true, true, false]);
  expect([0, 6, 12].map((at) => isBroadcast(macs, at))).toEqual([true, false, false]);
});

it('makes frames with and without a tag', () => {
  const [to, from] = [bytes('ffffffffffff'), bytes('020820000001')];
  expect(hex(newFrame(to, from, -1, 0x0806, 2))).toBe('ffffffffffff02082000000108060000');
  expect(hex(newFrame(to, from, 0x6064, 0x86dd, 1))).toBe('ffffffffffff020820000001'.concat('8100606486dd00'));
});
