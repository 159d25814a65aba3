// Numbered frames at a steady rate from one link to another, and what came of them: lost, twice, out of order, the longest pause.
import type { Namespace } from './netns.ts';
import type { Running } from './process.ts';

/** IEEE 802 local experimental EtherType 1: no host answers it. */
const SEND = `
import socket, struct, sys, time
link, to, mac, count, rate, flow = sys.argv[1:]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(socket.SOL_SOCKET, 32, 4 * 1024 * 1024)
s.bind((link, 0))
head = bytes.fromhex(to.replace(':', '')) + bytes.fromhex(mac.replace(':', '')) + b'\\x88\\xb5'
count, rate, start, sent, refused = int(count), int(rate), time.monotonic(), 0, 0
while sent < count:
    due = min(count, int((time.monotonic() - start) * rate) + 1)
    while sent < due:
        try:
            s.send(head + struct.pack('!II', int(flow), sent) + bytes(92))
        except OSError:
            refused += 1
        sent += 1
        if sent == 1:
            print('sending', flush=True)
    time.sleep(0.001)
print(refused)
`;

/** Ends when it has all of them, or when nothing has come for so many seconds. */
const RECEIVE = `
import json, socket, struct, sys, time
link, count, flow, idle = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(socket.SOL_SOCKET, 33, 16 * 1024 * 1024)
s.bind((link, 0x88b5))
s.settimeout(idle)
seen, twice, late, top, pause, last = set(), 0, 0, -1, 0, None
print('listening', flush=True)
try:
    while len(seen) < count:
        frame, address = s.recvfrom(2000)
        if address[2] == 4 or len(frame) < 22:
            continue
        which, number = struct.unpack('!II', frame[14:22])
        if which != flow:
            continue
        now = time.monotonic()
        if last is not None:
            pause = max(pause, now - last)
        last = now
        if number in seen:
            twice += 1
            continue
        seen.add(number)
        if number < top:
            late += 1
        top = max(top, number)
except TimeoutError:
    pass
lost = [number for number in range(count) if number not in seen]
print(json.dumps({'lost': len(lost), 'firstLost': lost[:5], 'twice': twice, 'late': late, 'longestPauseMs': round(pause * 1000)}))
`;

export interface Sequence {
  readonly lost: number;
  /** Their numbers. */
  readonly firstLost: readonly number[];
  readonly twice: number;
  /** Behind one that was sent after them. */
  readonly late: number;
  readonly longestPauseMs: number;
}

export interface SequenceEnd {
  readonly at: Namespace;
  readonly link: string;
  readonly mac: string;
}

const IDLE_SECONDS = 12;
let flows = 0;

export interface RunningSequence {
  /** Settles when frames are under way. */
  readonly begun: Promise<void>;
  readonly result: Promise<Sequence>;
}

/** Sends `count` frames from one end to the other, `perSecond` of them. */
export async function startSequence(from: SequenceEnd, to: SequenceEnd, count: number, perSecond: number): Promise<RunningSequence> {
  const flow = String(++flows);
  const receiver = to.at.start('python3', ['-c', RECEIVE, to.link, String(count), flow, String(IDLE_SECONDS)]);
  await receiver.printed('listening');
  const sender = from.at.start('python3', ['-c', SEND, from.link, to.mac, from.mac, String(count), String(perSecond), flow]);
  return { begun: sender.printed('sending'), result: results(sender, receiver) };
}

async function results(sender: Running, receiver: Running): Promise<Sequence> {
  const [sent, received] = await Promise.all([sender.end(), receiver.end()]);
  const refused = Number(sent.stdout.replace('sending\n', ''));
  if (refused !== 0) throw new Error(`the link refused ${refused} frames: ${sent.stdout}${sent.stderr}`);
  return JSON.parse(received.stdout.replace('listening\n', ''));
}
