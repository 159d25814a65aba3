// Degraded and online again: who may take back what, how long a reason may be, what is news.
import { describe, expect, it } from 'vitest';
import { Health } from '../../../src/core/overlay/health.ts';
import { MAX_REASON_BYTES } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

describe('Health', () => {
  it('is online without a reason, degraded with all of them, oldest first', () => {
    const health = new Health();
    expect(health.reason()).toBeUndefined();
    health.degrade('plugin', 'the directory is away');
    health.degrade('device', 'somebody deleted it');
    expect(health.reason()).toBe('the directory is away; somebody deleted it');
  });

  it('lets only the one who reported take it back', () => {
    const health = new Health();
    health.degrade('plugin', 'a');
    health.degrade('plugin-host', 'b');
    health.restore('plugin-host');
    health.restore('too-big');
    expect(health.reason()).toBe('a');
    health.restore('plugin');
    expect(health.reason()).toBeUndefined();
  });

  it('keeps one reason for each cause: the last', () => {
    const health = new Health();
    health.degrade('plugin', 'first');
    health.degrade('plugin', 'second');
    expect(health.reason()).toBe('second');
  });

  it('says what is news: the first report, not the ones that repeat it', async () => {
    const clock = new FakeClock();
    const health = new Health();
    expect(health.degrade('plugin', 'a')).toBe(true);
    expect(health.degrade('plugin', 'b')).toBe(false);
    health.restore('plugin');
    expect(health.degrade('plugin', 'a')).toBe(true);
    expect(health.degradeUntilQuiet('too-big', 'a', clock, 1000)).toBe(true);
    expect(health.degradeUntilQuiet('too-big', 'b', clock, 1000)).toBe(false);
    await clock.advance(1000);
    expect(health.degradeUntilQuiet('too-big', 'a', clock, 1000)).toBe(true);
  });

  it('is online again when trouble that nobody takes back was not reported for a while', async () => {
    const clock = new FakeClock();
    const health = new Health();
    health.degradeUntilQuiet('too-big', '1500 bytes', clock, 1000);
    await clock.advance(900);
    health.degradeUntilQuiet('too-big', '1600 bytes', clock, 1000);
    await clock.advance(900);
    expect(health.reason()).toBe('1600 bytes');
    await clock.advance(100);
    expect(health.reason()).toBeUndefined();
    expect(clock.timers).toBe(0);
  });

  it('shows one line of bounded length, and cuts no character in half', () => {
    const health = new Health();
    health.degrade('plugin', `one\ntwo\t  three ${'ü'.repeat(300)}`);
    const reason = health.reason() ?? '';
    expect(reason.startsWith('one two three ü')).toBe(true);
    expect(new TextEncoder().encode(reason).length).toBeLessThanOrEqual(MAX_REASON_BYTES);
    expect(reason.endsWith('ü')).toBe(true);
  });

  it('leaves no timer when it is closed', () => {
    const clock = new FakeClock();
    const health = new Health();
    health.degradeUntilQuiet('too-big', 'a', clock, 1000);
    health.degradeUntilQuiet('destination', 'b', clock, 1000);
    health.close();
    expect(clock.timers).toBe(0);
  });
});
