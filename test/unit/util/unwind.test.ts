// The undo stack: order, failures, and what is kept.
import { describe, expect, it } from 'vitest';
import { Unwind } from '../../../src/core/util/unwind.ts';

async function run(steps: readonly (() => void)[], keep: boolean): Promise<{ reported: unknown[]; kept: number }> {
  const reported: unknown[] = [];
  let kept = 0;
  {
    await using unwind = new Unwind((error) => reported.push(error));
    for (const step of steps) unwind.add(step);
    if (keep) kept = unwind.keep().length;
  }
  return { reported, kept };
}

describe('Unwind', () => {
  it('undoes the last step first', async () => {
    const undone: number[] = [];
    await run(
      [1, 2, 3].map((step) => () => void undone.push(step)),
      false,
    );
    expect(undone).toEqual([3, 2, 1]);
  });

  it('goes on below a step that fails, and reports it', async () => {
    const undone: number[] = [];
    const fail = (): void => {
      throw new Error('stuck');
    };
    const { reported } = await run([() => void undone.push(1), fail, () => void undone.push(3)], false);
    expect(undone).toEqual([3, 1]);
    expect(reported).toEqual([new Error('stuck')]);
  });

  it('undoes nothing that is kept', async () => {
    const undone: number[] = [];
    const { kept } = await run([() => void undone.push(1)], true);
    expect([undone, kept]).toEqual([[], 1]);
  });

  it('waits for steps that take their time', async () => {
    const undone: number[] = [];
    const slowly = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      undone.push(2);
    };
    await run([() => void undone.push(1), slowly], false);
    expect(undone).toEqual([2, 1]);
  });
});
