// Time and timers behind one interface, so that tests can move them; the only file of the daemon with real timers.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds, with fractions. */
  now(): number;
  /** The time of day, for people. */
  date(): Date;
  after(ms: number, run: () => void): Timer;
  every(ms: number, run: () => void): Timer;
}

/** The real clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after: (ms, run) => {
    const handle = setTimeout(run, ms).unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every: (ms, run) => {
    const handle = setInterval(run, ms).unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** Settles after `ms`, or rejects with the reason of `signal` when that comes first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    function abort(): void {
      timer.cancel();
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
}
