// The limit of open files, as the kernel tells it.
import { describe, expect, it } from 'vitest';
import { descriptorLimit, parseDescriptorLimit } from '../../../src/core/linux/descriptors.ts';

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max processes             95783                95783                processes
Max open files            1024                 524288               files
`;

describe('the limit of open files', () => {
  it('is the soft one', () => expect(parseDescriptorLimit(LIMITS)).toBe(1024));

  it.each(['', 'Max open files', LIMITS.replace('1024  ', 'unlimited')])('is not known from %j', (text) =>
    expect(parseDescriptorLimit(text)).toBeUndefined(),
  );

  it('of this process can be read; where it cannot be, nothing is limited', () => {
    expect(descriptorLimit()).toBeGreaterThan(100);
    expect(descriptorLimit('/proc/self/nothing')).toBeUndefined();
  });
});
