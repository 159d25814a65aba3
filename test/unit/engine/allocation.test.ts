// A frame to a known target leaves nothing for the garbage collector, also after its overlay was changed.
import vxlan from '@overlayadm/plugin-vxlan';
import { expect, it } from 'vitest';
import { FramePool } from '../../../src/core/engine/frame-pool.ts';
import { Memory } from '../../../src/core/engine/memory.ts';
import { Outbox } from '../../../src/core/engine/outbox.ts';
import { Port } from '../../../src/core/engine/port.ts';
import { Requests } from '../../../src/core/engine/requests.ts';
import { Sender } from '../../../src/core/engine/sender.ts';
import { writeTargets } from '../../../src/core/engine/snapshot.ts';
import { compileHeader } from '../../../src/core/wire/header-format.ts';
import { to } from '../../helpers/engine-rig.ts';
import { frame, mac } from '../../helpers/frames.ts';

const FRAMES = 20_000;
const RUNS = 21;

function median(run: () => void): number {
  const runs = Array.from({ length: RUNS }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < FRAMES; i++) run();
    return (process.memoryUsage().heapUsed - before) / FRAMES;
  });
  return runs.toSorted((a, b) => a - b)[RUNS >> 1] as number;
}

it('sends without allocating, before and after another mux, MTU and point', () => {
  const memory = new Memory(64 * 1024);
  let sent = 0;
  const io = {
    readTap: () => 0,
    receive: () => 0,
    socketDrops: () => 0,
    writeTaps: (_arena: Uint8Array, _table: Uint32Array, count: number) => count,
    send: (_sockets: Int32Array, _arena: Uint8Array, _table: Uint32Array, count: number) => {
      sent += count;
      return count;
    },
  };
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
  expect(sent).toBe(RUNS * FRAMES);
  port.move(2, senders[1]);
  port.mtu = 8000;
  port.cache.set(0x02_00_00_00_00_09, to(3), true, 0);
  expect(median(transmit)).toBeLessThan(1);
  port.setPoint(to(4));
  expect(median(transmit)).toBeLessThan(1);
  flush();
  expect(sent).toBe(3 * RUNS * FRAMES);
});
