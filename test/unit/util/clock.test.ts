// sleep() on a clock that is moved by hand.
import { expect, it } from 'vitest';
import { sleep } from '../../../src/core/util/clock.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

it('settles when its time has come, and not before', async () => {
  const clock = new FakeClock();
  let done = false;
  const slept = sleep(clock, 100).then(() => {
    done = true;
  });
  await clock.advance(99);
  expect(done).toBe(false);
  await clock.advance(1);
  await slept;
  expect(clock.timers).toBe(0);
});

it('rejects with the reason of its signal, and leaves no timer', async () => {
  const clock = new FakeClock();
  const control = new AbortController();
  const slept = sleep(clock, 100, control.signal);
  control.abort(new Error('enough'));
  await expect(slept).rejects.toThrow('enough');
  expect(clock.timers).toBe(0);
  await expect(sleep(clock, 100, control.signal)).rejects.toThrow('enough');
});
