// The pool of waiting frames against plain arrays.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyQueue, FramePool } from '../../../src/core/engine/frame-pool.ts';

const bytesOf = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

describe('FramePool', () => {
  it('gives frames back whole and in order, and every block in the end', () => {
    const operation = fc.record({
      queue: fc.integer({ min: 0, max: 3 }),
      kind: fc.constantFrom('push', 'push', 'shift', 'discard'),
      length: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.constantFrom(1, 507, 508, 509, 1019, 1020, 1021)),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const pool = new FramePool(new Uint8Array(64 * 1024));
        const queues = Array.from({ length: 4 }, () => ({ queue: emptyQueue(), model: [] as Uint8Array[] }));
        const target = new Uint8Array(9000);
        const take = ({ queue, model }: (typeof queues)[number], discard: boolean): void => {
          const expected = model.shift();
          const length = discard ? pool.discard(queue) : pool.shift(queue, target, 0);
          expect(length).toBe(expected?.length ?? 0);
          if (expected !== undefined && !discard) expect(target.subarray(0, length)).toEqual(expected);
        };
        for (const [seed, { queue: index, kind, length }] of operations.entries()) {
          const chosen = queues[index] as (typeof queues)[number];
          if (kind !== 'push') take(chosen, kind === 'discard');
          else {
            const fits = pool.hasRoom(length);
            expect(pool.push(chosen.queue, bytesOf(length, seed), 0, length)).toBe(fits);
            if (fits) chosen.model.push(bytesOf(length, seed));
          }
        }
        for (const chosen of queues) while (chosen.model.length > 0) take(chosen, false);
        expect(pool.hasRoom(64 * 1024 - 4)).toBe(true);
      }),
    );
  });

  it('shows the head of the first frame and leaves it', () => {
    const pool = new FramePool(new Uint8Array(4096));
    const queue = emptyQueue();
    pool.push(queue, bytesOf(600, 1), 0, 600);
    pool.push(queue, bytesOf(5, 2), 0, 5);
    const target = new Uint8Array(600);
    expect(pool.peek(queue, target, 0, 128)).toBe(128);
    expect(target.subarray(0, 128)).toEqual(bytesOf(600, 1).subarray(0, 128));
    expect(pool.shift(queue, target, 0)).toBe(600);
    expect(pool.shift(queue, target, 0)).toBe(5);
  });
});
