// Overlays on kernel links: misses are punted, answers become rows, and what others do to the rows is undone.
import { describe, expect, it } from 'vitest';
import { writeTargets } from '../../../src/core/engine/snapshot.ts';
import { FEW_PUNTED, ROW_FORCED_EARLY_MS, ROW_FORCED_MS } from '../../../src/core/util/limits.ts';
import { EngineRig, loopback, PUNT_PORT, to } from '../../helpers/engine-rig.ts';
import { frame, mac } from '../../helpers/frames.ts';

const key = (last: number): number => 0x02_00_00_00_00_00 + last;
const FALLBACK = `127.0.0.1 ${PUNT_PORT}`;
const destinations = (rig: EngineRig): string[] => rig.sent().map(({ to: where }) => where);

function turns(rig: EngineRig, count = 4): void {
  for (let i = 0; i < count; i++) rig.turn();
}

function known(rig: EngineRig, last: number, where = 2): void {
  rig.send({ op: 'cacheSet', port: 1, mac: key(last), to: to(where), fixed: false });
  turns(rig);
}

describe('a kernel link', () => {
  it('punts what has no row, asks once, sends what waited, and has the row afterwards', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    expect(rig.io.fdb.rows(link.index, 0)).toEqual([{ to: FALLBACK, ours: true, unusedMs: 0 }]);
    for (let i = 0; i < 3; i++) link.send(frame(mac(9), mac(1), `frame ${i}`));
    rig.turn();
    const [asked, ...more] = rig.asked();
    expect(more).toEqual([]);
    expect(rig.io.fdb.rows(link.index, key(9))).toEqual([]);
    rig.sent();
    rig.answer({ id: asked?.id as number, kind: 'found', to: to(2) });
    turns(rig);
    expect(destinations(rig)).toEqual(['192.0.2.2 4789', '192.0.2.2 4789', '192.0.2.2 4789']);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: '192.0.2.2 4789', ours: true }]);
    link.send(frame(mac(9), mac(1), 'by the kernel'));
    expect(rig.sent().map(({ from, to: where }) => [from, where])).toEqual([['192.0.2.1 50999', '192.0.2.2 4789']]);
    expect(rig.counters(1)).toMatchObject({ 'punt.frames': 3, 'tx.frames': 3, 'row.installed': 1, 'row.forced': 0, 'row.repaired': 0 });
  });

  it('installs a row only after a look that finds no frame waiting, and by force after a while', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    const original = rig.io.receive.bind(rig.io);
    // Whoever looks finds another frame.
    let [another, target] = [1, 9];
    rig.io.receive = (...given) => {
      const count = original(...given);
      for (let i = 0; i < another; i++) link.send(frame(mac(target), mac(1), 'again'));
      return count;
    };
    another = FEW_PUNTED;
    link.send(frame(mac(9), mac(1), 'first'));
    rig.turn();
    const [asked] = rig.asked();
    rig.answer({ id: asked?.id as number, kind: 'found', to: to(2) });
    turns(rig, 3);
    expect(rig.io.fdb.rows(link.index, key(9))).toEqual([]);
    rig.now += ROW_FORCED_MS - 1;
    rig.turn();
    expect(rig.io.fdb.rows(link.index, key(9))).toEqual([]);
    rig.now += 1;
    rig.turn();
    expect(rig.io.fdb.rows(link.index, key(9))).toHaveLength(1);
    expect(rig.counters(1)).toMatchObject({ 'row.installed': 1, 'row.forced': 1 });
    // Of a flow that never pauses only few wait.
    [another, target] = [1, 7];
    rig.send({ op: 'cacheSet', port: 1, mac: key(8), to: to(2), fixed: false });
    link.send(frame(mac(7), mac(1), 'other'));
    rig.turn();
    rig.now += ROW_FORCED_EARLY_MS - 1;
    link.send(frame(mac(7), mac(1), 'other'));
    rig.turn();
    expect(rig.io.fdb.rows(link.index, key(8))).toEqual([]);
    rig.now += 1;
    link.send(frame(mac(7), mac(1), 'other'));
    rig.turn();
    expect(rig.io.fdb.rows(link.index, key(8))).toHaveLength(1);
  });

  it('changes a destination in place, drops what is set to drop, and takes rows away with their targets', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    known(rig, 9);
    known(rig, 9, 3);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: '192.0.2.3 4789' }]);
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: 'drop', fixed: true });
    turns(rig);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: 'drop' }]);
    expect(rig.call({ op: 'cacheRemove', port: 1, mac: key(9) })).toBe(true);
    turns(rig);
    expect(rig.io.fdb.rows(link.index, key(9))).toEqual([]);
    for (const last of [20, 21, 22]) known(rig, last);
    rig.call({ op: 'cacheFlush', port: 1 });
    turns(rig);
    expect(rig.io.fdb.size(link.index)).toBe(1);
    expect(rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 10 })).toEqual([]);
    expect(rig.counters(1)).toMatchObject({ 'row.repaired': 0 });
  });

  it('never has a row for a refusal', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    link.send(frame(mac(9), mac(1), 'one'));
    rig.turn();
    const [asked] = rig.asked();
    rig.answer({ id: asked?.id as number, kind: 'drop' });
    link.send(frame(mac(9), mac(1), 'two'));
    turns(rig);
    expect(rig.io.fdb.size(link.index)).toBe(1);
    expect(rig.counters(1)).toMatchObject({ 'lookup.refused': 1, 'target.refused': 1, 'row.installed': 0 });
  });

  it('takes punted frames from its own link only', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    rig.underlay.send({ from: '192.0.2.77 1234', to: FALLBACK, bytes: new Uint8Array(60) });
    link.send(frame(mac(9), mac(1), 'mine'));
    rig.turn();
    expect(rig.asked()).toHaveLength(1);
    expect(rig.counters(1)).toMatchObject({ 'punt.wrong-source': 1, 'punt.frames': 1 });
  });

  it('injects by way of the link itself', () => {
    const rig = new EngineRig();
    rig.openKernel(1);
    rig.sent();
    rig.send({ op: 'inject', port: 1, frame: frame(mac(1), mac(9), 'answer') });
    rig.turn();
    const [datagram] = rig.sent();
    expect(datagram?.to).toBe('192.0.2.1 4789');
    expect(datagram?.from).toMatch(/^192\.0\.2\.1 5000[34]$/);
    expect(rig.counters(1)).toMatchObject({ 'tx.injected': 1, 'tx.frames': 0 });
  });

  it('has only its one row in point mode, also when the point changes', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1, { point: to(2), kernel: { index: 11, fallback: to(2), own: to(1) } });
    expect(rig.io.fdb.rows(link.index, 0)).toMatchObject([{ to: '192.0.2.2 4789' }]);
    rig.send({ op: 'setPoint', port: 1, point: to(3) });
    turns(rig);
    expect(rig.io.fdb.rows(link.index, 0)).toMatchObject([{ to: '192.0.2.3 4789' }]);
    expect(rig.io.fdb.size(link.index)).toBe(1);
  });
});

describe('rows that somebody else changes', () => {
  it('are put back when they go or lead elsewhere, and its own changes wake no repair', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    known(rig, 9);
    rig.io.fdb.byHand(link.index, key(9), undefined);
    turns(rig);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: '192.0.2.2 4789', ours: true }]);
    rig.io.fdb.byHand(link.index, key(9), '192.0.2.66 4789');
    turns(rig);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: '192.0.2.2 4789', ours: true }]);
    expect(rig.counters(1)).toMatchObject({ 'row.repaired': 2 });
  });

  it('are put back after a flush, the fallback first, and nothing is lost that the engine sees', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    for (let last = 10; last < 60; last++) known(rig, last);
    rig.io.fdb.flush(link.index);
    expect(rig.io.fdb.size(link.index)).toBe(0);
    turns(rig, 6);
    expect(rig.io.fdb.size(link.index)).toBe(51);
    expect(rig.counters(1)).toMatchObject({ 'row.repaired': 51 });
  });

  it('are found by reading the table when notifications were lost', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    for (let last = 10; last < 20; last++) known(rig, last);
    rig.io.fdb.losing = true;
    rig.io.fdb.byHand(link.index, key(10), undefined);
    rig.io.fdb.byHand(link.index, key(11), '192.0.2.66 4789');
    rig.io.fdb.byHand(link.index, key(99), '192.0.2.67 4789');
    rig.io.fdb.byHand(link.index, key(98), '192.0.2.67 4789', true);
    rig.io.fdb.byHand(link.index, 0, undefined);
    rig.io.fdb.losing = false;
    turns(rig, 8);
    expect(rig.io.fdb.rows(link.index, key(10))).toMatchObject([{ to: '192.0.2.2 4789', ours: true }]);
    expect(rig.io.fdb.rows(link.index, key(11))).toMatchObject([{ to: '192.0.2.2 4789', ours: true }]);
    expect(rig.io.fdb.rows(link.index, key(98))).toEqual([]);
    expect(rig.io.fdb.rows(link.index, key(99))).toMatchObject([{ to: '192.0.2.67 4789', ours: false }]);
    expect(rig.io.fdb.rows(link.index, 0)).toMatchObject([{ to: FALLBACK }]);
    expect(rig.counters(1)).toMatchObject({ 'row.repaired': 3 });
    const told = rig.posted.filter((message) => message.op === 'foreignRows').at(-1);
    expect(told).toMatchObject({ port: 1, rows: [{ mac: key(99), to: { port: 4789 } }] });
  });

  it('are left alone where the cache has none, told of, and what the cache says comes when they go', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    rig.io.fdb.byHand(link.index, key(9), '192.0.2.66 4789');
    turns(rig);
    known(rig, 9);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: '192.0.2.66 4789', ours: false }]);
    expect(rig.posted.filter((message) => message.op === 'foreignRows')).toHaveLength(1);
    rig.io.fdb.byHand(link.index, key(9), undefined);
    turns(rig);
    expect(rig.io.fdb.rows(link.index, key(9))).toMatchObject([{ to: '192.0.2.2 4789', ours: true }]);
    expect(rig.posted.filter((message) => message.op === 'foreignRows').at(-1)).toMatchObject({ rows: [] });
  });
});

describe('what was there before', () => {
  const kernel = { index: 11, fallback: loopback(PUNT_PORT), own: to(1) };

  it('is adopted without being written, wins over what was written down, and the rest of that is put in', () => {
    const rig = new EngineRig();
    rig.openKernel(2);
    const rows = {
      records: writeTargets([
        { mac: key(9), to: to(2), fixed: false },
        { mac: key(10), to: 'drop', fixed: false },
      ]),
      fallbacks: [loopback(41000)],
      foreign: [{ mac: key(30), to: to(66) }],
    };
    const targets = writeTargets([
      { mac: key(9), to: to(7), fixed: true },
      { mac: key(11), to: to(3), fixed: false },
      { mac: key(30), to: to(3), fixed: false },
    ]);
    rig.io.fdb.addLink(11);
    rig.io.fdb.byHand(11, 0, '127.0.0.1 41000', true);
    rig.io.fdb.byHand(11, key(9), '192.0.2.2 4789', true);
    rig.io.fdb.byHand(11, key(10), 'drop', true);
    rig.io.fdb.byHand(11, key(30), '192.0.2.66 4789');
    const before = rig.io.fdb.changes;
    const traits = { vnetid: 101, mtu: 1400, header: new Uint8Array(8), carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };
    rig.call({ op: 'openPort', spec: { port: 1, mux: 90, kernel, ...traits, rows, targets } });
    turns(rig);
    // The fallback, the old one away, and one row.
    expect(rig.io.fdb.changes - before).toBe(3);
    expect(rig.io.fdb.rows(11, 0)).toMatchObject([{ to: FALLBACK }]);
    expect(rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 10 })).toMatchObject([
      { mac: key(9), to: { ip: to(2).ip } },
      { mac: key(10), to: 'drop' },
      { mac: key(11), to: { ip: to(3).ip } },
      { mac: key(30), to: { ip: to(3).ip } },
    ]);
    expect(rig.io.fdb.rows(11, key(11))).toMatchObject([{ to: '192.0.2.3 4789' }]);
    expect(rig.io.fdb.rows(11, key(30))).toMatchObject([{ to: '192.0.2.66 4789', ours: false }]);
    expect(rig.counters(1)).toMatchObject({ 'row.repaired': 0, 'row.installed': 1 });
  });
});

describe('a kernel that refuses', () => {
  it('rows leaves their targets to the engine, says so, and is asked again', () => {
    const rig = new EngineRig();
    const link = rig.openKernel(1);
    rig.io.fdb.most = 1;
    known(rig, 9);
    expect(rig.posted.filter((message) => message.op === 'rowsRefused')).toMatchObject([{ port: 1, errno: 28 }]);
    link.send(frame(mac(9), mac(1), 'still'));
    rig.sent();
    rig.turn();
    expect(destinations(rig)).toEqual(['192.0.2.2 4789']);
    rig.io.fdb.most = 10;
    rig.now += 10_000;
    turns(rig);
    expect(rig.io.fdb.rows(link.index, key(9))).toHaveLength(1);
    rig.now += 10_000;
    turns(rig);
    expect(rig.posted.filter((message) => message.op === 'rowsRefused').at(-1)).toMatchObject({ errno: 0 });
  });

  it('the fallback makes opening fail, and leaves nothing', () => {
    const rig = new EngineRig();
    rig.openKernel(2);
    const traits = { vnetid: 101, mtu: 1400, header: new Uint8Array(8), carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };
    rig.call({ op: 'openPort', spec: { port: 1, mux: 90, kernel: { index: 77, fallback: to(2), own: to(1) }, ...traits } });
    const done = rig.posted.findLast((message) => message.op === 'done');
    expect(done).toMatchObject({ failure: expect.stringMatching(/errno 19/) });
    expect(rig.call({ op: 'counters', port: 1 })).toBeUndefined();
  });

  it('tells once when there are more rows than it is quick with', () => {
    const rig = new EngineRig();
    rig.openKernel(1, { kernel: { index: 11, fallback: loopback(PUNT_PORT), own: to(1), manyRows: 3 } });
    for (let last = 10; last < 20; last++) known(rig, last);
    expect(rig.posted.filter((message) => message.op === 'manyRows')).toEqual([{ op: 'manyRows', port: 1, rows: 4 }]);
  });
});
