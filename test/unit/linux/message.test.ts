// Bytes of netlink messages: golden in both byte orders, and readers that survive any input.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { be16, be32, cString, host, netlinkCodec, readBe16, readText } from '../../../src/core/linux/netlink/message.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('building', () => {
  test('an attribute is padded, and its padding is not in its length', () => {
    expect(hex(netlinkCodec('LE').attribute(3, cString('vx0')))).toBe('0800030076783000');
    expect(hex(netlinkCodec('LE').attribute(3, cString('vx10')))).toBe('090003007678313000000000');
    expect(hex(netlinkCodec('BE').attribute(3, cString('vx10')))).toBe('000900037678313000000000');
  });

  test('a message has the length, type, flags and sequence of struct nlmsghdr, in host order', () => {
    const body = Uint8Array.of(1, 2, 3, 4);
    expect(hex(netlinkCodec('LE').message(16, 0x605, 7, body))).toBe('140000001000050607000000000000000102' + '0304');
    expect(hex(netlinkCodec('BE').message(16, 0x605, 7, body))).toBe('000000140010060500000007000000000102' + '0304');
  });

  test('nests carry NLA_F_NESTED', () => {
    const le = netlinkCodec('LE');
    expect(hex(le.nested(18, le.attribute(1, cString('tun'))))).toBe('0c0012800800010074756e00');
  });

  test('network order is network order on every machine', () => {
    expect(hex(be16(4789))).toBe('12b5');
    expect(hex(be32(-300))).toBe('fffffed4');
    expect(readBe16(be16(4789))).toBe(4789);
  });
});

describe('reading', () => {
  test.each(['LE', 'BE'] as const)('what was built is read back (%s)', (order) => {
    const codec = netlinkCodec(order);
    const attributes = [codec.attribute(4, codec.u32(1400)), codec.nested(18, codec.attribute(1, cString('vxlan')))];
    const bytes = Buffer.concat([codec.message(16, 2, 9, new Uint8Array(16), ...attributes), codec.message(3, 2, 9, codec.u32(0))]);
    const [link, done, ...more] = codec.readMessages(bytes);
    expect(more).toEqual([]);
    expect(link).toMatchObject({ type: 16, flags: 2, sequence: 9 });
    expect(done).toMatchObject({ type: 3 });
    const read = codec.readAttributes(link?.body, 16);
    expect(codec.readU32(read.get(4))).toBe(1400);
    expect(readText(codec.readAttributes(read.get(18)).get(1))).toBe('vxlan');
  });

  test('a length that cannot be right ends the reading, and nothing before it is lost', () => {
    const good = host.message(16, 0, 1, new Uint8Array(4));
    for (const length of [0, 15, 17, 0xffff_ffff]) {
      const bad = new Uint8Array(16);
      bad.set(host.u32(length));
      expect(host.readMessages(Buffer.concat([good, bad]))).toHaveLength(1);
    }
    const attribute = host.attribute(1, host.u32(5));
    for (const length of [0, 3, 5, 0xffff]) {
      expect(host.readAttributes(Buffer.concat([attribute, host.u16(length), host.u16(2)])).size).toBe(1);
    }
  });

  test('any bytes are read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, start) => {
        for (const message of host.readMessages(bytes)) expect(message.body.length).toBeLessThanOrEqual(bytes.length);
        for (const value of host.readAttributes(bytes, start).values()) expect(value.length).toBeLessThanOrEqual(bytes.length);
        expect(host.readU32(bytes, 200)).toBeUndefined();
      }),
    );
  });
});
