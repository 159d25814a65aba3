// Counters of an overlay on a kernel link: the engine counts what passes it, the link everything else. Pure.
//
// The link counts packets from their IP header on (include/net/udp_tunnel.h, iptunnel_xmit(); vxlan_rcv()), overlays whole frames.
import type { LinkStatistics } from '../linux/types.ts';
import { ETHERNET_HEADER_BYTES } from '../util/packet-sizes.ts';

/** Counters that only such an overlay has, besides those of the engine. */
export const KERNEL_COUNTERS = ['rx.refused', 'filter.repaired', 'link.repaired'] as const;

type Counted = Readonly<Record<string, number>>;

/** Frames that the link did not send, by reason. */
export interface Unsent {
  readonly tooBig: number;
  /** To targets that are set to drop. */
  readonly dropped: number;
}

/**
 * What did not fit and what was to be dropped the link counts alike over IPv4; of the former the host counts the fragments that it did
 * not make (FragFails, at least one a frame), so that no more than those were too big. Over IPv6 the link counts them apart.
 */
export function unsentSince(before: LinkStatistics, now: LinkStatistics, fragFails: number): Unsent {
  const dropped = Number(now.txDropped - before.txDropped);
  const aborted = Number(now.txAborted - before.txAborted);
  const notFragmented = Math.min(dropped, Math.max(0, fragFails));
  return { tooBig: aborted + notFragmented, dropped: dropped - notFragmented };
}

/**
 * `before`: of the link when it was opened. What the link has sent it has put on the underlay or punted, and what was punted the
 * engine counts; what the link has received came from the underlay, but for what was injected.
 */
export function countKernel(counted: Counted, before: LinkStatistics, now: LinkStatistics, { tooBig, dropped }: Unsent): Counted {
  const since = (name: keyof LinkStatistics): number => Number(now[name] - before[name]);
  const of = (name: string): number => counted[name] ?? 0;
  const more = (value: number): number => Math.max(0, value);
  return {
    ...counted,
    'tx.frames': of('tx.frames') + more(since('txFrames') - of('punt.frames')),
    'tx.bytes': of('tx.bytes') + more(since('txBytes') + ETHERNET_HEADER_BYTES * since('txFrames') - of('punt.bytes')),
    'rx.frames': more(since('rxFrames') - of('tx.injected')),
    'rx.bytes': more(since('rxBytes') + ETHERNET_HEADER_BYTES * since('rxFrames') - of('tx.injected-bytes')),
    'too-big': of('too-big') + tooBig,
    'target.drop': of('target.drop') + dropped,
    'send.failed': of('send.failed') + since('txCarrier'),
    'rx.refused': since('rxErrors'),
  };
}
