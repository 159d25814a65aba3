// Steps that must not interleave.
import { expect, it } from 'vitest';
import { Serial } from '../../../src/core/util/serial.ts';

it('runs one step at a time, in order, and goes on after one that fails', async () => {
  const serial = new Serial();
  const seen: string[] = [];
  const step =
    (name: string, fails = false) =>
    async (): Promise<string> => {
      seen.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([serial.run(step('a')), serial.run(step('b', true)), serial.run(step('c'))]);
  expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});
