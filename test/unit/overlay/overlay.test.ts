// An overlay between its plugin and the engine: what is said too early, too often, or too late.
import type { Destination } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { frameDoor } from '../../../src/core/daemon/frames.ts';
import type { DatapathPort } from '../../../src/core/datapath/driver.ts';
import type { EngineCall, ToEngine } from '../../../src/core/engine/messages.ts';
import type { Ask, LookupInstance } from '../../../src/core/lookup/types.ts';
import { checkDestination } from '../../../src/core/overlay/destination.ts';
import type { InstanceDoor } from '../../../src/core/overlay/instance-door.ts';
import { Overlay } from '../../../src/core/overlay/overlay.ts';
import { factsOf } from '../../../src/core/overlay/record.ts';
import type { Watcher } from '../../../src/core/overlay/verify.ts';
import { HEALTH_LOG_MS, TOO_BIG_QUIET_MS } from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { to } from '../../helpers/engine-rig.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { arpRequest, frame, ipOf, mac, macOf } from '../../helpers/frames.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

const facts = factsOf(overlayRecord('overlay0', { vnetid: 5 }));
const good: Destination = { ip: ipOf('192.0.2.2'), port: 4789 };
const bad: Destination = { ip: ipOf('127.0.0.1'), port: 4789 };

/** Somebody who watches and does nothing. */
const idle: Watcher = { up: () => undefined, down: () => undefined, set: () => undefined, unanswered: () => undefined };

function rig(instance: Partial<LookupInstance> = {}, mtuTo: () => number | undefined = () => undefined) {
  const sent: ToEngine[] = [];
  const called: EngineCall[] = [];
  const results = new Map<EngineCall['op'], boolean>();
  const warned: string[] = [];
  const closed: string[] = [];
  const clock = new FakeClock();
  const overlay = new Overlay(facts, {
    engine: {
      send: (message) => void sent.push(message),
      call: async (message) => {
        called.push(message);
        return results.get(message.op);
      },
    },
    frames: frameDoor,
    clock,
    log: silentLog,
    healthLog: { ...silentLog, warn: (_fields, message) => void warned.push(message) },
    check: (destination, point) =>
      checkDestination(destination, { needs: ['ip', 'port'], family: 4, point, isOwnSocket: (ip) => ip === '192.0.2.1' }),
    mtuTo,
    isVnic: () => false,
  });
  const port: DatapathPort = {
    driver: 'tap',
    id: 3,
    linkIndex: 9,
    adopted: false,
    known: new Uint8Array(0),
    watch: () => undefined,
    counters: (counted) => counted,
    keep: () => undefined,
    close: async () => void closed.push('port'),
    release: async () => void closed.push('port released'),
    setMtu: () => undefined,
    setPoint: () => undefined,
    move: async () => undefined,
  };
  const traits = { mode: 'dynamic', point: undefined, group: false, resolves: true, servesDhcp: false, digests: {} } as const;
  const make = (changes: Partial<LookupInstance> = {}): LookupInstance => ({
    ...traits,
    ask() {},
    abort() {},
    close: () => void closed.push('instance'),
    ...changes,
  });
  const door = overlay.newDoor();
  const { events } = door;
  return { sent, called, results, warned, closed, clock, overlay, door, events, make, activate: () => overlay.activate(port, make(instance), door) };
}

describe('what a plugin says', () => {
  it('before the data path is open is carried out when it is, in the order in which it was said', () => {
    const { sent, events, activate } = rig();
    events.setTarget(mac(1), good);
    events.invalidateTarget(mac(1));
    events.announce(ipOf('10.0.0.1'), mac(1), [mac(2), mac(3)]);
    expect(sent).toEqual([]);
    activate();
    expect(sent.map(({ op }) => op)).toEqual(['cacheSet', 'cacheInvalidate', 'inject', 'inject']);
    expect(sent.every((message) => 'port' in message && message.port === 3)).toBe(true);
  });

  it('degrades and restores, host and plugin each for itself', () => {
    const { overlay, events, activate } = rig();
    activate();
    events.degraded('no directory');
    events.hostDown('plugin host ended');
    events.restored();
    expect(overlay.health.report()?.reason).toBe('plugin host ended');
    events.hostUp();
    expect(overlay.health.report()?.reason).toBeUndefined();
  });

  it('of a target that is on this very host ends what was known of it, and is nothing wrong', () => {
    const { sent, overlay, events, activate } = rig();
    activate();
    events.setTarget(mac(1), { ip: ipOf('192.0.2.1'), port: 4789 });
    expect(sent).toEqual([{ op: 'cacheInvalidate', port: 3, mac: macToKey(mac(1)) }]);
    expect(overlay.health.report()).toBeUndefined();
  });

  it('that cannot be right is counted each time, and told in the log once', async () => {
    const { sent, warned, clock, overlay, events, activate } = rig();
    activate();
    for (let i = 0; i < 1000; i++) events.setTarget(mac(i), bad);
    expect(sent).toEqual([]);
    expect(warned).toEqual(['health']);
    expect((await overlay.counters())['lookup.wrong-destination']).toBe(1000);
    expect(overlay.health.report()?.reason).toContain('127.0.0.1');
    await clock.advance(TOO_BIG_QUIET_MS + HEALTH_LOG_MS);
    expect(overlay.health.report()?.reason).toBeUndefined();
    events.setTarget(mac(1), bad);
    expect(warned.length).toBe(2);
  });
});

describe('a path that is too narrow', () => {
  it('is told in the log once, however long it lasts', () => {
    const { warned, overlay, activate } = rig();
    activate();
    for (let i = 0; i < 100; i++) overlay.tooBig({ to: to(2), packetBytes: 1400 + i });
    expect(warned).toEqual(['health']);
    expect(overlay.health.report()?.reason).toContain('1499 bytes to 192.0.2.2:4789');
  });

  // 20 IPv4, 8 UDP, 8 VXLAN, 14 Ethernet, 4 for a VLAN tag.
  it.each([
    ['what fits', 1400, 'does not fit the path of 1400; at most 1346 fits as mtu (1400)'],
    ['that nothing does, where the path is narrower than the headers', 40, 'does not fit the path of 40; at most 0 fits as mtu (1400)'],
    ['no number where the path is not known', undefined, 'does not fit the path; lower the mtu (1400)'],
    ['no number where the path is wide enough by now', 1450, 'does not fit the path; lower the mtu (1400)'],
  ])('says %s', (_what, mtu, said) => {
    const { overlay, activate } = rig({}, () => mtu);
    activate();
    overlay.tooBig({ to: to(2), packetBytes: 1450 });
    expect(overlay.health.report()?.reason).toBe(`a packet of 1450 bytes to 192.0.2.2:4789 ${said}`);
  });
});

describe('an overlay that is closed', () => {
  it('closes instance and port, leaves no timer, and is deaf afterwards', async () => {
    const { sent, closed, clock, overlay, events, activate } = rig();
    activate();
    overlay.tooBig({ to: to(2), packetBytes: 1500 });
    await overlay.close();
    await overlay.close();
    expect(closed).toEqual(['instance', 'port']);
    expect(clock.timers).toBe(0);
    events.setTarget(mac(1), good);
    events.answered([{ id: 1, kind: 'drop', reason: 'late' }]);
    overlay.missed([]);
    expect(sent).toEqual([]);
    expect(await overlay.targets(-1)).toBeUndefined();
    expect(await overlay.counters()).toEqual({ 'lookup.wrong-destination': 0 });
  });

  it('closes its port although the instance throws', async () => {
    const { closed, overlay, activate } = rig({
      close: () => {
        throw new Error('the host is mad');
      },
    });
    activate();
    await expect(overlay.close()).rejects.toThrow('mad');
    expect(closed).toEqual(['port']);
  });
});

describe('an overlay that is let go of', () => {
  it('closes the instance, and releases its port: the link stays', async () => {
    const { closed, overlay, activate } = rig();
    activate();
    await overlay.release();
    await overlay.close();
    expect(closed).toEqual(['instance', 'port released']);
  });
});

describe('a target that a person sets', () => {
  const key = macToKey(macOf('2:8:20:0:0:1'));

  it('is fixed, wherever it is, and whoever follows it is told', () => {
    const { sent, overlay, activate } = rig();
    activate();
    const set: string[] = [];
    overlay.watch({ ...idle, set: (target) => void set.push(target) });
    overlay.setTargetByPerson('2:8:20:0:0:1', '192.0.2.2:4789');
    overlay.setTargetByPerson('02:08:20:00:00:01', 'Drop');
    expect(sent).toEqual([
      { op: 'cacheSet', port: 3, mac: key, to: to(2), fixed: true },
      { op: 'cacheSet', port: 3, mac: key, to: 'drop', fixed: true },
    ]);
    expect(set).toEqual(['02:08:20:00:00:01', '02:08:20:00:00:01']);
  });

  it.each([
    ['no address', 'nonsense', '192.0.2.2:4789', 'MAC_INVALID'],
    ['the address of nobody', '0:0:0:0:0:0', '192.0.2.2:4789', 'MAC_INVALID'],
    ['the address of a group', '1:0:5e:0:0:1', '192.0.2.2:4789', 'MAC_INVALID'],
    ['everybody', 'ff:ff:ff:ff:ff:ff', 'drop', 'MAC_INVALID'],
    ['a destination of the wrong form', '2:8:20:0:0:1', '192.0.2.2', 'DESTINATION_INVALID'],
    ['a destination of the other family', '2:8:20:0:0:1', '[2001:db8::2]:4789', 'DESTINATION_WRONG'],
    ['a multicast group', '2:8:20:0:0:1', '239.1.1.1:4789', 'DESTINATION_WRONG'],
    ['this very host', '2:8:20:0:0:1', '192.0.2.1:4789', 'DESTINATION_WRONG'],
  ])('is refused with %s, with advice, and nothing is changed', (_what, text, destination, code) => {
    const { sent, overlay, activate } = rig();
    activate();
    overlay.watch({ ...idle, set: () => expect.unreachable() });
    expect(() => overlay.setTargetByPerson(text, destination)).toThrow(expect.objectContaining({ code, advice: expect.stringMatching(/./) }));
    expect(sent).toEqual([]);
    expect(overlay.health.report()).toBeUndefined();
  });

  it('is removed when it is there', async () => {
    const { called, results, overlay, activate } = rig();
    activate();
    results.set('cacheRemove', true);
    await overlay.removeTarget('2:8:20:0:0:1');
    expect(called).toEqual([{ op: 'cacheRemove', port: 3, mac: key }]);
    results.set('cacheRemove', false);
    await expect(overlay.removeTarget('2:8:20:0:0:1')).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND', message: '2:8:20:0:0:1: object not found' });
    await expect(overlay.removeTarget('2:8:20')).rejects.toMatchObject({ code: 'MAC_INVALID' });
    await overlay.flushTargets();
    expect(called.at(-1)).toEqual({ op: 'cacheFlush', port: 3 });
  });

  it.each(['of an overlay with one destination', 'of an overlay that is closed'])('%s is refused: there is no table', async (what) => {
    const { called, sent, overlay, activate } = rig({ mode: 'point' });
    activate();
    if (what.includes('closed')) await overlay.close();
    const refused = expect.objectContaining({ code: 'NOT_SUPPORTED', message: 'operation not supported' });
    expect(() => overlay.setTargetByPerson('2:8:20:0:0:1', 'drop')).toThrow(refused);
    await expect(overlay.removeTarget('2:8:20:0:0:1')).rejects.toEqual(refused);
    await expect(overlay.flushTargets()).rejects.toEqual(refused);
    expect([called, sent]).toEqual([[], []]);
  });
});

describe('another lookup instance', () => {
  /** What it is asked, and a door for it. */
  function second(overlay: Overlay, make: ReturnType<typeof rig>['make']): { asked: Ask[]; instance: LookupInstance; door: InstanceDoor } {
    const asked: Ask[] = [];
    return { asked, instance: make({ ask: (asks) => void asked.push(...asks) }), door: overlay.newDoor() };
  }

  it('takes over every question that is out, each once and in order; the engine asks for targets anew; the old one is not heard any more', () => {
    const first: Ask[] = [];
    const { sent, closed, overlay, events, make, activate } = rig({ ask: (asks) => void first.push(...asks) });
    activate();
    overlay.missed([
      { id: 4, kind: 'target', frame: frame(macOf('01:00:5e:00:00:01'), mac(1)) },
      { id: 5, kind: 'question', frame: arpRequest(mac(1), '10.0.0.1', '10.0.0.9') },
      { id: 6, kind: 'target', frame: frame(mac(9), mac(1)) },
      { id: 7, kind: 'target', frame: frame(mac(8), mac(1)) },
    ]);
    events.answered([{ id: 6, kind: 'found', destination: good }]);
    const { asked, instance, door } = second(overlay, make);
    sent.length = 0;
    overlay.replaceInstance(instance, door);
    expect(asked.map(({ id, kind }) => [id, kind])).toEqual([
      [4, 'lookup'],
      [5, 'resolve'],
    ]);
    expect(closed).toEqual(['instance']);
    expect(sent).toEqual([{ op: 'cacheOutdated', port: 3 }]);
    events.answered([{ id: 4, kind: 'found', destination: good }]);
    events.setTarget(mac(7), good);
    expect(sent.length).toBe(1);
    for (let times = 0; times < 2; times++) door.events.answered([{ id: 4, kind: 'found', destination: good }]);
    expect(sent.slice(1)).toEqual([{ op: 'answers', answers: [{ id: 4, kind: 'found', to: to(2) }] }]);
  });

  it('says what it had to say before it took over, after what the old one had said is outdated; troubles of the old one are over', () => {
    const { sent, overlay, events, make, activate } = rig();
    activate();
    events.degraded('no directory');
    events.hostDown('host ended');
    const { instance, door } = second(overlay, make);
    door.events.setTarget(mac(1), good);
    expect(sent).toEqual([]);
    overlay.replaceInstance(instance, door);
    expect(sent.map(({ op }) => op)).toEqual(['cacheOutdated', 'cacheSet']);
    expect(overlay.health.report()).toBeUndefined();
  });

  it('is refused by an overlay that is closed', async () => {
    const { overlay, make, activate } = rig();
    activate();
    await overlay.close();
    const { instance, door } = second(overlay, make);
    expect(() => overlay.replaceInstance(instance, door)).toThrow(expect.objectContaining({ code: 'OVERLAY_NOT_FOUND' }));
  });
});

describe('whoever follows a restored instance', () => {
  it('is told when it comes up, each time, and at once when it is up already', () => {
    const { overlay, events, activate } = rig();
    activate();
    let ups = 0;
    const follow = { ...idle, up: () => void ups++ };
    overlay.watch(follow);
    events.hostDown('not installed');
    expect([ups, overlay.health.report()?.reason]).toEqual([0, 'not installed']);
    events.hostUp();
    events.hostDown('host ended');
    events.hostUp();
    expect([ups, overlay.health.report()]).toEqual([2, undefined]);
    overlay.watch(follow);
    expect(ups).toBe(3);
  });
});
