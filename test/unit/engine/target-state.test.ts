// The state machine of a target as a table: every state with every event, once.
import { describe, expect, it } from 'vitest';
import { stepTarget, TARGET_EVENTS, TARGET_STATES, type TargetEvent, type TargetState } from '../../../src/core/engine/target-state.ts';

const TABLE = `
  invalid  frame        -> pending  queue ask
  invalid  overflow     -> invalid  drop-frame
  invalid  found        -> invalid
  invalid  refuse       -> invalid
  invalid  set-forward  -> forward
  invalid  set-drop     -> drop
  invalid  invalidate   -> invalid
  invalid  expire       -> invalid
  invalid  evict        -> invalid
  invalid  teardown     -> invalid
  pending  frame        -> pending  queue
  pending  overflow     -> pending  drop-frame
  pending  found        -> forward  send-queue
  pending  refuse       -> refused  drop-queue
  pending  set-forward  -> forward  abort send-queue
  pending  set-drop     -> drop     abort drop-queue
  pending  invalidate   -> pending  abort ask
  pending  expire       -> pending
  pending  evict        -> pending
  pending  teardown     -> invalid  abort drop-queue
  forward  frame        -> forward  send
  forward  overflow     -> forward  send
  forward  found        -> forward
  forward  refuse       -> forward
  forward  set-forward  -> forward
  forward  set-drop     -> drop
  forward  invalidate   -> invalid
  forward  expire       -> forward
  forward  evict        -> invalid
  forward  teardown     -> invalid
  drop     frame        -> drop     drop-frame
  drop     overflow     -> drop     drop-frame
  drop     found        -> drop
  drop     refuse       -> drop
  drop     set-forward  -> forward
  drop     set-drop     -> drop
  drop     invalidate   -> invalid
  drop     expire       -> drop
  drop     evict        -> invalid
  drop     teardown     -> invalid
  refused  frame        -> refused  drop-frame
  refused  overflow     -> refused  drop-frame
  refused  found        -> refused
  refused  refuse       -> refused
  refused  set-forward  -> forward
  refused  set-drop     -> drop
  refused  invalidate   -> invalid
  refused  expire       -> invalid
  refused  evict        -> invalid
  refused  teardown     -> invalid
`;

const rows = TABLE.trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/))
  .map(([state, event, , next, ...effects]) => ({ state: state as TargetState, event: event as TargetEvent, next, effects }));

describe('the life of a target', () => {
  it('names every state with every event exactly once', () => {
    expect(new Set(rows.map(({ state, event }) => `${state} ${event}`)).size).toBe(rows.length);
    expect(rows.length).toBe(TARGET_STATES.length * TARGET_EVENTS.length);
  });

  it.each(rows)('$state + $event -> $next $effects', ({ state, event, next, effects }) => {
    expect(stepTarget(state, event)).toEqual({ next, effects });
  });
});
