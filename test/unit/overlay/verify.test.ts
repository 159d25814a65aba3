// Targets from before a restart are asked for anew: each once, at a bounded rate, and not what a person has set meanwhile.
import type { MacAddress } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { Verification } from '../../../src/core/overlay/verify.ts';
import { VERIFY_BATCH, VERIFY_MS } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { mac } from '../../helpers/frames.ts';

function rig(count: number) {
  const clock = new FakeClock();
  const asked: (readonly MacAddress[])[] = [];
  const targets = Array.from({ length: count }, (_, i) => mac(i + 1));
  return { clock, asked, targets, verification: new Verification({ clock, ask: (macs) => void asked.push(macs) }, targets) };
}

describe('verification', () => {
  it('asks for each target once, VERIFY_BATCH in VERIFY_MS and never more', async () => {
    const { clock, asked, targets, verification } = rig(2 * VERIFY_BATCH + 1);
    verification.start();
    verification.start();
    for (let batches = 1; batches <= 3; batches++) {
      await clock.advance(VERIFY_MS - 1);
      expect(asked.length).toBe(batches - 1);
      await clock.advance(1);
      expect(asked.length).toBe(batches);
    }
    expect(asked.map(({ length }) => length)).toEqual([VERIFY_BATCH, VERIFY_BATCH, 1]);
    expect(asked.flat()).toEqual(targets);
    expect([verification.left, clock.timers]).toEqual([0, 0]);
    verification.start();
    await clock.advance(10 * VERIFY_MS);
    expect(asked.length).toBe(3);
  });

  it('does not begin before the plugin can be asked', async () => {
    const { clock, asked, verification } = rig(3);
    await clock.advance(10 * VERIFY_MS);
    expect([asked.length, verification.left, clock.timers]).toEqual([0, 3, 0]);
  });

  it('passes over what a person has set meanwhile', async () => {
    const { clock, asked, verification } = rig(3);
    verification.start();
    verification.skip(mac(2));
    verification.skip(mac(77));
    await clock.advance(VERIFY_MS);
    expect(asked).toEqual([[mac(1), mac(3)]]);
  });

  it('ends when it is stopped, and does not begin again', async () => {
    const { clock, asked, verification } = rig(VERIFY_BATCH + 1);
    verification.start();
    await clock.advance(VERIFY_MS);
    verification.stop();
    verification.start();
    await clock.advance(10 * VERIFY_MS);
    expect([asked.length, clock.timers]).toEqual([1, 0]);
  });

  it('of nothing sets no timer', () => {
    const { clock, verification } = rig(0);
    verification.start();
    expect(clock.timers).toBe(0);
  });
});

describe('verification of a plugin that goes away', () => {
  it('waits, and goes on where it was', async () => {
    const { clock, asked, verification } = rig(2 * VERIFY_BATCH);
    verification.start();
    await clock.advance(VERIFY_MS);
    verification.pause();
    await clock.advance(10 * VERIFY_MS);
    expect([asked.length, verification.left, clock.timers]).toEqual([1, VERIFY_BATCH, 0]);
    verification.start();
    await clock.advance(VERIFY_MS);
    expect([asked.length, verification.left]).toEqual([2, 0]);
  });

  it('puts a question again that was not answered, when the plugin can be asked', async () => {
    const { clock, asked, targets, verification } = rig(2);
    const [first, second] = targets as [MacAddress, MacAddress];
    verification.start();
    await clock.advance(VERIFY_MS);
    verification.again(second);
    await clock.advance(VERIFY_MS);
    verification.pause();
    verification.again(first);
    await clock.advance(10 * VERIFY_MS);
    expect(asked).toEqual([[first, second], [second]]);
    verification.start();
    await clock.advance(VERIFY_MS);
    expect(asked.at(-1)).toEqual([first]);
  });
});
