// The kernel driver: opens an overlay in kernel and engine or changes nothing, takes everything back, and adopts what is there.
import { type MacAddress, OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { readTargets, writeTargets } from '../../../src/core/engine/snapshot.ts';
import type { FdbRow } from '../../../src/core/linux/types.ts';
import { MANY_ROWS, PUNT_PORTS, SEND_SOCKETS } from '../../../src/core/util/limits.ts';
import { to } from '../../helpers/engine-rig.ts';
import { ipOf, mac } from '../../helpers/frames.ts';
import { specOf, systemError } from './fake-devices.ts';
import { kernelRig } from './fake-kernel.ts';

const OPENED = ['openMux', 'addVxlan overlay0 1 192.0.2.1 4789', 'openPort', 'raiseVxlan overlay0', 'watch', 'watch'];
const CLOSED = ['unwatch', 'unwatch', 'closePort', 'deleteOverlayLink overlay0', 'releaseVxlan overlay0', 'closeMux'];
const SOCKETS = SEND_SOCKETS + 1;
const EARS = 2;
const spec = specOf('overlay0', 1);
const socket = (ip: string, listenPort = 4789) => ({ listenIp: ipOf(ip), listenPort });
const restore = (...targets: number[]) => ({
  restore: { targets: writeTargets(targets.map((last) => ({ mac: 0x02_00_00_00_00_00 + last, to: to(7), fixed: true }))) },
});

describe('the kernel driver', () => {
  it('opens in an order in which no frame finds a link without its filter or its rows, and closes in the reverse', async () => {
    const { io, kernel, store, reported, claims, driver, asked } = kernelRig();
    const port = await driver.open(spec);
    expect(asked()).toEqual(OPENED);
    expect([io.open.size, kernel.known.get('overlay0')]).toMatchObject([SOCKETS + EARS, { index: port.linkIndex, up: true }]);
    expect(port).toMatchObject({ driver: 'kernel', adopted: false });
    expect(claims.refuse('tap', spec.socket)).toContain('overlay0');
    await port.close();
    expect(asked()).toEqual(CLOSED);
    await port.close();
    expect([asked(), io.open.size, [...kernel.known.keys()], store.names, reported]).toEqual([[], 0, [], [], []]);
    expect([claims.refuse('tap', spec.socket), driver.isOwnSocket(ipOf('192.0.2.1'), 4789)]).toEqual([undefined, false]);
  });

  it('lets go in an order in which frames wait in the socket, and leaves the link, its filter and what is held', async () => {
    const { io, kernel, store, claims, driver, asked } = kernelRig();
    const port = await driver.open(spec);
    port.keep();
    expect(store.names).toEqual(['punt.c0000201.4789']);
    asked();
    await port.release();
    expect(asked()).toEqual(['unwatch', 'unwatch', 'holdMux', 'closePort', 'closeMux']);
    expect([io.open.size, [...kernel.known.keys()], store.names]).toEqual([0, ['overlay0'], ['punt.c0000201.4789']]);
    expect(claims.refuse('tap', spec.socket)).toBeUndefined();
    await port.close();
    expect(asked()).toEqual([]);
  });

  it('that is closed after it was kept is forgotten by the holder', async () => {
    const { store, driver } = kernelRig();
    const port = await driver.open(spec);
    port.keep();
    await port.close();
    expect(store.names).toEqual([]);
  });

  it('shares one punt socket among overlays of a listen address, and looks after links until the last has gone', async () => {
    const { io, driver, asked } = kernelRig();
    const one = await driver.open(spec);
    asked();
    const two = await driver.open(specOf('overlay1', 2));
    expect(asked()).toEqual(['addVxlan overlay1 2 192.0.2.1 4789', 'openPort', 'raiseVxlan overlay1']);
    expect(io.open.size).toBe(SOCKETS + EARS);
    await one.close();
    expect(asked()).toEqual(['closePort', 'deleteOverlayLink overlay0', 'releaseVxlan overlay0']);
    await two.close();
    expect(asked()).toEqual(['unwatch', 'unwatch', 'closePort', 'deleteOverlayLink overlay1', 'releaseVxlan overlay1', 'closeMux']);
    expect(io.open.size).toBe(0);
  });

  it('tells the engine where the link punts to, where it receives, and who may punt', async () => {
    const { io, engine, driver, kernel } = kernelRig();
    await driver.open(spec);
    const { spec: mux } = engine.last('openMux');
    expect(mux).toMatchObject({ encap: 'vxlan', punt: { source: Uint8Array.of(192, 0, 2, 1) }, unread: false });
    const { spec: port } = engine.last('openPort');
    const index = kernel.known.get('overlay0')?.index;
    const fallback = { family: 4, ip: Uint8Array.of(127, 0, 0, 1), port: io.udpAddress(mux.socket).port };
    expect(port.kernel).toEqual({ index, fallback, own: { family: 4, ip: Uint8Array.of(192, 0, 2, 1), port: 4789 } });
    expect([port.mux, port.tap, port.rows]).toEqual([mux.mux, undefined, undefined]);
    // Whoever has the port when nobody of ours is left reads what tenants send.
    expect(fallback.port).toBeGreaterThanOrEqual(PUNT_PORTS.min);
    expect(fallback.port).toBeLessThanOrEqual(PUNT_PORTS.max);
    expect(PUNT_PORTS.max).toBeLessThan(1024);
  });

  it('has no way to reach an unspecified listen address but loopback, and its point instead of the engine', async () => {
    const { engine, driver } = kernelRig();
    await driver.open(specOf('overlay0', 1, { socket: socket('::'), point: to(9) }));
    const loopback = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(engine.last('openMux').spec.punt).toEqual({ source: loopback });
    expect(engine.last('openPort').spec).toMatchObject({ point: to(9), kernel: { fallback: to(9), own: { family: 6, ip: loopback, port: 4789 } } });
  });

  it.each([
    ['6.15.9-generic', MANY_ROWS],
    ['5.10.0', MANY_ROWS],
    ['6.16.0', undefined],
    ['6.18.5-amd64', undefined],
    ['7.0', undefined],
    ['unreadable', undefined],
  ])('on Linux %s is slow from %s rows', async (release, manyRows) => {
    const { engine, driver } = kernelRig(release);
    await driver.open(spec);
    expect(engine.last('openPort').spec.kernel?.manyRows).toBe(manyRows);
  });
});

describe('a step that fails', () => {
  const sockets = ['openMux'];
  const made = [...sockets, 'addVxlan overlay0 1 192.0.2.1 4789'];
  const unmade = ['deleteOverlayLink overlay0', 'releaseVxlan overlay0', 'closeMux'];
  type Rig = ReturnType<typeof kernelRig>;

  it.each<[string, (rig: Rig) => void, (rig: Rig) => void, string[]]>([
    [
      'the punt socket',
      ({ io }) => (io.refuse = (what) => (what === 'listen' ? systemError('EMFILE') : undefined)),
      ({ io }) => (io.refuse = () => undefined),
      [],
    ],
    [
      'a source port',
      ({ io }) => (io.refuse = (what) => (what === 'source' ? systemError('EACCES') : undefined)),
      ({ io }) => (io.refuse = () => undefined),
      [],
    ],
    ['the mux', ({ engine }) => (engine.refusing = 'openMux'), ({ engine }) => (engine.refusing = undefined), sockets],
    ['the link', ({ kernel }) => kernel.errors.set('addVxlan', new Error('no')), ({ kernel }) => kernel.errors.clear(), [...made, 'closeMux']],
    ['the rows', ({ engine }) => (engine.refusing = 'openPort'), ({ engine }) => (engine.refusing = undefined), [...made, 'openPort', ...unmade]],
    [
      'setting it up',
      ({ kernel }) => kernel.errors.set('raiseVxlan', new Error('no')),
      ({ kernel }) => kernel.errors.clear(),
      [...made, 'openPort', 'raiseVxlan overlay0', 'closePort', ...unmade],
    ],
    [
      'listening to links',
      ({ io }) => (io.refuse = (what) => (what === 'netlink' ? systemError('EPERM') : undefined)),
      ({ io }) => (io.refuse = () => undefined),
      [...made, 'openPort', 'raiseVxlan overlay0', 'closePort', ...unmade],
    ],
    [
      'watching',
      ({ engine }) => (engine.refusing = 'watch'),
      ({ engine }) => (engine.refusing = undefined),
      [...made, 'openPort', 'raiseVxlan overlay0', 'watch', 'closePort', ...unmade],
    ],
  ])('(%s) leaves nothing, and it can be tried again', async (_what, fail, heal, calls) => {
    const rig = kernelRig();
    const { io, kernel, reported, claims, driver, asked } = rig;
    fail(rig);
    await expect(driver.open(spec)).rejects.toThrow();
    expect(asked()).toEqual(calls);
    expect([io.open.size, [...kernel.known.keys()], reported, claims.refuse('tap', spec.socket)]).toEqual([0, [], [], undefined]);
    heal(rig);
    await driver.open(spec);
    expect(asked()).toEqual(OPENED);
  });

  it('does not keep the others from being taken back', async () => {
    const { io, engine, kernel, reported, claims, driver } = kernelRig();
    const port = await driver.open(spec);
    kernel.errors.set('deleteOverlayLink', new Error('no'));
    engine.gone = new Error('the packet engine has ended');
    await port.close();
    // Two that are watched, the port, the link, the mux.
    expect([io.open.size, reported.length, claims.refuse('tap', spec.socket)]).toEqual([0, 5, undefined]);
  });

  it('says what right is missing when no port to punt to may be had', async () => {
    const { io, driver } = kernelRig();
    io.refuse = (what) => (what === 'listen' ? systemError('EACCES') : undefined);
    await expect(driver.open(spec)).rejects.toMatchObject({ code: 'NOT_PERMITTED', advice: expect.stringContaining('CAP_NET_BIND_SERVICE') });
  });

  it('says who has the port of a link that cannot go up', async () => {
    const { kernel, driver } = kernelRig();
    kernel.errors.set('raiseVxlan', new OverlayError('PORT_IN_USE', 'overlay0: cannot be set up', { details: { port: 4789 } }));
    await expect(driver.open(spec)).rejects.toMatchObject({ code: 'PORT_IN_USE', message: expect.stringContaining('process somebody (pid 7)') });
  });
});

describe('what cannot be carried', () => {
  it('is refused with its reason, and nothing is tried', () => {
    const { kernel, claims, driver, asked } = kernelRig();
    expect(driver.refuse(spec)).toBeUndefined();
    const { kernelKind: _kind, ...format } = spec.format;
    expect(driver.refuse({ ...spec, format })).toContain('does not forward this encapsulation');
    for (const ip of ['fe80::1', 'febf::1']) expect(driver.refuse({ ...spec, socket: socket(ip) })).toContain(`${ip} is an address of one link`);
    expect(driver.refuse({ ...spec, socket: socket('fec0::1') })).toBeUndefined();
    kernel.refusal = 'this kernel has no vxlan';
    expect(driver.refuse(spec)).toBe('this kernel has no vxlan');
    kernel.addresses.delete('127.0.0.1');
    expect(driver.refuse(spec)).toMatch(/no 127\.0\.0\.1; "ip link set lo up"/);
    kernel.addresses.delete('::1');
    expect(driver.refuse({ ...spec, socket: socket('2001:db8::1') })).toContain('no ::1');
    claims.claim('tap', 'vxlan', spec.socket, 'overlay7');
    expect(driver.refuse(spec)).toContain('carried by tap for overlay7');
    expect(asked()).toEqual([]);
  });

  it('is refused when it is opened all the same, before anything is made', async () => {
    const { io, claims, driver, asked } = kernelRig();
    claims.claim('tap', 'vxlan', spec.socket, 'overlay7');
    await expect(driver.open(spec)).rejects.toMatchObject({ code: 'PORT_IN_USE', details: { overlays: ['overlay7'] } });
    expect([asked(), io.open.size]).toEqual([[], 0]);
  });
});

describe('a link from before', () => {
  const NOBODY = '00:00:00:00:00:00' as MacAddress;
  const row = (address: MacAddress, ip: string | undefined, ours = true, port = 4789): FdbRow => ({
    mac: address,
    ip: ip === undefined ? undefined : ipOf(ip),
    port,
    ours,
  });
  const ADOPTED = ['openMux', 'adoptVxlan overlay0 192.0.2.1', 'openPort', 'raiseVxlan overlay0', 'watch', 'watch'];

  it('is taken over with its rows: ours are targets, the others are told of, old ways to the engine go', async () => {
    const { engine, kernel, driver, asked } = kernelRig();
    const { index } = kernel.makeVxlan('overlay0');
    kernel.rows = [
      row(NOBODY, '127.0.0.1', true, 41_000),
      row(NOBODY, '127.0.0.1', false, 41_001),
      row(NOBODY, '192.0.2.70', false),
      row(mac(1), '192.0.2.2'),
      row(mac(2), '0.0.0.0'),
      row(mac(3), undefined),
      row(mac(4), '192.0.2.66', false, 5000),
      row('33:33:00:00:00:01' as MacAddress, '192.0.2.2'),
    ];
    const port = await driver.open({ ...spec, ...restore(1, 9) });
    expect(asked()).toEqual(ADOPTED);
    expect(port).toMatchObject({ adopted: true, linkIndex: index });
    const { rows, targets } = engine.last('openPort').spec;
    const key = (last: number): number => 0x02_00_00_00_00_00 + last;
    expect([...readTargets(rows?.records ?? new Uint8Array())]).toEqual([
      { mac: key(1), to: to(2), fixed: false },
      { mac: key(2), to: 'drop', fixed: false },
      { mac: key(3), to: 'drop', fixed: false },
    ]);
    const loopback = Uint8Array.of(127, 0, 0, 1);
    expect(rows?.fallbacks).toEqual([41_000, 41_001].map((udp) => ({ family: 4, ip: loopback, port: udp })));
    expect(rows?.foreign).toEqual([
      { mac: 0, to: to(70) },
      { mac: key(4), to: to(66, 5000) },
      { mac: 0x33_33_00_00_00_01, to: to(2) },
    ]);
    expect([...readTargets(targets ?? new Uint8Array())].map((target) => target.mac)).toEqual([key(1), key(9)]);
    // What is known is each target once.
    expect([...readTargets(port.known)].map((target) => target.mac).toSorted()).toEqual([key(1), key(2), key(3), key(9)]);
  });

  it('that has gone is made anew with its address, and is not adopted', async () => {
    const { driver, asked, engine } = kernelRig();
    const again = { restore: { targets: new Uint8Array(0), mac: mac(5) } };
    expect(await driver.open({ ...spec, ...again })).toMatchObject({ adopted: false });
    expect(asked()[1]).toBe(`addVxlan overlay0 1 192.0.2.1 4789 ${mac(5)}`);
    expect(engine.last('openPort').spec).toMatchObject({ targets: new Uint8Array(0), areUnwritten: false });
  });

  it.each([
    ['cannot be taken over', 'adoptVxlan', ['openMux', 'adoptVxlan overlay0 192.0.2.1', 'closeMux']],
    ['cannot be set up', 'raiseVxlan', [...ADOPTED.slice(0, 4), 'closePort', 'closeMux']],
  ] as const)('that %s stays where it is, behind its filter', async (_what, step, calls) => {
    const { io, kernel, driver, asked } = kernelRig();
    kernel.makeVxlan('overlay0');
    kernel.errors.set(step, new Error('no'));
    await expect(driver.open({ ...spec, ...restore() })).rejects.toThrow('no');
    expect([asked(), io.open.size, [...kernel.known.keys()]]).toEqual([calls, 0, ['overlay0']]);
  });

  it.each([
    ['a TAP of ours that nothing stands on goes', {}, false, true],
    ['a TAP of ours that something stands on stays', {}, true, false],
    ['a TAP of somebody else stays', { ours: false }, false, false],
  ])('of the other kind: %s', async (_what, more, isBusy, goes) => {
    const { kernel, driver, asked } = kernelRig();
    const tap = kernel.makeVxlan('overlay0', 1400, { kind: 'tun', ...more });
    if (isBusy) kernel.known.set('vnic0', { ...tap, name: 'vnic0', index: 99, kind: 'macvlan', lowerIndex: tap.index });
    await driver.open({ ...spec, ...restore() });
    expect(asked().includes('deleteOverlayLink overlay0')).toBe(goes);
  });

  it('whose overlay cannot be restored keeps its guard only until it is given up', () => {
    const { driver, asked } = kernelRig();
    driver.discard('overlay0', true);
    expect(asked()).toEqual(['releaseVxlan overlay0']);
  });

  it('is read only when all are there', async () => {
    const { engine, driver } = kernelRig();
    await driver.open({ ...spec, ...restore() });
    expect(engine.last('openMux').spec.unread).toBe(true);
    expect(engine.ops).not.toContain('readMux');
    await driver.ready();
    expect(engine.last('readMux').mux).toBe(engine.last('openMux').spec.mux);
  });
});
