// What was added to counters between two readings of them. Pure.
import type { LinkStatistics } from '../../rpc/protocol.ts';

/** The first reading of a link is shown whole. */
export function sinceLast(now: readonly LinkStatistics[], before: readonly LinkStatistics[]): readonly LinkStatistics[] {
  const earlier = new Map(before.map((row) => [row.link, row]));
  return now.map((row) => {
    const last = earlier.get(row.link);
    return last === undefined ? row : added(row, last);
  });
}

function added(now: LinkStatistics, last: LinkStatistics): LinkStatistics {
  const drops = Object.entries(now.drops).map(([reason, count]) => [reason, difference(count, last.drops[reason] ?? '0')] as const);
  return {
    link: now.link,
    receivedFrames: difference(now.receivedFrames, last.receivedFrames),
    receivedBytes: difference(now.receivedBytes, last.receivedBytes),
    sentFrames: difference(now.sentFrames, last.sentFrames),
    sentBytes: difference(now.sentBytes, last.sentBytes),
    misses: now.misses === null ? null : difference(now.misses, last.misses ?? '0'),
    queued: now.queued === null ? null : difference(now.queued, last.queued ?? '0'),
    drops: Object.fromEntries(drops.filter(([, count]) => count !== '0')),
  };
}

/** A counter that is smaller than it was belongs to a link that was made anew. */
function difference(now: string, last: string): string {
  const [a, b] = [BigInt(now), BigInt(last)];
  return String(a < b ? a : a - b);
}
