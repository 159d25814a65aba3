// Descriptors outlive overlayd: what the next one finds, what waited for it, and what it makes anew.
import { describe, expect, it } from 'vitest';
import { writeTargets } from '../../../src/core/engine/snapshot.ts';
import { MAX_RESTORE_HOLD_MS, RESTORE_HOLD_MS, SEND_SOCKETS } from '../../../src/core/util/limits.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { to } from '../../helpers/engine-rig.ts';
import { frame, ipOf, mac, textOf } from '../../helpers/frames.ts';
import { systemError } from './fake-devices.ts';
import { NO_TARGETS, RestartRig, spec } from './restart-rig.ts';

const HELD = ['mux.c0000201.4789', 'tap.overlay1'];
const target = (number: number) => ({ mac: macToKey(mac(number)), to: to(number), fixed: false });
const inner = (bytes: Uint8Array): string => textOf(bytes.subarray(8));
const socket = (ip: string, listenPort = 4789) => ({ listenIp: ipOf(ip), listenPort });

describe('an overlay that is kept', () => {
  it.each(['killed', 'released'] as const)('loses no frame while overlayd is %s and started again, in either direction', async (how) => {
    const rig = new RestartRig();
    const before = await rig.driver.open(spec(1));
    before.keep();
    expect(before.adopted).toBe(false);
    expect(rig.store.names).toEqual(HELD);
    const tap = rig.io.tap('overlay1');
    const { index } = rig.kernel.prepareOverlayLink('overlay1', { mtu: 1400 });
    if (how === 'released') {
      await before.release();
      await rig.restartSoftly();
    } else rig.restart();
    tap.out.push(frame(mac(9), mac(1), 'out'));
    rig.arrive(1, frame(mac(1), mac(9), 'in'));
    const port = await rig.driver.open(spec(1, { restore: { targets: writeTargets([target(9)]) } }));
    await rig.driver.ready();
    rig.engine.turn();
    expect(rig.sent().map((datagram) => [datagram.to, inner(datagram.bytes)])).toEqual([['192.0.2.9 4789', 'out']]);
    expect(tap.in.map(textOf)).toEqual(['in']);
    expect(port).toMatchObject({ adopted: true, linkIndex: index });
    expect(rig.io.tap('overlay1')).toBe(tap);
    expect(tap.queues).toBe(1);
    port.keep();
    expect(rig.store.names).toEqual(HELD);
    expect(rig.reported).toEqual([]);
  });

  it('that is closed goes, with its socket, from the holder too', async () => {
    const rig = new RestartRig();
    const [one, two] = [await rig.driver.open(spec(1)), await rig.driver.open(spec(2))];
    for (const port of [one, two]) port.keep();
    await one.close();
    expect(rig.store.names).toEqual(['mux.c0000201.4789', 'tap.overlay2']);
    expect([rig.io.hasTap('overlay1'), rig.io.hasTap('overlay2')]).toEqual([false, true]);
    await two.close();
    await two.close();
    expect(rig.store.names).toEqual([]);
    expect(rig.kernel.links()).toEqual([]);
    expect(rig.io.hasTap('overlay2')).toBe(false);
    expect(rig.reported).toEqual([]);
    await rig.restartSoftly();
  });

  it('that is closed by the overlayd after goes as well, although that one never said keep', async () => {
    const rig = new RestartRig();
    (await rig.driver.open(spec(1))).keep();
    rig.restart();
    await (await rig.driver.open(spec(1, NO_TARGETS))).close();
    expect(rig.store.names).toEqual([]);
    expect(rig.io.hasTap('overlay1')).toBe(false);
    await rig.restartSoftly();
  });

  it('that somebody else has deleted the device of is closed without a complaint', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    port.keep();
    rig.io.deleteTap('overlay1');
    await port.close();
    expect(rig.reported).toEqual([]);
    expect(rig.store.names).toEqual([]);
  });

  it('that is released with others on its socket loses none of their frames', async () => {
    const rig = new RestartRig();
    const [one, two] = [await rig.driver.open(spec(1)), await rig.driver.open(spec(2))];
    for (const port of [one, two]) port.keep();
    await one.release();
    rig.arrive(1, frame(mac(1), mac(9), 'for one'));
    rig.arrive(2, frame(mac(1), mac(9), 'for two'));
    rig.io.tap('overlay2').out.push(frame(mac(9), mac(1), 'of two'));
    rig.engine.turn();
    await two.release();
    await rig.restartSoftly();
    for (const number of [1, 2]) await rig.driver.open(spec(number, { restore: { targets: writeTargets([target(9)]) } }));
    await rig.driver.ready();
    rig.engine.turn();
    expect(rig.io.tap('overlay2').in.map(textOf)).toEqual(['for two']);
    expect(rig.sent().map(({ bytes }) => inner(bytes))).toEqual(['of two']);
  });
});

describe('the socket of overlays that are restored', () => {
  async function restoring(): Promise<RestartRig> {
    const rig = new RestartRig();
    for (const number of [1, 2]) (await rig.driver.open(spec(number))).keep();
    rig.restart();
    rig.arrive(2, frame(mac(1), mac(9), 'for two'));
    await rig.driver.open(spec(1, { restore: { targets: writeTargets([target(9)]) } }));
    rig.io.tap('overlay1').out.push(frame(mac(9), mac(1), 'out'));
    rig.engine.turn();
    return rig;
  }

  it('is not read before all are open: what arrived for the last of them is there. Sending waits for nobody', async () => {
    const rig = await restoring();
    expect(rig.sent().length).toBe(1);
    await rig.driver.open(spec(2, NO_TARGETS));
    await rig.driver.ready();
    rig.engine.turn();
    expect(rig.io.tap('overlay2').in.map(textOf)).toEqual(['for two']);
    expect(rig.clock.timers).toBe(0);
  });

  it('is read at last although nobody says so, and from then on at once', async () => {
    const rig = await restoring();
    await rig.clock.advance(RESTORE_HOLD_MS);
    rig.arrive(1, frame(mac(1), mac(9), 'for one'));
    rig.engine.turn();
    expect(rig.io.tap('overlay1').in.map(textOf)).toEqual(['for one']);
    await rig.driver.open(spec(3, { ...NO_TARGETS, socket: socket('192.0.2.5') }));
    rig.arrive(3, frame(mac(1), mac(9), 'for three'), '192.0.2.5 4789');
    rig.engine.turn();
    expect(rig.io.tap('overlay3').in.map(textOf)).toEqual(['for three']);
    await rig.driver.ready();
    expect(rig.reported).toEqual([]);
  });

  it('waits as long as one overlay after the other is there again, but not for ever', async () => {
    const rig = await restoring();
    let opened = 1;
    const openAnother = async (): Promise<void> => {
      await rig.clock.advance(RESTORE_HOLD_MS - 1);
      await rig.driver.open(spec(++opened, NO_TARGETS));
    };
    await openAnother();
    await openAnother();
    rig.engine.turn();
    expect(rig.io.tap('overlay2').in.map(textOf)).toEqual([]);
    while (rig.clock.now() < MAX_RESTORE_HOLD_MS) await openAnother();
    rig.engine.turn();
    expect(rig.io.tap('overlay2').in.map(textOf)).toEqual(['for two']);
    expect(rig.clock.timers).toBe(0);
  });

  it('of one that is deleted meanwhile is not asked for', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1, NO_TARGETS));
    await port.close();
    await rig.driver.ready();
    expect(rig.engine.ops).toEqual(['openMux', 'openPort', 'closePort', 'closeMux']);
  });
});

describe('an overlay that is not kept', () => {
  it('goes with overlayd, and is refused while a device of its name is there', async () => {
    const rig = new RestartRig();
    await rig.driver.open(spec(1));
    expect(rig.store.names).toEqual([]);
    rig.restart();
    expect(rig.io.hasTap('overlay1')).toBe(false);
    (await rig.driver.open(spec(1))).keep();
    rig.restart();
    await expect(rig.driver.open(spec(1))).rejects.toMatchObject({ code: 'LINK_EXISTS' });
  });
});

describe('what is restored', () => {
  it.each<[string, (rig: RestartRig) => void, string]>([
    ['was deleted', (rig) => rig.io.deleteTap('overlay1'), 'overlay1'],
    ['has another name', (rig) => rig.io.renameTap('overlay1', 'mine0'), 'overlay1'],
  ])('is made anew when its device %s while overlayd was away', async (_what, change) => {
    const rig = new RestartRig();
    (await rig.driver.open(spec(1))).keep();
    const old = rig.io.tap('overlay1');
    rig.restart();
    change(rig);
    const port = await rig.driver.open(spec(1, NO_TARGETS));
    expect(port.adopted).toBe(false);
    expect(rig.io.tap('overlay1')).not.toBe(old);
    expect(rig.store.names).toEqual(['mux.c0000201.4789']);
    expect(old.queues).toBe(0);
    port.keep();
    await port.close();
    expect(rig.reported).toEqual([]);
  });

  it('is attached to by its name when there was no holder, and the device stayed', async () => {
    const rig = new RestartRig();
    (await rig.driver.open(spec(1))).keep();
    rig.store.end();
    rig.restart();
    const tap = rig.io.tap('overlay1');
    const port = await rig.driver.open(spec(1, NO_TARGETS));
    expect(port.adopted).toBe(true);
    expect(rig.io.tap('overlay1')).toBe(tap);
    expect(tap.queues).toBe(1);
    await port.close();
    expect(rig.io.hasTap('overlay1')).toBe(false);
  });

  it.each([
    ['of somebody else', { ours: false, mark: { stateId: 'other', name: 'overlay1' } }],
    ['of another overlay', { mark: { stateId: 'sim', name: 'overlay7' } }],
    ['of another kind', { kind: 'bridge' }],
  ])('is refused when its name is that of a link %s', async (_what, facts) => {
    const rig = new RestartRig();
    rig.io.openTap({ name: 'overlay1', exclusive: true });
    const link = rig.kernel.prepareOverlayLink('overlay1', { mtu: 1400 });
    rig.kernel.known.set('overlay1', { ...link, ...facts });
    await expect(rig.driver.open(spec(1, NO_TARGETS))).rejects.toMatchObject({ code: 'LINK_EXISTS' });
  });

  it('takes the place of the link of another data path, in the middle of the change to which overlayd ended', async () => {
    const rig = new RestartRig();
    const link = rig.kernel.prepareOverlayLink('overlay1', { mtu: 1400 });
    rig.kernel.known.set('overlay1', { ...link, kind: 'vxlan', mark: { stateId: 'sim', name: 'overlay1' } });
    const port = await rig.driver.open(spec(1, NO_TARGETS));
    expect(port.adopted).toBe(false);
    expect(rig.kernel.known.get('overlay1')).toMatchObject({ kind: 'tun' });
  });

  it('is made anew when neither holder nor device has outlived overlayd', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1, { restore: { targets: writeTargets([target(9)]) } }));
    expect(port.adopted).toBe(false);
    rig.io.tap('overlay1').out.push(frame(mac(9), mac(1), 'known'));
    rig.engine.turn();
    expect(rig.sent().map(({ bytes }) => inner(bytes))).toEqual(['known']);
  });

  it.each([
    ['the engine refuses its port', (rig: RestartRig, on: boolean) => rig.refuse(on ? 'openPort' : undefined)],
    ['the engine refuses its mux', (rig: RestartRig, on: boolean) => rig.refuse(on ? 'openMux' : undefined)],
    ['the kernel refuses its link', (rig: RestartRig, on: boolean) => rig.refuseLink(on)],
  ])('and cannot be opened because %s stays as it is, and can be tried again', async (_what, fail) => {
    const rig = new RestartRig();
    (await rig.driver.open(spec(1))).keep();
    rig.restart();
    rig.arrive(1, frame(mac(1), mac(9), 'in'));
    const tap = rig.io.tap('overlay1');
    fail(rig, true);
    for (let tries = 0; tries < 3; tries++) await expect(rig.driver.open(spec(1, NO_TARGETS))).rejects.toThrow();
    expect(rig.store.names).toEqual(HELD);
    expect(rig.io.tap('overlay1')).toBe(tap);
    fail(rig, false);
    const port = await rig.driver.open(spec(1, NO_TARGETS));
    expect(port.adopted).toBe(true);
    expect(tap.queues).toBe(1);
    await rig.driver.ready();
    rig.engine.turn();
    expect(tap.in.map(textOf)).toEqual(['in']);
    await port.close();
    await rig.restartSoftly();
  });

  it('and cannot be opened is forgotten with its device: a new overlay may have the name', async () => {
    const rig = new RestartRig();
    (await rig.driver.open(spec(1))).keep();
    rig.restart();
    rig.refuse('openPort');
    await expect(rig.driver.open(spec(1, NO_TARGETS))).rejects.toThrow();
    rig.refuse(undefined);
    await expect(rig.driver.open(spec(1))).rejects.toMatchObject({ code: 'LINK_EXISTS' });
    rig.kernel.deleteOverlayLink('overlay1');
    await (await rig.driver.open(spec(1))).close();
    await rig.restartSoftly();
  });

  it('has its isolation before the engine reads a frame of it', async () => {
    const rig = new RestartRig();
    (await rig.driver.open(spec(1))).keep();
    rig.restart();
    const order: string[] = [];
    const prepare = rig.kernel.prepareOverlayLink.bind(rig.kernel);
    rig.kernel.prepareOverlayLink = (name, options) => {
      order.push('isolated', ...rig.engine.ops);
      return prepare(name, options);
    };
    await rig.driver.open(spec(1, NO_TARGETS));
    expect([...order, ...rig.engine.ops.slice(order.length - 1)]).toEqual(['isolated', 'openMux', 'openPort']);
  });
});

describe('the receiving socket', () => {
  it('is closed and bound anew when what was held is no such socket', async () => {
    const rig = new RestartRig();
    const listen = {
      family: 4,
      address: Uint8Array.of(192, 0, 2, 1),
      port: 4790,
      receiveBufferBytes: 0,
      sendBufferBytes: 0,
      sendOnly: false,
    } as const;
    const other = rig.io.openUdp(listen);
    rig.store.keep('mux.c0000201.4789', other);
    rig.store.keep('mux.c0000201.4791', rig.io.openTap({ name: 'tap9', exclusive: true }));
    rig.restart();
    for (const [number, port] of [4789, 4791].entries()) await rig.driver.open(spec(1 + number, { socket: socket('192.0.2.1', port) }));
    expect(rig.store.names).toEqual([]);
    rig.arrive(1, frame(mac(1), mac(9), 'in'));
    rig.engine.turn();
    expect(rig.io.tap('overlay1').in.map(textOf)).toEqual(['in']);
    expect(rig.io.open).toBe(2 + 2 * (SEND_SOCKETS + 1) + 2);
  });

  it('of an overlay that was deleted is waited for when the holder lets go of it late', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    port.keep();
    const late = rig.io.hold(rig.io.inherit(rig.io.hold(socketOf(rig))));
    await port.close();
    const opening = rig.driver.open(spec(2));
    await rig.clock.advance(50);
    expect(rig.io.hasTap('overlay2')).toBe(false);
    while (rig.underlay.isBound('192.0.2.1 4789')) rig.io.letGo(late);
    await rig.clock.advance(50);
    await opening;
    expect(rig.io.hasTap('overlay2')).toBe(true);
  });

  it('is reported as in use when somebody else has it, at once', async () => {
    const rig = new RestartRig();
    rig.underlay.bind('192.0.2.1 4789');
    await expect(rig.driver.open(spec(1))).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect(rig.clock.timers).toBe(0);
  });
});

/** The descriptor of the mux's receiving socket. */
function socketOf(rig: RestartRig): number {
  for (let fd = 100; fd < 200; fd++) {
    try {
      if (rig.io.udpAddress(fd).port === 4789) return fd;
    } catch {
      // Another one.
    }
  }
  throw systemError('ENOENT');
}

describe('a device whose holder lets go of it late', () => {
  it('is gone when close() settles', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    port.keep();
    rig.io.tap('overlay1').queues++;
    await port.close();
    expect(rig.io.hasTap('overlay1')).toBe(false);
    expect(rig.kernel.links()).toEqual([]);
    expect(rig.reported).toEqual([]);
  });

  it('is reported when it cannot be deleted either', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    port.keep();
    rig.io.tap('overlay1').queues++;
    rig.kernel.deleteOverlayLink = () => {
      throw new Error('the kernel says no');
    };
    await port.close();
    expect(rig.reported).toEqual([new Error('the kernel says no')]);
    expect(rig.store.names).toEqual([]);
  });
});

describe('a live overlay', () => {
  it('moves to another address: what arrives there is its own, and the holder has the new socket', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1, { restore: { targets: writeTargets([target(9)]) } }));
    port.keep();
    await rig.driver.ready();
    await port.move(socket('192.0.2.5', 4790));
    expect(rig.store.names).toEqual(['mux.c0000205.4790', 'tap.overlay1']);
    expect([rig.driver.isOwnSocket(ipOf('192.0.2.1'), 4789), rig.driver.isOwnSocket(ipOf('192.0.2.5'), 4790)]).toEqual([false, true]);
    rig.arrive(1, frame(mac(1), mac(9), 'in'), '192.0.2.5 4790');
    rig.io.tap('overlay1').out.push(frame(mac(9), mac(1), 'out'));
    rig.engine.turn();
    expect(rig.io.tap('overlay1').in.map(textOf)).toEqual(['in']);
    expect(rig.sent().map(({ from }) => from.split(' ')[0])).toEqual(['192.0.2.5']);
    await port.close();
    expect(rig.store.names).toEqual([]);
    expect(rig.reported).toEqual([]);
    await rig.restartSoftly();
  });

  it('moves nowhere when it is there already', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    await port.move(socket('192.0.2.1'));
    expect(rig.engine.ops).toEqual(['openMux', 'openPort']);
  });

  it('shares the socket it moves to, and leaves the one it had to the others', async () => {
    const rig = new RestartRig();
    const [one, two] = [await rig.driver.open(spec(1)), await rig.driver.open(spec(2))];
    const three = await rig.driver.open(spec(3, { socket: socket('192.0.2.5') }));
    for (const port of [one, two, three]) port.keep();
    await one.move(socket('192.0.2.5'));
    expect(rig.store.names).toEqual(['mux.c0000201.4789', 'mux.c0000205.4789', 'tap.overlay1', 'tap.overlay2', 'tap.overlay3']);
    rig.arrive(2, frame(mac(1), mac(9), 'two'));
    rig.arrive(1, frame(mac(1), mac(9), 'one'), '192.0.2.5 4789');
    rig.engine.turn();
    expect([1, 2].map((number) => rig.io.tap(`overlay${number}`).in.map(textOf))).toEqual([['one'], ['two']]);
    for (const port of [one, two, three]) await port.close();
    await rig.restartSoftly();
  });

  it.each([
    ['the socket cannot be had', (rig: RestartRig) => void rig.underlay.bind('192.0.2.5 4789')],
    ['the engine refuses', (rig: RestartRig) => rig.refuse('movePort')],
  ])('stays as it is when %s', async (_what, fail) => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    port.keep();
    const open = rig.io.open;
    fail(rig);
    await expect(port.move(socket('192.0.2.5'))).rejects.toThrow();
    expect(rig.io.open).toBe(open);
    expect(rig.store.names).toEqual(HELD);
    rig.arrive(1, frame(mac(1), mac(9), 'in'));
    rig.engine.turn();
    expect(rig.io.tap('overlay1').in.map(textOf)).toEqual(['in']);
    rig.refuse(undefined);
    await port.close();
    await rig.restartSoftly();
  });

  it('has another MTU in kernel and engine, or in neither', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1));
    const told: unknown[] = [];
    rig.kernel.setMtu = (...what: unknown[]) => void told.push(what);
    port.setMtu(1300);
    expect(told).toEqual([['overlay1', 1300]]);
    rig.kernel.setMtu = () => {
      throw new Error('the kernel says no');
    };
    expect(() => port.setMtu(1200)).toThrow('the kernel says no');
    expect(rig.engine.ops).toEqual(['openMux', 'openPort', 'setMtu']);
  });

  it('has another point', async () => {
    const rig = new RestartRig();
    const port = await rig.driver.open(spec(1, { point: to(2) }));
    port.setPoint(to(3));
    rig.io.tap('overlay1').out.push(frame(mac(9), mac(1)));
    rig.engine.turn();
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.3 4789']);
  });
});
