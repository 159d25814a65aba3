// Waiting for something that another process or the kernel does.
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

/**
 * The first value of `condition` that is neither false nor undefined. @throws Error that names `what` after `ms`, with the
 * last error of `condition` as its cause.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  ms: number,
  what = String(condition),
): Promise<Exclude<T, false | undefined | null>> {
  const end = performance.now() + ms;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== false && value !== undefined && value !== null) return value as Exclude<T, false | undefined | null>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error(`waited ${ms} ms for: ${what}`, { cause });
    await sleep(POLL_MS);
  }
}
