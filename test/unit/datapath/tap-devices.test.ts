// A new overlay leaves some descriptors for everything else; one that was there before is taken in any case.
import { describe, expect, it } from 'vitest';
import { TapDevices } from '../../../src/core/datapath/tap-devices.ts';
import { SPARE_DESCRIPTORS } from '../../../src/core/util/limits.ts';

const MOST = 1024;

function devices(next: number, mostDescriptors?: number) {
  const closed: number[] = [];
  const io = { openTap: () => next, adoptTap: () => 'overlay0', close: (fd: number) => void closed.push(fd) };
  const store = { take: () => undefined, keep: () => undefined, forget: () => undefined };
  return { closed, taps: new TapDevices({ io, kernel: { link: () => undefined }, store, mostDescriptors }) };
}

describe('the device of a new overlay', () => {
  it('is made while there are descriptors to spare', () => {
    const { taps, closed } = devices(MOST - SPARE_DESCRIPTORS - 1, MOST);
    expect(taps.open('overlay0', false)).toEqual({ fd: MOST - SPARE_DESCRIPTORS - 1, inherited: false });
    expect(closed).toEqual([]);
  });

  it('is refused, with the limit, when it would take one of these, and nothing of it is left', () => {
    const { taps, closed } = devices(MOST - SPARE_DESCRIPTORS, MOST);
    expect(() => taps.open('overlay0', false)).toThrow(
      expect.objectContaining({
        code: 'DESCRIPTORS_USED',
        details: { overlay: 'overlay0', limit: MOST },
        advice: expect.stringContaining('LimitNOFILE'),
      }),
    );
    expect(closed).toEqual([MOST - SPARE_DESCRIPTORS]);
  });

  it('that was there before is taken in any case, and so is every one where the limit is not known', () => {
    expect(devices(MOST, MOST).taps.open('overlay0', true).fd).toBe(MOST);
    expect(devices(1_000_000).taps.open('overlay0', false).fd).toBe(1_000_000);
  });
});
