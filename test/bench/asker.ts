// Runs in the namespace of a VNIC: sends one frame to each of many targets never seen before, and takes the datagrams that
// come out of the overlay again. It has a bounded number of frames on the way, so nothing is lost that is not counted.
import { FRAME_WORDS, loadPacketIo } from '@overlayadm/packetio';
import { BATCH, BUFFER_BYTES, ip4, STRIDE, TargetSender } from './target-sender.ts';

/** When nothing has come for so long, what is missing is lost, ms. */
const STALLED_MS = 2000;

const io = loadPacketIo();
const [source = '', returned = '', returnPort = '', first = '', count = '', window = ''] = process.argv.slice(2);

const sender = new TargetSender(io, source);
const receiving = io.openUdp({
  family: 4,
  address: ip4(returned),
  port: Number(returnPort),
  receiveBufferBytes: BUFFER_BYTES,
  sendBufferBytes: BUFFER_BYTES,
  sendOnly: false,
});
const poll = io.openPoll();
io.pollAdd(poll, receiving, 1);

const arena = new Uint8Array(BATCH * STRIDE);
const table = new Uint32Array(BATCH * FRAME_WORDS);

function run(from: number, targets: number, most: number): { readonly answered: number; readonly seconds: number } {
  const ready = new Uint32Array(1);
  const start = performance.now();
  let sent = 0;
  let answered = 0;
  let last = start;
  while (answered < targets && last - start < 60_000) {
    const now = performance.now();
    if (now - last > STALLED_MS) break;
    const batch = Math.min(BATCH, targets - sent, most - (sent - answered));
    if (batch > 0) sent += sender.send(from + sent, batch);
    else io.wait(poll, ready, 100);
    const received = io.receive(receiving, arena, table, 0, STRIDE, BATCH);
    if (received <= 0) continue;
    answered += received;
    last = now;
  }
  return { answered, seconds: (last - start) / 1000 };
}

console.log(JSON.stringify(run(Number(first), Number(count), Number(window))));
