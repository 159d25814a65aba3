// What the engine has for a daemon that is started again, or changes an overlay while it lives.
import { describe, expect, it, vi } from 'vitest';
import type { CacheExport } from '../../../src/core/engine/messages.ts';
import { readTargets, TARGET_RECORD_BYTES, type TargetRecord, writeTargets } from '../../../src/core/engine/snapshot.ts';
import type * as Limits from '../../../src/core/util/limits.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { EngineRig, to } from '../../helpers/engine-rig.ts';
import { arpRequest, frame, mac, textOf } from '../../helpers/frames.ts';

// Small bounds, so that a test reaches them; the engine works with whatever stands in limits.ts.
vi.mock('../../../src/core/util/limits.ts', async (original) => ({
  ...(await original<typeof Limits>()),
  MAX_TARGETS_PER_OVERLAY: 200,
  SNAPSHOT_PLACES: 64,
}));

const key = (number: number): number => macToKey(mac(number));
const inner = (bytes: Uint8Array): Uint8Array => bytes.subarray(8);
const record = (number: number, fixed = false): TargetRecord => ({ mac: key(number), to: number % 3 === 0 ? 'drop' : to(2 + (number % 7)), fixed });
const byMac = (records: Iterable<TargetRecord>): TargetRecord[] => [...records].toSorted((a, b) => a.mac - b.mac);

function exported(rig: EngineRig, port: number, count = 1_000_000): { readonly parts: number; readonly records: TargetRecord[] } {
  const records: TargetRecord[] = [];
  let parts = 0;
  for (let from = 0; from >= 0; parts++) {
    const part = rig.call({ op: 'cacheExport', port, from, count }) as CacheExport;
    expect(part.records.length).toBeLessThanOrEqual(64 * TARGET_RECORD_BYTES);
    records.push(...readTargets(part.records));
    from = part.next;
  }
  return { parts, records };
}

const changed = (rig: EngineRig) => rig.call({ op: 'cacheChanged' });
function apply(rig: EngineRig, ...messages: Parameters<EngineRig['send']>[0][]): void {
  for (const message of messages) rig.send(message);
  rig.turn();
}

describe('a cache', () => {
  it('is exported in bounded parts, every valid entry once, and nothing else', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    const records = Array.from({ length: 150 }, (_, i) => record(i, i % 5 === 0));
    for (const { mac: key, to, fixed } of records) rig.send({ op: 'cacheSet', port: 1, mac: key, to, fixed });
    for (let i = 0; i < 3; i++) rig.turn();
    for (let i = 0; i < 20; i++) apply(rig, { op: 'cacheRemove', call: 0, port: 1, mac: key(i) });
    tap.out.push(frame(mac(900), mac(1)), frame(mac(901), mac(1)));
    rig.turn();
    rig.answer({ id: rig.asked()[0]?.id ?? 0, kind: 'drop' });
    const { parts, records: found } = exported(rig, 1);
    expect(parts).toBe(3);
    expect(byMac(found)).toEqual(byMac(records.slice(20)));
    expect(exported(rig, 1, 7)).toMatchObject({ parts: 22, records: found });
    expect(exported(rig, 1, 0).records).toEqual(found);
  });

  it('that is empty, or asked beyond its end, is exported as nothing', () => {
    const rig = new EngineRig();
    rig.open(1);
    expect(rig.call({ op: 'cacheExport', port: 1, from: 0, count: 10 })).toEqual({ records: new Uint8Array(0), next: -1 });
    expect(rig.call({ op: 'cacheExport', port: 1, from: 5000, count: 10 })).toEqual({ records: new Uint8Array(0), next: -1 });
    expect(rig.call({ op: 'cacheExport', port: 9, from: 0, count: 10 })).toBeUndefined();
  });

  it('that outlived a daemon forwards its very first frame, and keeps who has set what', () => {
    const before = new EngineRig();
    before.open(1);
    for (const n of [1, 2, 3, 4]) apply(before, { op: 'cacheSet', port: 1, mac: key(n), to: to(n), fixed: n % 2 === 0 });
    const part = before.call({ op: 'cacheExport', port: 1, from: 0, count: 100 }) as CacheExport;

    const rig = new EngineRig();
    const fd = rig.io.openTap({ name: 'overlay1', exclusive: true });
    rig.io.tap('overlay1').out.push(frame(mac(1), mac(9), 'waited'));
    rig.open(1, { tap: fd, targets: part.records });
    rig.turn();
    expect(rig.sent().map(({ to, bytes }) => [to, textOf(inner(bytes))])).toEqual([['192.0.2.1 4789', 'waited']]);
    expect(rig.asked()).toEqual([]);
    expect(exported(rig, 1).records).toEqual([...readTargets(part.records)]);
    apply(rig, { op: 'cacheOutdated', port: 1 });
    expect(exported(rig, 1).records.map(({ mac }) => mac)).toEqual([key(2), key(4)]);
  });

  it('loads whatever the bytes are, and no more than an overlay may have; what a person has set finds room', () => {
    const rig = new EngineRig();
    const many = Array.from({ length: 250 }, (_, i) => record(i, i >= 240));
    const rubbish = Uint8Array.from({ length: 100 * TARGET_RECORD_BYTES + 5 }, (_, i) => (i * 7919) & 0xff);
    rig.open(1, { targets: Uint8Array.from(Buffer.concat([writeTargets(many), rubbish])) });
    const { records } = exported(rig, 1);
    expect(records.length).toBe(200);
    expect(records.filter(({ fixed }) => fixed).length).toBe(10);
    rig.open(2, { targets: rubbish });
    expect(exported(rig, 2).records.length).toBe([...readTargets(rubbish)].length);
  });

  it('does not keep the bytes it was loaded from', () => {
    const rig = new EngineRig();
    const targets = writeTargets([record(1), record(2)]);
    rig.open(1, { targets });
    targets.fill(0);
    expect(byMac(exported(rig, 1).records)).toEqual([record(1), record(2)]);
  });
});

describe('a port whose entries change', () => {
  it('is named once, not when it was loaded, nor for what is no entry', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { targets: writeTargets([record(1), record(2), record(3)]) });
    rig.open(2);
    expect(changed(rig)).toEqual([]);
    tap.out.push(frame(mac(1), mac(9)), frame(mac(3), mac(9)), frame(mac(50), mac(9)), arpRequest(mac(9), '10.0.0.1', '10.0.0.9'));
    rig.turn();
    rig.answer({ id: rig.asked()[0]?.id ?? 0, kind: 'drop' });
    apply(rig, { op: 'cacheInvalidate', port: 1, mac: key(60) });
    expect(changed(rig)).toEqual([]);
    apply(rig, { op: 'cacheSet', port: 2, mac: key(5), to: to(5), fixed: false });
    expect(changed(rig)).toEqual([2]);
    expect(changed(rig)).toEqual([]);
  });

  it('is not named when it is told what it knows', () => {
    const rig = new EngineRig();
    rig.open(1, { targets: writeTargets([record(1), record(3)]) });
    for (const { mac, to, fixed } of [record(1), record(3)]) apply(rig, { op: 'cacheSet', port: 1, mac, to, fixed });
    expect(changed(rig)).toEqual([]);
  });

  it.each([
    ['set', { op: 'cacheSet', port: 1, mac: key(5), to: to(5), fixed: false }],
    ['set to another address', { op: 'cacheSet', port: 1, mac: key(1), to: to(9), fixed: false }],
    ['set to another port', { op: 'cacheSet', port: 1, mac: key(1), to: to(3, 4790), fixed: false }],
    ['set to drop', { op: 'cacheSet', port: 1, mac: key(1), to: 'drop', fixed: false }],
    ['set by a person', { op: 'cacheSet', port: 1, mac: key(1), to: to(3), fixed: true }],
    ['removed', { op: 'cacheRemove', call: 0, port: 1, mac: key(1) }],
    ['invalidated', { op: 'cacheInvalidate', port: 1, mac: key(3) }],
    ['flushed', { op: 'cacheFlush', call: 0, port: 1 }],
    ['outdated', { op: 'cacheOutdated', port: 1 }],
  ] as const)('is named when a target is %s', (_what, message) => {
    const rig = new EngineRig();
    rig.open(1, { targets: writeTargets([record(1), record(3)]) });
    apply(rig, message);
    expect(changed(rig)).toEqual([1]);
  });

  it('is named when a lookup is answered, and when a target makes room', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { targets: writeTargets(Array.from({ length: 200 }, (_, i) => record(i))) });
    tap.out.push(frame(mac(900), mac(9)));
    rig.turn();
    expect(changed(rig)).toEqual([]);
    rig.answer({ id: rig.asked()[0]?.id ?? 0, kind: 'found', to: to(5) });
    expect(rig.counters(1)['target.evicted']).toBe(1);
    expect(changed(rig)).toEqual([1]);
  });
});

describe('a live overlay', () => {
  const datagram = (vnetid: number, payload: Uint8Array): Uint8Array => Uint8Array.of(8, 0, 0, 0, 0, 0, vnetid, 0, ...payload);

  it('has its received frames cut to another MTU from the next one on', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { mtu: 1400 });
    const deliver = (): number => {
      rig.underlay.send({ from: '192.0.2.2 50000', to: '192.0.2.1 4789', bytes: datagram(101, uncutTcp(2400)) });
      rig.turn();
      return tap.in.splice(0).length;
    };
    expect(deliver()).toBe(2);
    apply(rig, { op: 'setMtu', port: 1, mtu: 640 });
    expect(deliver()).toBe(4);
    apply(rig, { op: 'setMtu', port: 1, mtu: 8000 });
    expect(deliver()).toBe(1);
  });

  it('sends to another point from the next frame on', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { point: to(2) });
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    apply(rig, { op: 'setPoint', port: 1, point: to(3, 4790) });
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.2 4789', '192.0.2.3 4790']);
  });

  it('moves to another mux with all it knows and all that waits; from then on only that one is its own', () => {
    const rig = new EngineRig();
    const second = rig.openMux(2, 9);
    const tap = rig.open(1, { targets: writeTargets([record(1)]) });
    const other = rig.open(2, { point: to(8) });
    tap.out.push(frame(mac(70), mac(9), 'waits'));
    rig.turn();
    const [asked] = rig.asked();
    expect(rig.call({ op: 'movePort', port: 1, mux: 2 })).toBeUndefined();
    rig.answer({ id: asked?.id ?? 0, kind: 'found', to: to(5) });
    tap.out.push(frame(mac(1), mac(9), 'known'));
    other.out.push(frame(mac(1), mac(9), 'other'));
    rig.turn();
    const sent = Object.fromEntries(rig.sent().map(({ from, bytes }) => [textOf(inner(bytes)), from.split(' ')[0]]));
    expect(sent).toEqual({ waits: '192.0.2.9', known: '192.0.2.9', other: '192.0.2.1' });
    rig.underlay.send({ from: '192.0.2.2 50000', to: '192.0.2.1 4789', bytes: datagram(101, frame(mac(9), mac(1), 'old')) });
    rig.underlay.send({ from: '192.0.2.2 50000', to: second, bytes: datagram(101, frame(mac(9), mac(1), 'new')) });
    rig.turn();
    expect(tap.in.map(textOf)).toEqual(['new']);
    expect(rig.counters(1)).toMatchObject({ 'rx.frames': 1, 'mux.unknown-vnetid': 0 });
    expect(rig.counters(2)).toMatchObject({ 'mux.unknown-vnetid': 1 });
    rig.call({ op: 'closeMux', mux: 1 });
    rig.sent();
    tap.out.push(frame(mac(1), mac(9), 'still'));
    rig.turn();
    expect(rig.sent().map(({ bytes }) => textOf(inner(bytes)))).toEqual(['still']);
    rig.call({ op: 'closePort', port: 1 });
    rig.underlay.send({ from: '192.0.2.2 50000', to: second, bytes: datagram(101, frame(mac(9), mac(1), 'closed')) });
    rig.turn();
    expect(tap.in.length).toBe(1);
  });

  it('stays where it is when the mux it is to move to is not open', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { point: to(2) });
    rig.send({ op: 'movePort', call: 77, port: 1, mux: 5 });
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    expect(rig.posted).toContainEqual(
      expect.objectContaining({ op: 'done', call: 77, failure: expect.stringContaining('mux 5, which is not open') }),
    );
    rig.underlay.send({ from: '192.0.2.2 50000', to: '192.0.2.1 4789', bytes: datagram(101, frame(mac(1), mac(9))) });
    rig.turn();
    expect(rig.sent().map(({ from }) => from.split(' ')[0])).toContain('192.0.2.1');
    expect(tap.in.length).toBe(1);
  });
});

describe('a mux that is held', () => {
  it('reads nothing more, nor do its ports: frames wait for the next overlayd, and others go on', () => {
    const rig = new EngineRig();
    rig.openMux(2, 9);
    const taps = [rig.open(1, { point: to(2) }), rig.open(2, { point: to(2) })];
    const other = rig.open(3, { point: to(2), mux: 2 });
    rig.call({ op: 'holdMux', mux: 1 });
    rig.call({ op: 'holdMux', mux: 7 });
    for (const tap of [...taps, other]) tap.out.push(frame(mac(9), mac(1)));
    rig.underlay.send({ from: '192.0.2.2 50000', to: '192.0.2.1 4789', bytes: new Uint8Array(30) });
    rig.call({ op: 'closePort', port: 1 });
    rig.turn();
    expect(taps.map(({ out }) => out.length)).toEqual([1, 1]);
    expect(other.out.length).toBe(0);
    expect(rig.counters(2)).toMatchObject({ 'tx.frames': 0, 'mux.unknown-vnetid': 0, 'vxlan.i-flag-clear': 0 });
    rig.call({ op: 'closePort', port: 2 });
    rig.call({ op: 'closeMux', mux: 1 });
  });
});

/** A TCP frame of `payload` bytes whose checksum a NIC was to finish: the sender did not cut it. */
function uncutTcp(payload: number): Uint8Array {
  const bytes = new Uint8Array(14 + 20 + 20 + payload);
  const view = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]);
  bytes.set([0x45, 0], 14);
  view.setUint16(16, 40 + payload);
  bytes.set([64, 6], 22);
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2], 26);
  bytes.set([0x12, 0x34, 0, 80], 34);
  bytes[46] = 0x50;
  // CHECKSUM_PARTIAL: the sum of the pseudo header only (Linux skb_checksum_start).
  let sum = 0x0a00 + 1 + 0x0a00 + 2 + 6 + 20 + payload;
  sum = (sum & 0xffff) + (sum >> 16);
  view.setUint16(50, sum);
  return bytes;
}
