// Degraded and online again: who may take back what, since when, how long a reason may be, and what is told of it.
import { describe, expect, it } from 'vitest';
import { Health, type HealthChange } from '../../../src/core/overlay/health.ts';
import { HEALTH_LOG_MS, MAX_REASON_BYTES } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

function rig() {
  const clock = new FakeClock();
  const told: HealthChange[] = [];
  const health = new Health(clock, (change) => told.push(change));
  return { clock, told, health, reason: () => health.report()?.reason };
}

describe('Health', () => {
  it('is online without a reason, degraded with all of them, oldest first', () => {
    const { health, reason } = rig();
    expect(reason()).toBeUndefined();
    health.degrade('plugin', 'the directory is away');
    health.degrade('device', 'somebody deleted it');
    expect(reason()).toBe('the directory is away; somebody deleted it');
    expect(health.report()?.advice).toMatch(/^correct what the lookup plugin names.*; bring it up again/);
  });

  it('lets only the one who reported take it back', () => {
    const { health, reason } = rig();
    health.degrade('plugin', 'a');
    health.degrade('plugin-host', 'b');
    health.restore('plugin-host');
    health.restore('too-big');
    expect(reason()).toBe('a');
    health.restore('plugin');
    expect(reason()).toBeUndefined();
  });

  it('keeps one reason for each cause, the last, and the time of the first', async () => {
    const { health, clock, reason } = rig();
    const began = clock.date();
    health.degrade('plugin', 'first');
    await clock.advance(5000);
    health.degrade('plugin', 'second');
    expect(reason()).toBe('second');
    expect(health.report()?.since).toEqual(began);
    health.restore('plugin');
    health.degrade('plugin', 'third');
    expect(health.report()?.since).toEqual(clock.date());
  });

  it('is online again when trouble that nobody takes back was not reported for a while', async () => {
    const { health, clock, reason } = rig();
    health.degrade('too-big', '1500 bytes', 10_000);
    await clock.advance(9000);
    health.degrade('too-big', '1600 bytes', 10_000);
    await clock.advance(9000);
    expect(reason()).toBe('1600 bytes');
    await clock.advance(1000);
    expect(reason()).toBeUndefined();
    expect(clock.timers).toBe(0);
  });

  it('shows one line of bounded length, and cuts no character in half', () => {
    const { health, reason } = rig();
    health.degrade('plugin', `one\ntwo\t  three ${'ü'.repeat(300)}`);
    expect(reason()?.startsWith('one two three ü')).toBe(true);
    expect(new TextEncoder().encode(reason()).length).toBeLessThanOrEqual(MAX_REASON_BYTES);
    expect(reason()?.endsWith('ü')).toBe(true);
  });

  it('leaves no timer when it is closed', () => {
    const { health, clock } = rig();
    health.degrade('too-big', 'a', 1000);
    health.degrade('destination', 'b', 1000);
    health.close();
    expect(clock.timers).toBe(0);
  });
});

describe('a change of health', () => {
  it('is told once, the first trouble and the last recovery included, one that heals by time too', async () => {
    const { health, clock, told } = rig();
    health.degrade('plugin', 'a');
    health.degrade('plugin', 'a, again');
    await clock.advance(HEALTH_LOG_MS);
    health.restore('plugin');
    await clock.advance(HEALTH_LOG_MS);
    health.degrade('too-big', 'b', 60_000);
    await clock.advance(70_000);
    expect(told).toEqual([
      { status: 'DEGRADED', causes: ['plugin'], reason: 'a' },
      { status: 'ONLINE', causes: [], reason: undefined },
      { status: 'DEGRADED', causes: ['too-big'], reason: 'b' },
      { status: 'ONLINE', causes: [], reason: undefined },
    ]);
  });

  it('that comes and goes all the time is told at most once in HEALTH_LOG_MS, and in the end as it is', async () => {
    const { health, clock, told } = rig();
    for (let i = 0; i < 1000; i++) {
      health.degrade('plugin', 'flapping');
      health.restore('plugin');
      await clock.advance(10);
    }
    health.degrade('plugin', 'for good');
    await clock.advance(HEALTH_LOG_MS);
    expect(told.length).toBeLessThanOrEqual(10_000 / HEALTH_LOG_MS + 3);
    expect(told.at(-1)).toEqual({ status: 'DEGRADED', causes: ['plugin'], reason: 'for good' });
    expect(clock.timers).toBe(0);
  });
});
