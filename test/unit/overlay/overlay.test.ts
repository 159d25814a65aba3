// An overlay between its plugin and the engine: what is said too early, too often, or too late.
import type { Destination } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { frameDoor } from '../../../src/core/daemon/frames.ts';
import type { DatapathPort } from '../../../src/core/datapath/driver.ts';
import type { ToEngine } from '../../../src/core/engine/messages.ts';
import type { LookupInstance } from '../../../src/core/lookup/types.ts';
import { checkDestination } from '../../../src/core/overlay/destination.ts';
import { Overlay, type OverlayFacts } from '../../../src/core/overlay/overlay.ts';
import { HEALTH_LOG_MS, TOO_BIG_QUIET_MS } from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { to } from '../../helpers/engine-rig.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { ipOf, mac } from '../../helpers/frames.ts';

const encap: OverlayFacts['encap'] = {
  kind: 'encap',
  name: 'vxlan',
  properties: [],
  needs: ['ip', 'port'],
  vnetid: { min: 0, max: 16_777_215 },
  carriesVlanTag: true,
  format: {
    carrier: { over: 'udp' },
    template: [8, 0, 0, 0, 0, 0, 0, 0],
    vnetid: { bit: 32, bits: 24 },
    accept: [],
    length: { kind: 'fixed' },
    entropy: 'udp-source-port',
  },
};
const facts: OverlayFacts = {
  name: 'overlay0',
  id: 1,
  vnetid: 5,
  encap,
  search: 'files',
  listenIp: ipOf('192.0.2.1'),
  properties: [],
  mtu: 1400,
  datapath: 'tap',
};
const good: Destination = { ip: ipOf('192.0.2.2'), port: 4789 };
const bad: Destination = { ip: ipOf('127.0.0.1'), port: 4789 };

function rig(instance: Partial<LookupInstance> = {}, mtuTo: () => number | undefined = () => undefined) {
  const sent: ToEngine[] = [];
  const warned: string[] = [];
  const closed: string[] = [];
  const clock = new FakeClock();
  const overlay = new Overlay(facts, {
    engine: { send: (message) => void sent.push(message), call: async () => undefined },
    frames: frameDoor,
    clock,
    log: silentLog,
    healthLog: { ...silentLog, warn: (_fields, message) => void warned.push(message) },
    check: (destination, point) =>
      checkDestination(destination, { needs: ['ip', 'port'], family: 4, point, isOwnSocket: (ip) => ip === '192.0.2.1' }),
    mtuTo,
    isVnic: () => false,
  });
  const port: DatapathPort = { driver: 'tap', id: 3, linkIndex: 9, close: async () => void closed.push('port') };
  const traits = { mode: 'dynamic', point: undefined, group: false, resolves: true, servesDhcp: false } as const;
  const whole: LookupInstance = { ...traits, ask() {}, abort() {}, close: () => void closed.push('instance'), ...instance };
  return { sent, warned, closed, clock, overlay, activate: () => overlay.activate(port, whole) };
}

describe('what a plugin says', () => {
  it('before the data path is open is carried out when it is, in the order in which it was said', () => {
    const { sent, overlay, activate } = rig();
    overlay.events.setTarget(mac(1), good);
    overlay.events.invalidateTarget(mac(1));
    overlay.events.announce(ipOf('10.0.0.1'), mac(1), [mac(2), mac(3)]);
    expect(sent).toEqual([]);
    activate();
    expect(sent.map(({ op }) => op)).toEqual(['cacheSet', 'cacheInvalidate', 'inject', 'inject']);
    expect(sent.every((message) => 'port' in message && message.port === 3)).toBe(true);
  });

  it('degrades and restores, host and plugin each for itself', () => {
    const { overlay } = rig();
    overlay.events.degraded('no directory');
    overlay.events.hostDown('plugin host ended');
    overlay.events.restored();
    expect(overlay.health.report()?.reason).toBe('plugin host ended');
    overlay.events.hostUp();
    expect(overlay.health.report()?.reason).toBeUndefined();
  });

  it('of a target that is on this very host ends what was known of it, and is nothing wrong', () => {
    const { sent, overlay, activate } = rig();
    activate();
    overlay.events.setTarget(mac(1), { ip: ipOf('192.0.2.1'), port: 4789 });
    expect(sent).toEqual([{ op: 'cacheInvalidate', port: 3, mac: macToKey(mac(1)) }]);
    expect(overlay.health.report()).toBeUndefined();
  });

  it('that cannot be right is counted each time, and told in the log once', async () => {
    const { sent, warned, clock, overlay, activate } = rig();
    activate();
    for (let i = 0; i < 1000; i++) overlay.events.setTarget(mac(i), bad);
    expect(sent).toEqual([]);
    expect(warned).toEqual(['health']);
    expect((await overlay.counters())['lookup.wrong-destination']).toBe(1000);
    expect(overlay.health.report()?.reason).toContain('127.0.0.1');
    await clock.advance(TOO_BIG_QUIET_MS + HEALTH_LOG_MS);
    expect(overlay.health.report()?.reason).toBeUndefined();
    overlay.events.setTarget(mac(1), bad);
    expect(warned.length).toBe(2);
  });
});

describe('a path that is too narrow', () => {
  it('is told in the log once, however long it lasts', () => {
    const { warned, overlay, activate } = rig();
    activate();
    for (let i = 0; i < 100; i++) overlay.tooBig({ op: 'tooBig', port: 3, to: to(2), packetBytes: 1400 + i });
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
    overlay.tooBig({ op: 'tooBig', port: 3, to: to(2), packetBytes: 1450 });
    expect(overlay.health.report()?.reason).toBe(`a packet of 1450 bytes to 192.0.2.2:4789 ${said}`);
  });
});

describe('an overlay that is closed', () => {
  it('closes instance and port, leaves no timer, and is deaf afterwards', async () => {
    const { sent, closed, clock, overlay, activate } = rig();
    activate();
    overlay.tooBig({ op: 'tooBig', port: 3, to: to(2), packetBytes: 1500 });
    await overlay.close();
    await overlay.close();
    expect(closed).toEqual(['instance', 'port']);
    expect(clock.timers).toBe(0);
    overlay.events.setTarget(mac(1), good);
    overlay.events.answered([{ id: 1, kind: 'drop', reason: 'late' }]);
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
