// Listen addresses that are looked for among those of the host: how often, how many at a time, and who is told what.
import type { IpAddress } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { type Listener, UnderlayWatch } from '../../../src/core/overlay/underlay-watch.ts';
import { MAX_UNDERLAY_POLL_SHARE, UNDERLAY_POLL_MS } from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { ipOf } from '../../helpers/frames.ts';

class Told implements Listener {
  readonly facts: { readonly listenIp: IpAddress };
  readonly told: boolean[] = [];

  constructor(listenIp: string) {
    this.facts = { listenIp: ipOf(listenIp) };
  }

  underlayIs(isHere: boolean): void {
    this.told.push(isHere);
  }
}

function rig() {
  const clock = new FakeClock();
  const here = new Set<string>(['192.0.2.1', '2001:db8::1']);
  const asked: string[] = [];
  const warned: string[] = [];
  const state: { failure?: Error; takesMs: number } = { takesMs: 0 };
  const kernel = {
    hostHasAddress: (ip: IpAddress): boolean => {
      asked.push(ip);
      if (state.failure !== undefined) throw state.failure;
      return here.has(ip);
    },
  };
  // A look that takes its time: the clock goes on while the kernel is asked.
  let late = 0;
  const now = (): number => {
    late += state.takesMs;
    return clock.now() + late;
  };
  const ticking = { now, date: clock.date.bind(clock), after: clock.after.bind(clock), every: clock.every.bind(clock) };
  const watch = new UnderlayWatch({ clock: ticking, kernel, log: { ...silentLog, warn: (_fields, message) => void warned.push(message) } });
  return { clock, here, asked, warned, state, watch };
}

describe('the watch of listen addresses', () => {
  it('asks for each address once a period, however many overlays listen on it, and tells every one of them', async () => {
    const { clock, here, asked, watch } = rig();
    const [a, b, c] = [new Told('192.0.2.1'), new Told('192.0.2.1'), new Told('2001:db8::1')];
    for (const each of [a, b, c]) watch.add(each);
    await clock.advance(UNDERLAY_POLL_MS);
    expect(asked).toEqual(['192.0.2.1', '2001:db8::1']);
    here.delete('192.0.2.1');
    await clock.advance(UNDERLAY_POLL_MS);
    here.add('192.0.2.1');
    await clock.advance(UNDERLAY_POLL_MS);
    expect([a.told, b.told, c.told]).toEqual([
      [true, false, true],
      [true, false, true],
      [true, true, true],
    ]);
    expect(asked.length).toBe(6);
  });

  it('asks nothing and has no timer without overlays, nor for those that listen on all addresses', async () => {
    const { clock, asked, watch } = rig();
    const anywhere = [new Told('0.0.0.0'), new Told('::')];
    for (const each of anywhere) watch.add(each);
    expect(clock.timers).toBe(0);
    const one = new Told('192.0.2.1');
    watch.add(one);
    expect(clock.timers).toBe(1);
    watch.remove(one);
    watch.remove(one);
    expect(clock.timers).toBe(0);
    watch.add(one);
    await clock.advance(UNDERLAY_POLL_MS);
    for (const each of [one, ...anywhere]) watch.remove(each);
    await clock.advance(10 * UNDERLAY_POLL_MS);
    expect(asked).toEqual(['192.0.2.1']);
    expect(anywhere.flatMap(({ told }) => told)).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('tells nobody anything while the kernel does not say, notes it once, and goes on', async () => {
    const { clock, warned, state, watch } = rig();
    const one = new Told('192.0.2.1');
    watch.add(one);
    state.failure = new Error('no buffers');
    await clock.advance(5 * UNDERLAY_POLL_MS);
    expect(one.told).toEqual([]);
    expect(warned).toEqual(['addresses of this host cannot be listed']);
    delete state.failure;
    await clock.advance(UNDERLAY_POLL_MS);
    expect(one.told).toEqual([true]);
    state.failure = new Error('no buffers');
    await clock.advance(UNDERLAY_POLL_MS);
    expect(warned.length).toBe(2);
  });

  it('takes no more than its share of the time where asking is slow', async () => {
    const { clock, asked, state, watch } = rig();
    watch.add(new Told('192.0.2.1'));
    state.takesMs = UNDERLAY_POLL_MS;
    await clock.advance(UNDERLAY_POLL_MS);
    expect(asked.length).toBe(1);
    await clock.advance(UNDERLAY_POLL_MS / MAX_UNDERLAY_POLL_SHARE - 1);
    expect(asked.length).toBe(1);
    await clock.advance(1);
    expect(asked.length).toBe(2);
  });
});
