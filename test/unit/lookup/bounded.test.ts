// A few at a time: never more, all of them, and none after an error.
import { describe, expect, it } from 'vitest';
import { forEachBounded } from '../../../src/core/lookup/bounded.ts';
import { settle } from '../../helpers/fake-clock.ts';

describe('forEachBounded', () => {
  it.each([0, 1, 3, 10])('does %i things, three at a time at most, each once', async (count) => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    const items = Array.from({ length: count }, (_, number) => number);
    await forEachBounded(items, 3, async (item) => {
      most = Math.max(most, ++running);
      await settle();
      running--;
      done.push(item);
    });
    expect([done, most]).toEqual([items, Math.min(3, count)]);
  });

  it('ends with the first error, and begins nothing more', async () => {
    const begun: number[] = [];
    const doing = forEachBounded([1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      await settle();
      if (item === 2) throw new Error('two');
    });
    await expect(doing).rejects.toThrow('two');
    await settle();
    await settle();
    expect(begun).not.toContain(4);
  });
});
