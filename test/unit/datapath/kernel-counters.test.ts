// Counters of an overlay on a kernel link: what the engine and the link count is added up, each frame once.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countKernel, unsentSince } from '../../../src/core/datapath/kernel-counters.ts';
import type { LinkStatistics } from '../../../src/core/linux/types.ts';
import { NO_STATISTICS } from '../../helpers/sim-host.ts';

const NOTHING_UNSENT = { tooBig: 0, dropped: 0 };
const of = (more: Partial<LinkStatistics>): LinkStatistics => ({ ...NO_STATISTICS, ...more });
/** The link was there before, and had counted. */
const BEFORE = of({ rxFrames: 1000n, txFrames: 2000n, rxBytes: 3000n, txBytes: 4000n, rxErrors: 5n, txDropped: 6n, txAborted: 7n, txCarrier: 8n });
const since = (more: Partial<Record<keyof LinkStatistics, bigint>>): LinkStatistics => ({
  ...BEFORE,
  ...Object.fromEntries(Object.entries(more).map(([name, value]) => [name, BEFORE[name as keyof LinkStatistics] + value])),
});

describe('countKernel', () => {
  it('adds what the kernel forwarded by itself to what the engine sent, with the Ethernet headers that the link leaves out', () => {
    // Ten frames of 100 bytes: three were punted, of which the engine sent two and one waits.
    const engine = { 'tx.frames': 2, 'tx.bytes': 200, 'punt.frames': 3, 'punt.bytes': 300, 'lookup.queued': 1 };
    const counted = countKernel(engine, BEFORE, since({ txFrames: 10n, txBytes: 860n }), NOTHING_UNSENT);
    expect(counted).toMatchObject({ ...engine, 'tx.frames': 9, 'tx.bytes': 900 });
  });

  it('counts what came from the underlay, and not what was injected', () => {
    const engine = { 'tx.injected': 2, 'tx.injected-bytes': 120, 'rx.frames': 0, 'rx.bytes': 0 };
    const counted = countKernel(engine, BEFORE, since({ rxFrames: 5n, rxBytes: 5n * 86n - 80n, rxErrors: 4n }), NOTHING_UNSENT);
    expect(counted).toMatchObject({ 'rx.frames': 3, 'rx.bytes': 300, 'rx.refused': 4, 'tx.injected': 2 });
  });

  it('counts what was not sent under its reason, with what the engine did not send', () => {
    const engine = { 'too-big': 1, 'target.drop': 2, 'send.failed': 3 };
    const counted = countKernel(engine, BEFORE, since({ txCarrier: 10n }), { tooBig: 20, dropped: 30 });
    expect(counted).toMatchObject({ 'too-big': 21, 'target.drop': 32, 'send.failed': 13 });
  });

  it('shows nothing below zero while the link and the engine are asked one after the other', () => {
    const some = fc.nat({ max: 1000 });
    const engine = fc.record({ 'tx.frames': some, 'punt.frames': some, 'punt.bytes': some, 'tx.injected': some, 'tx.injected-bytes': some });
    fc.assert(
      fc.property(engine, some, some, (counted, frames, bytes) => {
        const now = since({ txFrames: BigInt(frames), rxFrames: BigInt(frames), txBytes: BigInt(bytes), rxBytes: BigInt(bytes) });
        const all = countKernel(counted, BEFORE, now, NOTHING_UNSENT);
        expect(Object.entries(all).filter(([, value]) => value < 0)).toEqual([]);
        expect(all['tx.frames']).toBeGreaterThanOrEqual(counted['tx.frames']);
      }),
    );
  });
});

describe('unsentSince', () => {
  it.each([
    ['nothing', {}, 0, { tooBig: 0, dropped: 0 }],
    ['targets set to drop', { txDropped: 5n }, 0, { tooBig: 0, dropped: 5 }],
    ['what did not fit over IPv4, which the host counts', { txDropped: 5n }, 5, { tooBig: 5, dropped: 0 }],
    ['both', { txDropped: 5n }, 2, { tooBig: 2, dropped: 3 }],
    ['fragments of others, which are not ours', { txDropped: 5n }, 50, { tooBig: 5, dropped: 0 }],
    ['a counter of the host that began anew', { txDropped: 5n }, -100, { tooBig: 0, dropped: 5 }],
    ['what did not fit over IPv6, which the link counts apart', { txDropped: 5n, txAborted: 3n }, 0, { tooBig: 3, dropped: 5 }],
  ] as const)('tells apart %s', (_what, more, fragFails, unsent) => {
    expect(unsentSince(BEFORE, since(more), fragFails)).toEqual(unsent);
  });
});
