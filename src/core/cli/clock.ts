// The clock of a command: unlike the daemon's, its timers keep the process alive, for a command often waits for nothing else.
import type { Clock } from '../util/clock.ts';

export const commandClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after: (ms, run) => {
    const handle = setTimeout(run, ms);
    return { cancel: () => clearTimeout(handle) };
  },
  every: (ms, run) => {
    const handle = setInterval(run, ms);
    return { cancel: () => clearInterval(handle) };
  },
};
