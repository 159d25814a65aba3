// Runs in the namespace of a host that has a VNIC itself: sends frames to targets never seen before, and notes how old their answers are when
// the kernel tells of their rows. The answers are those of fixtures/instant/stamped.js.
import { loadPacketIo } from '@overlayadm/packetio';
import type { RowView } from '../../src/core/engine/fdb-messages.ts';
import { RowEars } from './row-ears.ts';
import { microseconds, readStamp, since } from './row-stamp.ts';
import { BATCH, TargetSender } from './target-sender.ts';

/** When nothing has come for so long, what is missing will not come, ms. */
const STALLED_MS = 3000;
/** Of targets: 02:00:5e and their number in the last three bytes. */
const HIGH = 0x0200;
const LOW = 0x5e00_0000;

const [source = '', firstText = '', countText = '', windowText = ''] = process.argv.slice(2);
const [first, count, window] = [Number(firstText), Number(countText), Number(windowText)];
const io = loadPacketIo();
const sender = new TargetSender(io, source);
const ears = new RowEars(io);

/** By number of the target, microseconds. */
const sentAt = new Float64Array(count);
const seen = new Uint8Array(count);
const fromAnswer: number[] = [];
const fromFrame: number[] = [];

function take(row: RowView): void {
  const number = (row.low >>> 0) - LOW - first;
  if (row.high !== HIGH || number < 0 || number >= count || seen[number] === 1) return;
  seen[number] = 1;
  const now = microseconds();
  fromAnswer.push(since(readStamp(row.address, row.port), now));
  fromFrame.push(since(sentAt[number] as number, now));
}

let sent = 0;
let last = performance.now();
while (fromAnswer.length < count && performance.now() - last < STALLED_MS) {
  const batch = Math.min(BATCH, count - sent, window - (sent - fromAnswer.length));
  if (batch > 0) {
    sentAt.fill(microseconds(), sent, sent + batch);
    sent += sender.send(first + sent, batch);
  }
  const before = fromAnswer.length;
  ears.hear(100, take);
  if (fromAnswer.length > before) last = performance.now();
}
console.log(JSON.stringify({ fromAnswer, fromFrame, lost: ears.lost }));
