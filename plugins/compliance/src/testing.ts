// What the kit needs of a test runner, so that it depends on none: vitest's own functions fit, and so do those of others.

export interface Expectation {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
}

/** Handed in by the caller: `import { describe, expect, it } from 'vitest'`. */
export interface TestFunctions {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => void | Promise<void>): unknown;
  expect(value: unknown, message?: string): Expectation;
}

/** Real time a plugin has for what it must do at once: settle after an abort, stop. Generous, because test machines are slow. */
export const SETTLE_MS = 1_000;

export type Settled<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'pending' };

/** How a promise ended, or `pending` when it did not within `limitMs` of real time. Never rejects. */
export async function settled<T>(promise: Promise<T>, limitMs = SETTLE_MS): Promise<Settled<T>> {
  const timer = Promise.withResolvers<Settled<T>>();
  const handle = setTimeout(() => timer.resolve({ kind: 'pending' }), limitMs);
  const ended = promise.then(
    (value): Settled<T> => ({ kind: 'value', value }),
    (error: unknown): Settled<T> => ({ kind: 'error', error }),
  );
  try {
    return await Promise.race([ended, timer.promise]);
  } finally {
    clearTimeout(handle);
  }
}

/** As the promise. @throws Error when it has not settled within SETTLE_MS of real time. */
export async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const end = await settled(promise);
  if (end.kind === 'pending') throw new Error(`${what} has not settled within ${SETTLE_MS} ms`);
  if (end.kind === 'error') throw end.error;
  return end.value;
}

/** Lets everything that is ready run: promises, and what was put off with setImmediate. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

export const hexOf = (bytes: Iterable<number>): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Pairs of hexadecimal digits; spaces are allowed between them. @throws RangeError for anything else. */
export function bytesOf(hex: string): number[] {
  const digits = hex.replace(/ /g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new RangeError(`a vector has to be pairs of hexadecimal digits: ${hex}`);
  return Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
