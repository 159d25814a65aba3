// The one error class: a stable code, the facts, the cause, the advice.

const kOverlayError = Symbol.for('overlayadm.error');

/** Facts of an error, by name. Only plain data: they travel over the socket and are shown under `--json`. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface ErrorParts {
  readonly details?: ErrorDetails;
  /** What to do about it, one sentence, ready to be shown to the person who typed the command. */
  readonly advice?: string;
  readonly cause?: unknown;
}

/** `OVERLAY_EXISTS`: upper case, the area first. Scripts compare it, so a code is never renamed. */
export class OverlayError extends Error {
  override readonly name = 'OverlayError';
  readonly [kOverlayError] = true;
  readonly code: string;
  readonly details: ErrorDetails;
  readonly advice: string | undefined;

  constructor(code: string, message: string, parts: ErrorParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
    this.details = parts.details ?? {};
    this.advice = parts.advice;
  }

  /** Holds for an error of any copy of this package in the process, which `instanceof` does not. */
  static is(value: unknown): value is OverlayError {
    return typeof value === 'object' && value !== null && kOverlayError in value;
  }
}

/** The text of whatever was thrown, in one line: for logs and for a cause that is shown. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, ' ');
}
