// Frames to begin with, one of every kind that the engine looks into, and mutants of them whose checksums are right again.
import fc from 'fast-check';
import { arpRequest, bytes, discover, naiveChecksum, naiveIcmpv6, solicitation, TAG } from '../unit/wire/frames.ts';
import { mutate } from './mutate.ts';
import type { Random } from './random.ts';

const GUEST = '020820000001';
const PEER = '020820000002';
const V4 = '0a000001 0a000002';
const V6 = 'fe80000000000000 0000000000000001 fe80000000000000 0000000000000002';
const word = (value: number): string => value.toString(16).padStart(4, '0');

const ipv4 = (protocol: string, body: Uint8Array, { tag = '', fragment = '0000', options = '' } = {}): Uint8Array => {
  const header = 20 + bytes(options).length;
  const head = `${PEER} ${GUEST} ${tag} 0800 4${(header / 4).toString(16)}00 ${word(header + body.length)} 1234 ${fragment} 40 ${protocol} 0000 ${V4} ${options}`;
  return Uint8Array.from([...bytes(head), ...body]);
};
const ipv6 = (next: string, body: Uint8Array, tag = ''): Uint8Array =>
  Uint8Array.from([...bytes(`${PEER} ${GUEST} ${tag} 86dd 60000000 ${word(body.length)} ${next} 40 ${V6}`), ...body]);
const tcp = (payload: number): Uint8Array => {
  const segment = new Uint8Array(20 + payload).fill(0x5a);
  segment.set(bytes('c001 01bb fffffff0 00000001 5099 7210 0000 0000'));
  return segment;
};
const udp = (payload: number): Uint8Array =>
  Uint8Array.from([...bytes(`c001 0035 ${word(8 + payload)} 0000`), ...new Uint8Array(payload).fill(0x33)]);

const u16 = (frame: Uint8Array, at: number): number => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
function put16(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >> 8;
  frame[at + 1] = value;
}

function ipAt(frame: Uint8Array): { readonly at: number; readonly type: number } {
  const tagged = u16(frame, 12) === 0x8100;
  return { at: tagged ? 18 : 14, type: u16(frame, tagged ? 16 : 12) };
}

/** Where TCP or UDP and its checksum field would be; undefined for other frames. Written apart from src/core/wire/offload.ts. */
function transport(frame: Uint8Array) {
  const { at, type } = ipAt(frame);
  const family = type === 0x0800 ? 4 : type === 0x86dd ? 6 : undefined;
  if (family === undefined || frame.length < at + 48) return undefined;
  const header = family === 4 ? ((frame[at] ?? 0) & 15) * 4 : 40;
  const protocol = frame[at + (family === 4 ? 9 : 6)] ?? 0;
  const length = family === 4 ? u16(frame, at + 2) - header : u16(frame, at + 4);
  const field = at + header + (protocol === 6 ? 16 : 6);
  if ((protocol !== 6 && protocol !== 17) || field + 2 > frame.length) return undefined;
  const addresses = family === 4 ? frame.subarray(at + 12, at + 20) : frame.subarray(at + 8, at + 40);
  return { field, pseudo: [...addresses, 0, protocol, (length >> 8) & 255, length & 255] };
}

/** Sets the checksum field to the sum of the pseudo header, as a sender does that leaves the rest to hardware. */
export function beginChecksum(frame: Uint8Array): Uint8Array {
  const found = transport(frame);
  if (found !== undefined) put16(frame, found.field, 65535 - naiveChecksum(found.pseudo));
  return frame;
}

/** Makes the ICMPv6 checksum right, so that what follows it is looked at. */
function finishSolicitation(frame: Uint8Array): Uint8Array {
  const { at, type } = ipAt(frame);
  const length = u16(frame, at + 4);
  if (type === 0x86dd && length >= 4 && length < 2000 && at + 44 <= frame.length) put16(frame, at + 42, naiveIcmpv6(frame, at, length));
  return frame;
}

const EXTENDED = bytes(`3a00 0100 00000000 87000000 00000000 ${'00'.repeat(16)} 0101 ${GUEST}`);

export const FRAME_SEEDS: readonly Uint8Array[] = [
  arpRequest(),
  arpRequest(TAG),
  bytes(`${PEER} ${GUEST} 0806 0001 0800 06 04 0001 ${GUEST} 0a000001 000000000000 0a000002`),
  solicitation(),
  solicitation({ tag: TAG }),
  solicitation({ options: `0101${GUEST} 0e01000000000000 0502 0000 000000000000000000000000` }),
  ipv6('00', EXTENDED),
  discover(),
  discover({ tag: TAG, ipOptions: '01010101' }),
  discover({ fragment: '2000' }),
  ipv4('11', udp(40)),
  ipv4('11', udp(41), { options: '94040000', fragment: '4000' }),
  ipv4('11', udp(1200), { fragment: '2000' }),
  ipv4('11', udp(64), { fragment: '00b9' }),
  ipv4('06', tcp(0)),
  ipv4('06', tcp(900), { tag: TAG }),
  ipv4('06', tcp(3000)),
  ipv6('06', tcp(3001)),
  ipv6('06', tcp(2500), TAG),
  ipv6('11', udp(33)),
  ipv6('2c', Uint8Array.from([...bytes('11 00 0001 00000001'), ...udp(80)])),
  bytes(`${PEER} ${GUEST} 88a8 0064 8100 0065 0800 4500`),
  bytes(`01005e000001 ${GUEST} 0800 ${'00'.repeat(46)}`),
  bytes(`${PEER} ${GUEST} 88b5 00`),
];

export const FRAME_WORDS: readonly Uint8Array[] = [
  '8100',
  '8100 0064',
  '88a8',
  '88a8 0001 8100 0002',
  '0800 4500',
  '0800 4f00',
  '0806 0001 0800 0604 0001',
  '86dd 6000 0000',
  'ffffffffffff',
  '3333ff000002',
  '01005e0000fb',
  '0101',
  '0100',
  '0001',
  '63825363',
  '0044 0043',
  '0043 0044',
  '2000',
  '3a ff',
  PEER,
  GUEST,
].map(bytes);

export function mutantFrame(random: Random): Uint8Array {
  const frame = mutate(FRAME_SEEDS, FRAME_WORDS, random);
  switch (random.below(4)) {
    case 0:
      return beginChecksum(frame.slice());
    case 1:
      return finishSolicitation(frame.slice());
    default:
      return frame;
  }
}

const mac = fc.constantFrom('ffffffffffff', '3333ff000002', '01005e000001', PEER, GUEST, '000000000000').map(bytes);
const tags = fc.constantFrom('', '8100 0064', '8100 ffff', '88a8 0001', '8100 0001 8100 0002', '88a8 0001 8100 0002').map(bytes);
const network = fc.oneof(
  fc.constantFrom(...FRAME_SEEDS.map((frame) => frame.subarray(12))),
  fc
    .tuple(fc.constantFrom('0800', '0806', '86dd', '88b5').map(bytes), fc.uint8Array({ maxLength: 120 }))
    .map((parts) => Uint8Array.from(Buffer.concat(parts))),
);

/** Layers put together at will, the checksum begun or not. */
export const arbitraryFrame: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.tuple(mac, mac, tags, network), fc.boolean(), fc.nat({ max: 40 }))
  .map(([layers, begun, cut]) => {
    const frame = Uint8Array.from(Buffer.concat(layers));
    const short = frame.subarray(0, Math.max(0, frame.length - Math.max(0, cut - 30)));
    return begun ? beginChecksum(short.slice()) : short.slice();
  });
