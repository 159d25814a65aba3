// An overlay that is open on a kernel link: moved, changed, counted, and looked after when somebody else changes it.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { DatapathPort } from '../../../src/core/datapath/driver.ts';
import { UNDERLAY_POLL_MS } from '../../../src/core/util/limits.ts';
import { to } from '../../helpers/engine-rig.ts';
import { ipOf } from '../../helpers/frames.ts';
import { NO_STATISTICS } from '../../helpers/sim-host.ts';
import { specOf } from './fake-devices.ts';
import { kernelRig } from './fake-kernel.ts';

const spec = specOf('overlay0', 1);
const socket = (ip: string, listenPort = 4789) => ({ listenIp: ipOf(ip), listenPort });

async function opened(options: Parameters<typeof specOf>[2] = {}) {
  const rig = kernelRig();
  const port = await rig.driver.open({ ...spec, ...options });
  const told = watched(port);
  rig.asked();
  return { ...rig, port, told };
}

/** What the overlay's health is told. */
function watched(port: DatapathPort): string[] {
  const told: string[] = [];
  port.watch({
    trouble: (cause, reason) => void told.push(`${cause}: ${reason}`),
    over: (cause) => void told.push(`${cause} is over`),
    tooBig: (where, bytes) => void told.push(`${where.ip.join('.')} takes no ${bytes}`),
  });
  return told;
}

describe('a move', () => {
  it('sends frames without row to the new socket first, then the link, and closes the old socket last', async () => {
    const { io, engine, kernel, claims, driver, port, asked } = await opened();
    const { spec: first } = engine.last('openMux');
    await port.move(socket('192.0.2.2'));
    expect(asked()).toEqual(['openMux', 'movePort', 'moveVxlan overlay0 192.0.2.2', 'closeMux']);
    const { spec: second } = engine.last('openMux');
    expect(second.punt).toEqual({ source: Uint8Array.of(192, 0, 2, 2) });
    const fallback = { family: 4, ip: Uint8Array.of(127, 0, 0, 1), port: io.udpAddress(second.socket).port } as const;
    const index = kernel.known.get('overlay0')?.index;
    expect(engine.last('movePort')).toMatchObject({ port: port.id, mux: second.mux, kernel: { index, fallback, own: to(2) } });
    expect(engine.last('closeMux').mux).toBe(first.mux);
    expect([driver.isOwnSocket(ipOf('192.0.2.1'), 4789), driver.isOwnSocket(ipOf('192.0.2.2'), 4789)]).toEqual([false, true]);
    await port.close();
    expect(claims.refuse('tap', spec.socket)).toBeUndefined();
  });

  it('of one that is kept has the new socket held, and the old one forgotten', async () => {
    const { store, port } = await opened();
    port.keep();
    await port.move(socket('192.0.2.2'));
    expect(store.names).toEqual(['punt.c0000202.4789']);
  });

  it('to where it is, and of one that has been closed, is none', async () => {
    const { port, asked } = await opened();
    await port.move(spec.socket);
    expect(asked()).toEqual([]);
    await port.close();
    asked();
    await port.move(socket('192.0.2.2'));
    expect(asked()).toEqual([]);
  });

  it.each([
    ['the kernel', 'moveVxlan', ['openMux', 'movePort', 'moveVxlan overlay0 192.0.2.2', 'movePort', 'closeMux']],
    ['the engine', 'movePort', ['openMux', 'movePort', 'closeMux']],
    ['nobody can have the socket, which', 'openMux', ['openMux']],
  ] as const)('that %s refuses changes nothing', async (_who, step, calls) => {
    const { io, engine, kernel, claims, port, asked } = await opened();
    const before = [...io.open.keys()];
    const punt = io.udpAddress(engine.last('openMux').spec.socket).port;
    const { spec: mux } = engine.last('openMux');
    if (step === 'moveVxlan') kernel.errors.set(step, new Error('no'));
    else engine.refusing = step;
    await expect(port.move(socket('192.0.2.2'))).rejects.toThrow();
    expect([asked(), [...io.open.keys()]]).toEqual([calls, before]);
    if (step === 'moveVxlan') expect(engine.last('movePort')).toMatchObject({ mux: mux.mux, kernel: { own: to(1), fallback: { port: punt } } });
    engine.refusing = undefined;
    kernel.errors.clear();
    await port.move(socket('192.0.2.2'));
    await port.close();
    expect([io.open.size, claims.refuse('tap', spec.socket)]).toEqual([0, undefined]);
  });

  it('to a port of the other driver is refused before anything is opened', async () => {
    const { claims, port, asked } = await opened();
    claims.claim('tap', 'vxlan', socket('192.0.2.1', 4790), 'overlay7');
    await expect(port.move(socket('192.0.2.1', 4790))).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect(asked()).toEqual([]);
  });
});

describe('what changes while it is open', () => {
  it('is its MTU, of link and engine, and its point', async () => {
    const { engine, kernel, port } = await opened({ point: to(9) });
    port.setMtu(1300);
    expect([kernel.known.get('overlay0')?.mtu, engine.last('setMtu')]).toMatchObject([1300, { port: port.id, mtu: 1300 }]);
    port.setPoint(to(8));
    expect(engine.last('setPoint')).toMatchObject({ port: port.id, point: to(8) });
    await port.move(socket('192.0.2.2'));
    expect(engine.last('movePort').kernel?.fallback).toEqual(to(8));
  });

  it('is not its MTU when the kernel refuses it', async () => {
    const { engine, kernel, port } = await opened();
    kernel.failing = 'setMtu';
    expect(() => port.setMtu(1300)).toThrow('the kernel says no');
    expect(engine.ops).not.toContain('setMtu');
  });
});

describe('counters', () => {
  it('begin with the overlay, whatever the link had counted, and tell once what was not sent', async () => {
    const { kernel, driver } = kernelRig();
    kernel.makeVxlan('overlay0');
    kernel.counted = { ...NO_STATISTICS, txFrames: 100n, txBytes: 5000n, rxFrames: 50n, txDropped: 9n, rxErrors: 4n };
    kernel.frags = 30;
    const port = await driver.open({ ...spec, restore: { targets: new Uint8Array(0) } });
    const none = { 'tx.frames': 0, 'rx.frames': 0, 'too-big': 0, 'target.drop': 0, 'rx.refused': 0, 'filter.repaired': 0, 'link.repaired': 0 };
    expect(port.counters({})).toMatchObject(none);
    kernel.counted = { ...kernel.counted, txFrames: 110n, txDropped: 16n };
    kernel.frags = 32;
    for (let i = 0; i < 2; i++) expect(port.counters({ 'punt.frames': 4 })).toMatchObject({ 'tx.frames': 6, 'too-big': 2, 'target.drop': 5 });
    kernel.counted = { ...kernel.counted, txDropped: 17n };
    expect(port.counters({})).toMatchObject({ 'too-big': 2, 'target.drop': 6 });
  });

  it('of a link that has gone cannot be had', async () => {
    const { kernel, port } = await opened();
    kernel.errors.set('statistics', new OverlayError('LINK_NOT_FOUND', 'overlay0: does not exist'));
    expect(() => port.counters({})).toThrow(expect.objectContaining({ code: 'LINK_NOT_FOUND' }));
  });
});

describe('a link that somebody', () => {
  it('takes down is set up again, counted, and said in the log', async () => {
    const { kernel, clock, port, told, logged, asked } = await opened();
    const link = kernel.known.get('overlay0');
    if (link !== undefined) kernel.known.set('overlay0', { ...link, up: false });
    await clock.advance(UNDERLAY_POLL_MS);
    expect([asked(), told, logged]).toEqual([['raiseVxlan overlay0'], ['device is over'], [expect.stringContaining('taken down by somebody')]]);
    expect(port.counters({})).toMatchObject({ 'link.repaired': 1 });
    await clock.advance(3 * UNDERLAY_POLL_MS);
    expect([asked(), port.counters({})['link.repaired']]).toEqual([[], 1]);
  });

  it('deletes or renames is said to be so, until it is back', async () => {
    const { kernel, clock, told } = await opened();
    const link = kernel.known.get('overlay0');
    if (link === undefined) throw new Error('no link');
    kernel.known.delete('overlay0');
    await clock.advance(UNDERLAY_POLL_MS);
    kernel.known.set('eth7', { ...link, name: 'eth7' });
    await clock.advance(UNDERLAY_POLL_MS);
    // Another one under its name is not it.
    kernel.makeVxlan('overlay0');
    await clock.advance(UNDERLAY_POLL_MS);
    kernel.known.delete('eth7');
    kernel.known.set('overlay0', link);
    await clock.advance(UNDERLAY_POLL_MS);
    const renamed = 'device: the link of overlay0 was renamed to eth7 by somebody; "ip link set eth7 name overlay0" gives it its name back';
    expect(told).toEqual(['device: overlay0 was deleted by somebody', renamed, renamed, 'device is over']);
  });

  it('takes down and that cannot go up again is said to be so', async () => {
    const { kernel, clock, told } = await opened();
    const link = kernel.known.get('overlay0');
    if (link !== undefined) kernel.known.set('overlay0', { ...link, up: false });
    kernel.errors.set('raiseVxlan', new Error('no'));
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told).toEqual(['device: overlay0 cannot be put right (no)']);
  });

  it.each([
    ['made to learn', { learning: true }, 'it learns from what comes in ("nolearning" ends that)'],
    ['given another address', { local: ipOf('192.0.2.9') }, 'it sends from 192.0.2.9 instead of 192.0.2.1 ("local 192.0.2.1" puts it right)'],
    ['left without an address', { local: undefined }, 'it sends from any address instead of 192.0.2.1 ("local 192.0.2.1" puts it right)'],
  ])('has %s is said to be so, until it is as it was', async (_what, more, text) => {
    const { kernel, clock, told } = await opened();
    const link = kernel.known.get('overlay0');
    if (link === undefined) throw new Error('no link');
    const vxlan = {
      port: 4789,
      vnetid: 1,
      local: ipOf('192.0.2.1'),
      family: 4,
      external: false,
      learning: false,
      localBypass: false,
      df: true,
    } as const;
    kernel.known.set('overlay0', { ...link, vxlan: { ...vxlan, ...more } });
    await clock.advance(UNDERLAY_POLL_MS);
    kernel.known.set('overlay0', { ...link, vxlan });
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told).toEqual([`device: the link of overlay0 was changed by somebody: ${text}`, 'device is over']);
  });

  it('renames is deleted under its new name with the overlay, and another one under its old name stays', async () => {
    const { kernel, port, asked } = await opened();
    const link = kernel.known.get('overlay0');
    if (link === undefined) throw new Error('no link');
    kernel.known.set('eth7', { ...link, name: 'eth7' });
    kernel.makeVxlan('overlay0');
    await port.close();
    expect(asked().filter((call) => call.startsWith('delete'))).toEqual(['deleteOverlayLink eth7']);
    const again = await opened();
    again.kernel.known.delete('overlay0');
    again.kernel.makeVxlan('overlay0');
    await again.port.close();
    expect(again.asked().filter((call) => call.startsWith('delete'))).toEqual([]);
  });
});

describe('what did not fit', () => {
  const tooBig = { ...NO_STATISTICS, txDropped: 3n };
  /** 1400 bytes, UDP and IPv4, VXLAN, Ethernet, a tag. */
  const UNTAGGED = 1400 + 28 + 8 + 14;

  it('is told with the first destination whose path is too narrow, once for each time', async () => {
    const { engine, kernel, clock, told } = await opened();
    engine.destinations = [to(2), to(3)];
    kernel.mtuTo = () => UNTAGGED - 1;
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told.splice(0)).toEqual(['device is over']);
    kernel.counted = tooBig;
    kernel.frags = 3;
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told.splice(0)).toEqual(['device is over', `192.0.2.2 takes no ${UNTAGGED}`]);
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told).toEqual(['device is over']);
  });

  it('had a tag when frames without one fit, and is of the point when there is one', async () => {
    const { kernel, clock, told } = await opened({ point: to(9), carriesVlanTag: true });
    kernel.mtuTo = () => UNTAGGED;
    kernel.counted = tooBig;
    kernel.frags = 3;
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told).toEqual(['device is over', `192.0.2.9 takes no ${UNTAGGED + 4}`]);
  });

  it('is counted, and nobody is blamed whose path is wide enough or not known', async () => {
    const { engine, kernel, clock, port, told } = await opened();
    engine.destinations = [to(2)];
    kernel.mtuTo = () => undefined;
    kernel.counted = tooBig;
    kernel.frags = 3;
    await clock.advance(UNDERLAY_POLL_MS);
    expect([told, port.counters({})['too-big']]).toEqual([['device is over'], 3]);
  });

  it('is looked for also when somebody has asked for the counters before', async () => {
    const { engine, kernel, clock, port, told } = await opened();
    engine.destinations = [to(2)];
    kernel.mtuTo = () => 1000;
    kernel.counted = tooBig;
    kernel.frags = 3;
    port.counters({});
    await clock.advance(UNDERLAY_POLL_MS);
    expect(told).toContain(`192.0.2.2 takes no ${UNTAGGED}`);
  });
});

describe('a filter that somebody changes', () => {
  it('is put back for every overlay, counted and said once; one that cannot be is told to each until it is', async () => {
    const { kernel, clock, driver, port, told, logged } = await opened();
    const other = await driver.open(specOf('overlay1', 2));
    const toldToo = watched(other);
    kernel.isFilterChanged = true;
    await clock.advance(UNDERLAY_POLL_MS);
    expect([told.splice(0), toldToo.splice(0)]).toEqual([
      ['filter is over', 'device is over'],
      ['filter is over', 'device is over'],
    ]);
    expect([port.counters({})['filter.repaired'], other.counters({})['filter.repaired']]).toEqual([1, 1]);
    kernel.errors.set('repairFilter', new OverlayError('NFTABLES_MISSING', 'no nf_tables'));
    await clock.advance(2 * UNDERLAY_POLL_MS);
    const missing = 'filter: the nftables table that keeps others out is missing (no nf_tables)';
    expect(told.splice(0)).toEqual([missing, 'device is over', missing, 'device is over']);
    kernel.errors.clear();
    await clock.advance(2 * UNDERLAY_POLL_MS);
    expect(told).toEqual(['filter is over', 'device is over', 'device is over']);
    expect(logged).toEqual([expect.stringContaining('is put back'), 'the filter cannot be put back']);
  });
});
