// What a test file has made is taken down when it is through, last first, also when a test of it failed.
import { afterAll } from 'vitest';

type Step = () => void | Promise<void>;
const steps: Step[] = [];

/** Runs `step` after the last test of the file that is running. */
export function atEnd(step: Step): void {
  steps.push(step);
}

// At import, so that it is a hook of the file. A step that throws must not keep the others from running.
afterAll(async () => {
  const errors: unknown[] = [];
  for (const step of steps.splice(0).toReversed()) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `could not clear up: ${errors.join('; ')}`);
});
