// Mistakes in what was typed: an error of its own code, shown with the usage line and exit status 2.
import { OverlayError } from '../rpc/errors.ts';

export const USAGE = 'USAGE';

export function usageError(message: string, advice?: string): OverlayError {
  return new OverlayError(USAGE, message, advice === undefined ? {} : { advice });
}

/** @throws OverlayError USAGE with `message` when the value is not there, or empty; `option` is what to type. */
export function required<T>(value: T | undefined, message: string, option: string): T {
  if (value === undefined || value === '') throw usageError(message, `Add ${option}.`);
  return value;
}
