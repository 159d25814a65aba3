// What show-link -i shows from the second time on.
import { expect, it } from 'vitest';
import { sinceLast } from '../../../src/core/cli/show/statistics.ts';
import type { LinkStatistics } from '../../../src/core/rpc/protocol.ts';

const row = (link: string, count: string, drops: Record<string, string> = {}, misses: string | null = count): LinkStatistics => ({
  link,
  receivedFrames: count,
  receivedBytes: count,
  sentFrames: count,
  sentBytes: count,
  misses,
  queued: misses,
  drops,
});

it('is what was added, beyond 2^53 too, with the reasons that have occurred', () => {
  const before = [row('o0', '9007199254740993', { a: '1', b: '2' })];
  const now = [row('o0', '9007199254740995', { a: '1', b: '5', c: '7' })];
  expect(sinceLast(now, before)).toEqual([row('o0', '2', { b: '3', c: '7' })]);
});

it('is all of a link that is new, or was made anew, and nothing of one that has gone', () => {
  expect(sinceLast([row('new0', '3'), row('o0', '4')], [row('o0', '9'), row('gone0', '1')])).toEqual([row('new0', '3'), row('o0', '4')]);
});

it('leaves out what a VNIC does not count', () => {
  expect(sinceLast([row('vnic0', '3', {}, null)], [row('vnic0', '1', {}, null)])).toEqual([row('vnic0', '2', {}, null)]);
});
