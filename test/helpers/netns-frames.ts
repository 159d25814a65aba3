// Frames as they are, sent and noted on a link of a namespace through a packet socket; python3 has one, Node.js has not.
import type { Namespace } from './netns.ts';
import type { Running } from './process.ts';

/** Sends every line of its input, frames in hexadecimal, in order. */
const SEND = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
`;

/**
 * Prints every frame that comes in, in hexadecimal; what the machine itself sends is left out. The kernel takes a VLAN tag
 * out of the frame and gives it beside (PACKET_AUXDATA): tp_status, len, snaplen, mac, net, vlan_tci, vlan_tpid.
 */
const LISTEN = `
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(263, 8, 1)
s.setsockopt(socket.SOL_SOCKET, 33, 16 * 1024 * 1024)
s.bind((sys.argv[1], 3))
print('listening', flush=True)
while True:
    frame, extra, _, address = s.recvmsg(70000, 256)
    if address[2] == 4:
        continue
    for level, kind, data in extra:
        status, _, _, _, _, tci, tpid = struct.unpack('IIIHHHH', data[:20])
        if status & 16:
            frame = frame[:12] + struct.pack('!HH', tpid, tci) + frame[12:]
    print(frame.hex(), flush=True)
`;

/** ETHTOOL_STXCSUM (0x17) by SIOCETHTOOL (0x8946): what leaves by this link then has its checksums, as on a real wire. */
const FINISH_CHECKSUMS = `
import array, fcntl, socket, struct, sys
value = array.array('B', struct.pack('II', 0x17, 0))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8946, struct.pack('16sP', sys.argv[1].encode(), value.buffer_info()[0]))
`;

export const hexOf = (frame: Uint8Array): string => Buffer.from(frame).toString('hex');

export async function sendFrames(where: Namespace, link: string, frames: readonly Uint8Array[]): Promise<void> {
  await where.must('python3', ['-c', SEND, link], { input: frames.map((frame) => `${hexOf(frame)}\n`).join('') });
}

export async function listenFrames(where: Namespace, link: string): Promise<Running> {
  const listener = where.start('python3', ['-c', LISTEN, link]);
  await listener.printed('listening');
  return listener;
}

/** In the order they came. */
export const framesOf = (listener: Running): string[] => listener.stdout.split('\n').slice(1, -1);

/** Hardware would do it; a veth leaves it undone, and a capture of it shows what was never finished. */
export async function finishChecksums(where: Namespace, link: string): Promise<void> {
  await where.must('python3', ['-c', FINISH_CHECKSUMS, link]);
}
