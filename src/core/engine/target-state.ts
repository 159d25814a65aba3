// The life of one target as a pure table: state and event in, next state and effects out. See the theory statement in overlay/overlay.ts.

/**
 * `invalid` is the same as no entry. `refused` is no entry either: it is never listed and only keeps a lookup that was
 * refused from being asked again at once (NEGATIVE_TTL_MS). `forward` and `drop` are the two ways to be valid.
 */
export const TARGET_STATES = ['invalid', 'pending', 'forward', 'drop', 'refused'] as const;
export type TargetState = (typeof TARGET_STATES)[number];

export const TARGET_EVENTS = [
  /** A frame for this target, and there is room for it (bytes, lookups in flight). */
  'frame',
  /** A frame for which there is no room. */
  'overflow',
  /** The lookup's answer: a destination, or a refusal. Comes only while its request is outstanding. */
  'found',
  'refuse',
  /** A person or a plugin gives a destination, or a person says drop. */
  'set-forward',
  'set-drop',
  /** A person removes it, a plugin invalidates it (shootdown), or the whole cache is flushed. */
  'invalidate',
  /** NEGATIVE_TTL_MS is over. */
  'expire',
  /** Room is needed for another target. */
  'evict',
  /** The overlay is being deleted. */
  'teardown',
] as const;
export type TargetEvent = (typeof TARGET_EVENTS)[number];

/** What the cache has to do. `ask` begins a request, `abort` ends the outstanding one; a queue is sent or dropped whole and in order. */
export type TargetEffect = 'queue' | 'ask' | 'abort' | 'send' | 'send-queue' | 'drop-frame' | 'drop-queue';
export interface Transition {
  readonly next: TargetState;
  readonly effects: readonly TargetEffect[];
}

const to = (next: TargetState, ...effects: TargetEffect[]): Transition => Object.freeze({ next, effects: Object.freeze(effects) });

/**
 * Differs from illumos overlay_target.c where reference tables call it wrong: forward and drop exclude each other; the
 * room rule holds for the first frame too; a set or an invalidation ends the outstanding request, so no late answer can
 * overwrite it and no count of requests can leak; a refusal drops the whole queue, not only its head.
 */
const TRANSITIONS: Readonly<Record<TargetState, Readonly<Record<TargetEvent, Transition>>>> = {
  invalid: {
    frame: to('pending', 'queue', 'ask'),
    overflow: to('invalid', 'drop-frame'),
    found: to('invalid'),
    refuse: to('invalid'),
    'set-forward': to('forward'),
    'set-drop': to('drop'),
    invalidate: to('invalid'),
    expire: to('invalid'),
    evict: to('invalid'),
    teardown: to('invalid'),
  },
  pending: {
    frame: to('pending', 'queue'),
    overflow: to('pending', 'drop-frame'),
    found: to('forward', 'send-queue'),
    refuse: to('refused', 'drop-queue'),
    'set-forward': to('forward', 'abort', 'send-queue'),
    'set-drop': to('drop', 'abort', 'drop-queue'),
    // The answer that is under way may be the very one that was called untrue: ask again.
    invalidate: to('pending', 'abort', 'ask'),
    expire: to('pending'),
    // A target with frames waiting is not given up for another one.
    evict: to('pending'),
    teardown: to('invalid', 'abort', 'drop-queue'),
  },
  forward: {
    frame: to('forward', 'send'),
    overflow: to('forward', 'send'),
    found: to('forward'),
    refuse: to('forward'),
    'set-forward': to('forward'),
    'set-drop': to('drop'),
    invalidate: to('invalid'),
    expire: to('forward'),
    evict: to('invalid'),
    teardown: to('invalid'),
  },
  drop: {
    frame: to('drop', 'drop-frame'),
    overflow: to('drop', 'drop-frame'),
    found: to('drop'),
    refuse: to('drop'),
    'set-forward': to('forward'),
    'set-drop': to('drop'),
    invalidate: to('invalid'),
    expire: to('drop'),
    evict: to('invalid'),
    teardown: to('invalid'),
  },
  refused: {
    frame: to('refused', 'drop-frame'),
    overflow: to('refused', 'drop-frame'),
    found: to('refused'),
    refuse: to('refused'),
    'set-forward': to('forward'),
    'set-drop': to('drop'),
    invalidate: to('invalid'),
    expire: to('invalid'),
    evict: to('invalid'),
    teardown: to('invalid'),
  },
};

export const stepTarget = (state: TargetState, event: TargetEvent): Transition => TRANSITIONS[state][event];
