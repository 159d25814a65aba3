// Checksums that were only begun and TCP that was not cut, against independent arithmetic.
import { ipToBytes } from '@overlayadm/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { completeChecksum, findTransport, looksPartial, newTransportView, TcpSegmenter } from '../../../src/core/wire/offload.ts';
import { ipOf } from '../../helpers/frames.ts';

/** RFC 1071, the slow way: over one big-endian number a time, folded at each step. */
function onesSum(...parts: readonly (readonly number[])[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) {
      sum += (part[i] as number) * 256 + (part[i + 1] ?? 0);
      if (sum > 0xffff) sum -= 0xffff;
    }
  }
  return sum;
}

interface Packet {
  readonly family: 4 | 6;
  readonly tagged: boolean;
  readonly options: number;
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly flags: number;
}

const ADDRESSES = {
  4: [...ipToBytes(ipOf('10.0.0.1')), ...ipToBytes(ipOf('10.0.0.2'))],
  6: [...ipToBytes(ipOf('fd00::1')), ...ipToBytes(ipOf('fd00::2'))],
};
const u16 = (value: number): number[] => [value >> 8, value & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];

/** A TCP frame with a begun checksum, as a kernel leaves it for hardware. */
function tcpFrame({ family, tagged, options, payload, sequence, flags }: Packet): Uint8Array {
  const header = 20 + 4 * options;
  const length = header + payload.length;
  const begun = onesSum(ADDRESSES[family], u16(length >>> 16), u16(length & 0xffff), u16(6));
  const tcp = [...u16(4242), ...u16(80), ...u32(sequence), ...u32(77), (header / 4) << 4, flags, ...u16(500), ...u16(begun), 0, 0];
  const ip4 = [0x45, 0, ...u16(20 + length), ...u16(0xfffe), 0x40, 0, 64, 6, 0, 0, ...ADDRESSES[4]];
  const ip4Sum = 0xffff - onesSum(ip4);
  ip4.splice(10, 2, ...u16(ip4Sum));
  const ip6 = [0x60, 0, 0, 0, ...u16(length), 6, 64, ...ADDRESSES[6]];
  const type = family === 4 ? [8, 0] : [0x86, 0xdd];
  const ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ...(tagged ? [0x81, 0, 0, 7] : []), ...type];
  return Uint8Array.from([...ethernet, ...(family === 4 ? ip4 : ip6), ...tcp, ...new Array(4 * options).fill(1), ...payload]);
}

/** What a receiver sees: nothing when a checksum is wrong. */
function readTcp(frame: Uint8Array, { family, tagged }: Packet) {
  const ip = tagged ? 18 : 14;
  const at = ip + (family === 4 ? 20 : 40);
  const bytes = [...frame.subarray(at)];
  if (family === 4) {
    expect(onesSum([...frame.subarray(ip, at)])).toBe(0xffff);
    expect(frame.length - ip).toBe((frame[ip + 2] as number) * 256 + (frame[ip + 3] as number));
  } else expect(frame.length - at).toBe((frame[ip + 4] as number) * 256 + (frame[ip + 5] as number));
  expect(onesSum(ADDRESSES[family], u16(bytes.length), u16(6), bytes)).toBe(0xffff);
  const view = new DataView(frame.buffer, frame.byteOffset);
  const header = ((frame[at + 12] as number) >> 4) * 4;
  return {
    sequence: view.getUint32(at + 4),
    flags: frame[at + 13] as number,
    id: family === 4 ? view.getUint16(ip + 4) : 0,
    ipBytes: frame.length - ip,
    payload: frame.subarray(at + header),
  };
}

const packets = fc.record({
  family: fc.constantFrom(4, 6),
  tagged: fc.boolean(),
  options: fc.integer({ min: 0, max: 10 }),
  payload: fc.uint8Array({ minLength: 1, maxLength: 6000 }),
  sequence: fc.oneof(fc.constant(0xffff_fff0), fc.integer({ min: 0, max: 0xffff_ffff })),
  flags: fc.integer({ min: 0, max: 255 }),
}) as fc.Arbitrary<Packet>;

function complete(frame: Uint8Array): boolean {
  const view = newTransportView();
  if (!findTransport(frame, 0, frame.length, view) || !looksPartial(frame, view)) return false;
  completeChecksum(frame, view);
  return true;
}

describe('a checksum that was only begun', () => {
  it('is recognised and finished', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const frame = tcpFrame(packet);
        expect(complete(frame)).toBe(true);
        expect(readTcp(frame, packet).payload).toEqual(packet.payload);
        // A second look finds a finished one, and changes nothing.
        const finished = frame.slice();
        complete(frame);
        expect(frame).toEqual(finished);
      }),
    );
  });

  it('of UDP is finished too, but "none" is left as it is', () => {
    const udp = (checksum: number): Uint8Array => {
      const payload = [...u16(53), ...u16(53), ...u16(12), ...u16(checksum), 1, 2, 3, 4];
      const ip = [0x45, 0, ...u16(32), 0, 0, 0, 0, 64, 17, 0, 0, ...ADDRESSES[4]];
      return Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, ...ip, ...payload]);
    };
    const frame = udp(onesSum(ADDRESSES[4], u16(12), u16(17)));
    expect(complete(frame)).toBe(true);
    expect(onesSum(ADDRESSES[4], u16(12), u16(17), [...frame.subarray(34)])).toBe(0xffff);
    expect(complete(udp(0))).toBe(false);
  });

  it('is never looked for outside of the frame, whatever the bytes', () => {
    const view = newTransportView();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, ip) => {
        const frame = bytes.slice();
        if (ip && frame.length > 15) frame.set([8, 0, 0x45], 12);
        if (!findTransport(frame, 0, frame.length, view)) return;
        expect(view.at + view.length).toBeLessThanOrEqual(frame.length);
        expect(view.checksumAt + 2).toBeLessThanOrEqual(view.at + view.length);
      }),
    );
  });

  it('is not looked for in fragments', () => {
    const packet = { family: 4, tagged: false, options: 0, payload: new Uint8Array(8), sequence: 1, flags: 0x10 } as const;
    for (const fragment of [0x20, 0x01]) {
      const frame = tcpFrame(packet);
      frame[20] = fragment;
      expect(complete(frame)).toBe(false);
    }
  });
});

describe('TCP that was not cut', () => {
  it('is cut into frames that fit, with nothing lost and every checksum right', () => {
    fc.assert(
      fc.property(packets, fc.integer({ min: 576, max: 1500 }), (packet, mtu) => {
        const frame = tcpFrame(packet);
        const segmenter = new TcpSegmenter();
        const count = segmenter.begin(frame, 0, frame.length, mtu);
        let sent = 0;
        for (let index = 0; index < count; index++) {
          segmenter.segment(frame, index);
          const seen = readTcp(frame.slice(segmenter.at, segmenter.at + segmenter.length), packet);
          expect(seen.ipBytes).toBeLessThanOrEqual(mtu);
          expect(seen.payload).toEqual(packet.payload.subarray(sent, sent + seen.payload.length));
          expect(seen.sequence).toBe((packet.sequence + sent) >>> 0);
          if (packet.family === 4) expect(seen.id).toBe((0xfffe + index) & 0xffff);
          // FIN and PSH belong to the last segment, CWR to the first (RFC 3168 §6.1.2).
          const isLast = index === count - 1;
          expect(seen.flags).toBe(packet.flags & (isLast ? 0xff : ~0x09) & (index === 0 ? 0xff : ~0x80));
          sent += seen.payload.length;
        }
        expect(sent).toBe(packet.payload.length);
      }),
    );
  });

  it('is refused when its headers leave no room, or when it is no TCP', () => {
    const frame = tcpFrame({ family: 4, tagged: false, options: 10, payload: new Uint8Array(100), sequence: 1, flags: 0 });
    expect(new TcpSegmenter().begin(frame, 0, frame.length, 60)).toBe(0);
    expect(new TcpSegmenter().begin(new Uint8Array(100), 0, 100, 1400)).toBe(0);
  });
});
