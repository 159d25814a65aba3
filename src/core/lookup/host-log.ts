// What plugins and their hosts say, on its way to the log: bounded in length and in number.
import type { Clock } from '../util/clock.ts';
import { LOG_PERIOD_MS, MAX_LOG_LINES, MAX_LOG_TEXT_BYTES } from '../util/limits.ts';
import type { Log, LogFields } from '../util/log.ts';
import { cutText } from '../varpd/protocol.ts';

export class HostLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #fields: LogFields;
  #periodEnds = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #left = 0;

  constructor(log: Log, clock: Clock, fields: LogFields) {
    this.#log = log;
    this.#clock = clock;
    this.#fields = fields;
  }

  /** Each line of `text` that still fits into this period. */
  write(level: 'info' | 'warn', text: string, fields: LogFields = {}): void {
    this.#newPeriod();
    const room = MAX_LOG_LINES - this.#lines;
    // A flood is not even cut into lines.
    const lines =
      room <= 0
        ? []
        : text
            .slice(0, room * MAX_LOG_TEXT_BYTES)
            .split('\n')
            .filter((line) => line.trim() !== '');
    for (const line of lines.slice(0, room)) this.#log[level]({ ...this.#fields, ...fields }, cutText(line, MAX_LOG_TEXT_BYTES));
    this.#lines += Math.min(lines.length, room);
    if (room <= 0 || lines.length > room) this.#left++;
  }

  /** What overlayd says of a host: rare, and not lost in what the host itself says. */
  tell(text: string): void {
    this.#log.warn(this.#fields, cutText(text, MAX_LOG_TEXT_BYTES));
  }

  #newPeriod(): void {
    if (this.#clock.now() < this.#periodEnds) return;
    if (this.#left > 0) this.#log.warn({ ...this.#fields, left: this.#left }, 'messages of a plugin host were left out, there were too many');
    this.#periodEnds = this.#clock.now() + LOG_PERIOD_MS;
    this.#lines = 0;
    this.#left = 0;
  }
}
