// The conservation law of the engine: every frame that came in went out, waits, or is counted under a reason.
import { PORT_COUNTERS, type PortCounter } from '../../src/core/engine/counters.ts';

/** What a counter is in the law; `note` counts no frame's end. */
const ROLES: Readonly<
  Record<PortCounter, 'sent' | 'not-sent' | 'received' | 'not-received' | 'injected' | 'not-written' | 'segmented' | 'punted' | 'note'>
> = {
  'tx.frames': 'sent',
  'tx.bytes': 'note',
  'rx.frames': 'received',
  'rx.bytes': 'note',
  'tx.injected': 'injected',
  'lookup.asked': 'note',
  'lookup.queued': 'note',
  'question.asked': 'note',
  'question.redirected': 'note',
  'frame.short': 'not-sent',
  'frame.vlan-not-carried': 'not-sent',
  'target.drop': 'not-sent',
  'target.refused': 'not-sent',
  'target.queue-full': 'not-sent',
  'target.overlay-full': 'not-sent',
  'target.pool-full': 'not-sent',
  'target.lookups-full': 'not-sent',
  'target.table-full': 'not-sent',
  'lookup.refused': 'not-sent',
  'lookup.teardown': 'not-sent',
  'group.not-served': 'not-sent',
  'question.not-served': 'not-sent',
  'question.repeated': 'not-sent',
  'question.limit': 'not-sent',
  'question.unanswered': 'not-sent',
  'too-big': 'not-sent',
  'send.congested': 'not-sent',
  'send.failed': 'not-sent',
  'rx.short': 'not-received',
  'rx.vlan-not-carried': 'not-received',
  'rx.too-long': 'not-received',
  'tap.failed': 'not-written',
  'rx.checksum-completed': 'note',
  'rx.segmented': 'segmented',
  'target.evicted': 'note',
  'tx.injected-bytes': 'note',
  'frame.too-long': 'not-sent',
  'punt.frames': 'punted',
  'punt.bytes': 'note',
  'punt.checksum-completed': 'note',
  'row.installed': 'note',
  'row.removed': 'note',
  'row.forced': 'note',
  'row.repaired': 'note',
  'row.refused': 'note',
};

type Role = (typeof ROLES)[PortCounter];
export type Counted = Readonly<Record<string, number>>;

const sum = (counted: Counted, ...roles: Role[]): number =>
  PORT_COUNTERS.filter((name) => roles.includes(ROLES[name])).reduce((total, name) => total + (counted[name] ?? 0), 0);

/** What went into one overlay. */
export interface Flow {
  /** Frames read from its TAP, and frames that the daemon put into the transmit path. */
  readonly read: number;
  readonly resent: number;
  /** Frames of its kernel link that had no row there. */
  readonly punted: number;
  /** Askers of questions that the daemon answered with a frame of its own. */
  readonly answered: number;
  /** Frames that wait for an answer; none after the overlay is closed, they are `lookup.teardown` by then. */
  readonly waiting: number;
  readonly injected: number;
  /** Datagrams for this overlay, and how many frames the segmented ones of them became. */
  readonly datagrams: number;
  readonly segments: number;
}

export const NO_FLOW: Flow = { read: 0, resent: 0, punted: 0, answered: 0, waiting: 0, injected: 0, datagrams: 0, segments: 0 };

/** Why the counters of one overlay do not account for what went into it; undefined when they do. */
export function whyNotConserved(counted: Counted, flow: Flow): string | undefined {
  const negative = Object.entries(counted).find(([, value]) => value < 0);
  if (negative !== undefined) return `counter ${negative[0]} is ${negative[1]}`;
  const punted = sum(counted, 'punted');
  if (punted !== flow.punted) return `${flow.punted} frames were punted, ${punted} are counted`;
  const into = flow.read + flow.resent + flow.punted;
  const outOf = sum(counted, 'sent', 'not-sent') + flow.answered + flow.waiting;
  if (into !== outOf) return `${into} frames to send, ${outOf} accounted for: ${JSON.stringify(counted)} ${JSON.stringify(flow)}`;
  const towards = flow.datagrams + flow.injected;
  const written = sum(counted, 'received', 'not-received', 'injected', 'not-written', 'segmented') - flow.segments;
  if (towards !== written) return `${towards} frames to receive, ${written} accounted for: ${JSON.stringify(counted)} ${JSON.stringify(flow)}`;
  return undefined;
}

const ofPort = new Set<string>(PORT_COUNTERS);

/** Datagrams that a mux dropped before they belonged to an overlay, by what `counters` gives for one of its overlays. */
export const droppedByMux = (counted: Counted): number =>
  Object.entries(counted).reduce((total, [name, value]) => (ofPort.has(name) ? total : total + value), 0);
