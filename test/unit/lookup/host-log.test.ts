// A plugin that shouts does not fill the log.
import { describe, expect, it } from 'vitest';
import { HostLog } from '../../../src/core/lookup/host-log.ts';
import { LOG_PERIOD_MS, MAX_LOG_LINES, MAX_LOG_TEXT_BYTES } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

function rig() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const write = (_: object, message: string): void => void lines.push(message);
  return { clock, lines, log: new HostLog({ debug: write, info: write, warn: write, error: write }, clock, {}) };
}

describe('HostLog', () => {
  it('writes each line, cut', () => {
    const { log, lines } = rig();
    log.write('warn', `a\n\n${'b'.repeat(2 * MAX_LOG_TEXT_BYTES)}\n`);
    expect(lines).toEqual(['a', 'b'.repeat(MAX_LOG_TEXT_BYTES)]);
  });

  it('stops at the bound, says so in the next period, and goes on', async () => {
    const { log, lines, clock } = rig();
    for (let n = 0; n < 3 * MAX_LOG_LINES; n++) log.write('warn', `line ${n}`);
    expect(lines.length).toBe(MAX_LOG_LINES);
    await clock.advance(LOG_PERIOD_MS);
    log.write('warn', 'after');
    expect(lines.slice(MAX_LOG_LINES)).toEqual(['messages of a plugin host were left out, there were too many', 'after']);
  });

  it('has room for what overlayd itself says of the host', () => {
    const { log, lines } = rig();
    for (let n = 0; n < 3 * MAX_LOG_LINES; n++) log.write('warn', `line ${n}`);
    log.tell('it died');
    expect(lines.at(-1)).toBe('it died');
  });

  it('counts the lines of one text too', () => {
    const { log, lines } = rig();
    log.write('warn', 'x\n'.repeat(100_000));
    expect(lines.length).toBe(MAX_LOG_LINES);
  });
});
