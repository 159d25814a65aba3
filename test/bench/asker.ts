// Runs in the namespace of a VNIC: sends one frame to each of many targets never seen before, and takes the datagrams that
// come out of the overlay again. It has a bounded number of frames on the way, so nothing is lost that is not counted.
import { FRAME_WORDS, loadPacketIo, SEND, SEND_WORDS } from '@overlayadm/packetio';

const BATCH = 64;
const STRIDE = 256;
const PAYLOAD_BYTES = 32;
const BUFFER_BYTES = 8 * 1024 * 1024;
const TARGET_PORT = 9;
/** When nothing has come for so long, what is missing is lost, ms. */
const STALLED_MS = 2000;

const io = loadPacketIo();
const [source = '', returned = '', returnPort = '', first = '', count = '', window = ''] = process.argv.slice(2);

const ip4 = (text: string): Uint8Array => Uint8Array.from(text.split('.').map(Number));
const open = (text: string, port: number): number =>
  io.openUdp({ family: 4, address: ip4(text), port, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES, sendOnly: false });

const sending = Int32Array.of(open(source, 0));
const receiving = open(returned, Number(returnPort));
const poll = io.openPoll();
io.pollAdd(poll, receiving, 1);

const arena = new Uint8Array(BATCH * STRIDE);
const sendTable = new Uint32Array(BATCH * SEND_WORDS);
const receiveTable = new Uint32Array(BATCH * FRAME_WORDS);
const address = new Uint8Array(sendTable.buffer);

/** Row `row` goes to the overlay address 10.128.0.0 + `number`. */
function aim(row: number, number: number): void {
  const at = row * SEND_WORDS;
  sendTable[at + SEND.length] = PAYLOAD_BYTES;
  sendTable[at + SEND.family] = 4;
  sendTable[at + SEND.port] = TARGET_PORT;
  address.set([10, 128 | (number >>> 16), number >>> 8, number], 4 * (at + SEND.address));
}

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
    for (let row = 0; row < batch; row++) aim(row, from + sent + row);
    if (batch > 0) sent += io.send(sending, arena, sendTable, batch, 10);
    else io.wait(poll, ready, 100);
    const received = io.receive(receiving, arena, receiveTable, 0, STRIDE, BATCH);
    if (received <= 0) continue;
    answered += received;
    last = now;
  }
  return { answered, seconds: (last - start) / 1000 };
}

console.log(JSON.stringify(run(Number(first), Number(count), Number(window))));
