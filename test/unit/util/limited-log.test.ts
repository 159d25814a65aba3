// A flood of messages is cut, says so afterwards, and does not keep out what matters.
import { expect, it } from 'vitest';
import { LimitedLog } from '../../../src/core/util/limited-log.ts';
import { LOG_PERIOD_MS, MAX_LOG_LINES } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

it('writes so many lines in a period, and how many were left out in the next', async () => {
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) => void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const clock = new FakeClock();
  const log = new LimitedLog({ debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') }, clock);
  for (let n = 0; n < MAX_LOG_LINES + 7; n++) log[n % 2 === 0 ? 'warn' : 'info']({ overlay: 'overlay0' }, 'flood');
  expect(lines.splice(0).length).toBe(MAX_LOG_LINES);
  log.error({}, 'matters');
  expect(lines.splice(0)).toEqual(['error matters {}']);
  await clock.advance(LOG_PERIOD_MS);
  log.warn({ overlay: 'overlay0' }, 'again');
  expect(lines).toEqual(['warn messages were left out, there were too many {"overlay":"overlay0","left":7}', 'warn again {"overlay":"overlay0"}']);
});
