// Runs in the namespace of a host: how fast rows come to stand in a kernel link, whoever puts them there; or puts them there itself.
import { loadPacketIo, type PacketIo } from '@overlayadm/packetio';
import { RowMessages } from '../../src/core/engine/fdb-messages.ts';
import { RowEars } from './row-ears.ts';

/** When nothing has come for so long since the first one, the rest was lost or will not come, ms. */
const QUIET_MS = 2000;
const FIRST_MS = 60_000;
const PER_SEND = 16;
const NETLINK_ROUTE = 0;

/** Rows in, one by one, from the first to the last. */
function watch(io: PacketIo, count: number): object {
  const ears = new RowEars(io);
  console.log('listening');
  let [rows, first, last] = [0, 0, 0];
  const began = performance.now();
  while (rows < count && performance.now() - (rows > 0 ? last : began) < (rows > 0 ? QUIET_MS : FIRST_MS)) {
    ears.hear(100, ({ high, low }) => {
      if (high === 0 && low === 0) return;
      last = performance.now();
      if (rows++ === 0) first = last;
    });
  }
  return { rows, lost: ears.lost, seconds: (last - first) / 1000 };
}

/** As many rows as a program can put in that does nothing else: the engine's way of asking, without the engine. */
function write(io: PacketIo, count: number, link: number): object {
  const socket = io.openNetlink({ protocol: NETLINK_ROUTE });
  const messages = new RowMessages(PER_SEND);
  const address = new Uint32Array(Uint8Array.of(192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0).buffer);
  const began = performance.now();
  for (let row = 0; row < count; ) {
    messages.clear();
    for (; messages.count < PER_SEND && row < count; row++) messages.add('replace', link, 0x0200, row + 1, { family: 4, port: 4789, address, at: 0 });
    io.netlinkSend(socket, messages.bytes);
  }
  return { rows: count, lost: 0, seconds: (performance.now() - began) / 1000 };
}

const [what = '', count = '', link = ''] = process.argv.slice(2);
const io = loadPacketIo();
console.log(JSON.stringify(what === 'watch' ? watch(io, Number(count)) : write(io, Number(count), Number(link))));
