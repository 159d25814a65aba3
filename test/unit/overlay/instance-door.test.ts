// What a lookup instance says waits until it is the overlay's own, in its order, and is lost once it is not any more.
import { describe, expect, it } from 'vitest';
import type { InstanceEvents } from '../../../src/core/lookup/types.ts';
import { InstanceDoor } from '../../../src/core/overlay/instance-door.ts';
import { MAX_TARGETS_PER_OVERLAY } from '../../../src/core/util/limits.ts';
import { ipOf, mac } from '../../helpers/frames.ts';

const EVENTS = [
  'answered',
  'setTarget',
  'invalidateTarget',
  'announce',
  'degraded',
  'restored',
  'hostDown',
  'hostUp',
  'outdated',
] as const satisfies readonly (keyof InstanceEvents)[];

function rig() {
  const heard: (readonly [string, ...unknown[]])[] = [];
  const note =
    (name: string) =>
    (...args: unknown[]) =>
      void heard.push([name, ...args]);
  const to = Object.fromEntries(EVENTS.map((name) => [name, note(name)])) as unknown as InstanceEvents;
  return { heard, door: new InstanceDoor(to) };
}

const good = { ip: ipOf('192.0.2.2'), port: 4789 };

/** Everything that an instance can say. */
function sayAll(events: InstanceEvents): void {
  events.hostDown('no plugin');
  events.hostUp();
  events.outdated();
  events.setTarget(mac(1), good);
  events.invalidateTarget(mac(2));
  events.announce(ipOf('10.0.0.1'), mac(1), [mac(3)]);
  events.degraded('no directory');
  events.restored();
  events.answered([{ id: 1, kind: 'drop', reason: 'no' }]);
}
const SAID = [
  ['hostDown', 'no plugin'],
  ['hostUp'],
  ['outdated'],
  ['setTarget', mac(1), good],
  ['invalidateTarget', mac(2)],
  ['announce', '10.0.0.1', mac(1), [mac(3)]],
  ['degraded', 'no directory'],
  ['restored'],
  ['answered', [{ id: 1, kind: 'drop', reason: 'no' }]],
];

describe('an instance', () => {
  it('that is early is heard when the door opens, in the order in which it spoke, and at once from then on', () => {
    const { heard, door } = rig();
    sayAll(door.events);
    expect(heard).toEqual([]);
    door.open();
    expect(heard).toEqual(SAID);
    door.open();
    sayAll(door.events);
    expect(heard).toEqual([...SAID, ...SAID]);
  });

  it.each(['early', 'open'])('is not heard any more when the door is shut (%s), also when it is opened again', (state) => {
    const { heard, door } = rig();
    if (state === 'open') door.open();
    else sayAll(door.events);
    door.shut();
    sayAll(door.events);
    door.open();
    sayAll(door.events);
    expect(heard).toEqual([]);
  });

  it('that answers what it is told while the door opens keeps its order', () => {
    const heard: string[] = [];
    const { door: other } = rig();
    const door = new InstanceDoor({
      ...other.events,
      degraded: (reason) => {
        heard.push(reason);
        if (reason === 'first') door.events.degraded('third');
      },
    });
    door.events.degraded('first');
    door.open();
    expect(heard).toEqual(['first', 'third']);
  });

  it('that says more than an overlay can have targets is cut short', () => {
    const { heard, door } = rig();
    for (let i = 0; i < MAX_TARGETS_PER_OVERLAY + 10; i++) door.events.outdated();
    door.open();
    expect(heard.length).toBe(MAX_TARGETS_PER_OVERLAY);
  });
});
