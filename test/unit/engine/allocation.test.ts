// A frame to a known target leaves nothing for the garbage collector, also after its overlay was changed.
import { FRAME, FRAME_WORDS, type PacketIo, SOURCE_WORDS } from '@overlayadm/packetio';
import vxlan from '@overlayadm/plugin-vxlan';
import { expect, it } from 'vitest';
import { FramePool } from '../../../src/core/engine/frame-pool.ts';
import { Memory } from '../../../src/core/engine/memory.ts';
import { Mux } from '../../../src/core/engine/mux.ts';
import { Outbox } from '../../../src/core/engine/outbox.ts';
import { Port } from '../../../src/core/engine/port.ts';
import { Requests } from '../../../src/core/engine/requests.ts';
import { Sender } from '../../../src/core/engine/sender.ts';
import { writeTargets } from '../../../src/core/engine/snapshot.ts';
import { MAX_BATCH_FRAMES } from '../../../src/core/util/limits.ts';
import { compileHeader } from '../../../src/core/wire/header-format.ts';
import { loopback, PUNT_PORT, to } from '../../helpers/engine-rig.ts';
import { frame, mac } from '../../helpers/frames.ts';

const FRAMES = 20_000;
const RUNS = 21;

/** Bytes that one run leaves on the heap. */
function median(run: () => void, times = FRAMES): number {
  const runs = Array.from({ length: RUNS }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < times; i++) run();
    return (process.memoryUsage().heapUsed - before) / times;
  });
  return runs.toSorted((a, b) => a - b)[RUNS >> 1] as number;
}

/** Nothing is moved, but it is counted what would have been. */
function countingIo() {
  const counted = { sent: 0 };
  const io = {
    readTap: () => 0,
    receive: (..._given: Parameters<PacketIo['receive']>): number => 0,
    socketDrops: () => 0,
    writeTaps: (_arena: Uint8Array, _table: Uint32Array, count: number) => count,
    send: (_sockets: Int32Array, _arena: Uint8Array, _table: Uint32Array, count: number) => {
      counted.sent += count;
      return count;
    },
  };
  return { counted, io };
}

it('sends without allocating, before and after another mux, MTU and point', () => {
  const memory = new Memory(64 * 1024);
  const { counted, io } = countingIo();
  const wire = { io, arena: memory.arena };
  const outbox = new Outbox(() => undefined);
  const senders = [new Sender(wire, [1, 2]), new Sender(wire, [3, 4])] as const;
  const flush = (): void => {
    senders[0].flush(0);
    senders[1].flush(0);
  };
  const parts = { wire, memory, pool: new FramePool(memory.pool), outbox, requests: new Requests(outbox), seed: 1, flush };
  const traits = { vnetid: 7, header: compileHeader(vxlan.format, 7), carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };
  const targets = writeTargets([{ mac: 0x02_00_00_00_00_09, to: to(2), fixed: false }]);
  const port = new Port({ ...traits, port: 1, mux: 1, tap: 9, mtu: 1400, targets }, vxlan.format, senders[0], parts);
  const bytes = frame(mac(9), mac(1), 'x'.repeat(100));
  const at = memory.slot();
  memory.arena.set(bytes, at);
  const transmit = (): void => port.transmit(at, bytes.length, 0);
  expect(median(transmit)).toBeLessThan(1);
  flush();
  expect(counted.sent).toBe(RUNS * FRAMES);
  port.move(2, senders[1]);
  port.mtu = 8000;
  port.cache.set(0x02_00_00_00_00_09, to(3), true, 0);
  expect(median(transmit)).toBeLessThan(1);
  port.setPoint(to(4));
  expect(median(transmit)).toBeLessThan(1);
  flush();
  expect(counted.sent).toBe(3 * RUNS * FRAMES);
});

it('takes frames of a kernel link and sends them without allocating, and refuses those of others', () => {
  const memory = new Memory(64 * 1024);
  const { counted, io } = countingIo();
  const wire = { io, arena: memory.arena };
  const outbox = new Outbox(() => undefined);
  const source = Uint8Array.of(192, 0, 2, 1);
  const mux = new Mux({ mux: 1, encap: 'vxlan', format: vxlan.format, socket: 8, sendSockets: [1, 2], punt: { source } }, wire, memory);
  const flush = (): void => {
    mux.sender.flush(0);
    memory.freeSlots();
  };
  const parts = { wire, memory, pool: new FramePool(memory.pool), outbox, requests: new Requests(outbox), seed: 1, flush };
  const header = compileHeader(vxlan.format, 7);
  const traits = { vnetid: 7, header, carriesVlanTag: true, group: false, resolves: true, servesDhcp: true };
  const targets = writeTargets([{ mac: 0x02_00_00_00_00_09, to: to(2), fixed: false }]);
  const kernel = { index: 11, fallback: loopback(PUNT_PORT), own: to(1) };
  const port = new Port({ ...traits, port: 1, mux: 1, mtu: 1400, targets, kernel }, vxlan.format, mux.sender, parts);
  mux.join(port);
  const bytes = frame(mac(9), mac(1), 'x'.repeat(100));
  /** A batch, the same every time: every fourth datagram is of somebody else. */
  let isThere = false;
  io.receive = (fd, arena, table, start, stride, max, sources) => {
    for (let row = 0; row < max && !isThere; row++) {
      const at = start + row * stride;
      arena.set(header, at);
      arena.set(bytes, at + header.length);
      table[row * FRAME_WORDS + FRAME.offset] = at;
      table[row * FRAME_WORDS + FRAME.length] = header.length + bytes.length;
      table[row * FRAME_WORDS + FRAME.fd] = fd;
      if (sources !== undefined) sources.set(row % 4 === 3 ? [4, 1, 0x0101_007f, 0, 0, 0] : [4, 1, 0x0102_00c0, 0, 0, 0], row * SOURCE_WORDS);
    }
    isThere = true;
    return max;
  };
  const batch = (): void => void mux.receive(0);
  const perBatch = median(batch, FRAMES / MAX_BATCH_FRAMES);
  expect(perBatch / MAX_BATCH_FRAMES).toBeLessThan(1);
  const frames = RUNS * Math.ceil(FRAMES / MAX_BATCH_FRAMES) * MAX_BATCH_FRAMES;
  expect(counted.sent).toBe((3 / 4) * frames);
  expect(port.counters.read()).toMatchObject({ 'punt.frames': (3 / 4) * frames, 'tx.frames': (3 / 4) * frames });
  expect(mux.count()).toMatchObject({ 'punt.wrong-source': frames / 4 });
});
