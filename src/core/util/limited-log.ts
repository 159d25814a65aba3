// A log that takes a bounded number of lines in a period: for what people who are not trusted can make happen as often as they like.
import type { Clock } from './clock.ts';
import { LOG_PERIOD_MS, MAX_LOG_LINES } from './limits.ts';
import type { Log, LogFields } from './log.ts';

export class LimitedLog implements Log {
  readonly #log: Log;
  readonly #clock: Clock;
  #periodEnds = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #left = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Not counted: nobody writes it unless they asked for it. */
  debug(fields: LogFields, message: string): void {
    this.#log.debug(fields, message);
  }
  info(fields: LogFields, message: string): void {
    if (this.#hasRoom(fields)) this.#log.info(fields, message);
  }
  warn(fields: LogFields, message: string): void {
    if (this.#hasRoom(fields)) this.#log.warn(fields, message);
  }
  /** Always: our own failures are few, and matter. */
  error(fields: LogFields, message: string): void {
    this.#log.error(fields, message);
  }

  /** `fields` of the line after a flood go with the line that says so: they name whose messages were left out. */
  #hasRoom(fields: LogFields): boolean {
    const now = this.#clock.now();
    if (now >= this.#periodEnds) {
      if (this.#left > 0) this.#log.warn({ overlay: fields.overlay, left: this.#left }, 'messages were left out, there were too many');
      this.#periodEnds = now + LOG_PERIOD_MS;
      this.#lines = 0;
      this.#left = 0;
    }
    this.#lines++;
    if (this.#lines <= MAX_LOG_LINES) return true;
    this.#left++;
    return false;
  }
}
