// Puts in front of what overlayd said which operation on which object failed, in dladm's words.
import { OverlayError } from '../rpc/errors.ts';
import type { Failed } from '../rpc/protocol.ts';
import { toOverlayError } from './report.ts';

/** The same error with another text. */
export function withMessage(error: OverlayError, message: string): OverlayError {
  const { code, details, advice } = error;
  return new OverlayError(code, message, { details, cause: error, ...(advice === undefined ? {} : { advice }) });
}

/**
 * `failure: what happened`. overlayd's text may begin with the name of the object or of the property, which `failure` has
 * already, or with the failure itself.
 */
export function failed(thrown: unknown, failure: string, names: readonly string[]): OverlayError {
  const error = toOverlayError(thrown);
  if (error.message.startsWith(failure)) return error;
  const named = names.find((name) => error.message.startsWith(`${name}: `));
  const reason = named === undefined ? error.message : error.message.slice(named.length + 2);
  return withMessage(error, `${failure}: ${reason}`);
}

/** Runs `work`; what it throws is told with `failure` in front. */
export async function orFail<T>(work: () => Promise<T>, failure: (error: OverlayError) => string, ...names: readonly string[]): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = toOverlayError(thrown);
    throw failed(error, failure(error), names);
  }
}

/** What `up` reports of one object; the text names the object, once. */
export function errorOf({ name, code, message, details, advice }: Failed): OverlayError {
  const text = message.includes(name) ? message : `${name}: ${message}`;
  return new OverlayError(code, text, { details, ...(advice === undefined ? {} : { advice }) });
}
