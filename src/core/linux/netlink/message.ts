// Netlink messages and attributes as bytes (RFC 3549 §2.3, include/uapi/linux/netlink.h): building is exact, reading is total.
import { endianness } from 'node:os';

/** Control messages that every netlink family has (netlink.h). */
export const NLMSG = { error: 2, done: 3 } as const;

export const NLM_F = {
  request: 0x1,
  ack: 0x4,
  dumpInterrupted: 0x10,
  replace: 0x100,
  excl: 0x200,
  create: 0x400,
  append: 0x800,
  dump: 0x300,
} as const;

const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** The top two bits of an attribute's type are NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

const align = (length: number): number => (length + 3) & ~3;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Behind the netlink header: the fixed header of the family, then attributes. */
  readonly body: Uint8Array;
}

/** Attributes of one level by type. Of a type that comes twice the last one stands, as in the kernel's nla_parse(). */
export type Attributes = ReadonlyMap<number, Uint8Array>;

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Network order whatever the machine: what nf_tables and the ports of vxlan links use. */
export function be16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

export function be32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Bytes of a C string, the terminating zero included. */
export const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

/** Everything that depends on the byte order of the machine: netlink headers, and the numbers of rtnetlink, are in host order. */
export function netlinkCodec(order: 'LE' | 'BE') {
  const little = order === 'LE';
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

  const u16 = (value: number): Uint8Array => {
    const bytes = new Uint8Array(2);
    view(bytes).setUint16(0, value, little);
    return bytes;
  };
  const u32 = (value: number): Uint8Array => {
    const bytes = new Uint8Array(4);
    view(bytes).setUint32(0, value, little);
    return bytes;
  };
  /** One attribute, padded to four bytes; the padding is not counted in its length. */
  const attribute = (type: number, value: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(align(ATTRIBUTE_HEADER_BYTES + value.length));
    view(bytes).setUint16(0, ATTRIBUTE_HEADER_BYTES + value.length, little);
    view(bytes).setUint16(2, type, little);
    bytes.set(value, ATTRIBUTE_HEADER_BYTES);
    return bytes;
  };
  const nested = (type: number, ...children: Uint8Array[]): Uint8Array => attribute(type | NESTED, concat(children));

  const message = (type: number, flags: number, sequence: number, ...parts: Uint8Array[]): Uint8Array => {
    const body = concat(parts);
    const bytes = new Uint8Array(align(HEADER_BYTES + body.length));
    const header = view(bytes);
    header.setUint32(0, HEADER_BYTES + body.length, little);
    header.setUint16(4, type, little);
    header.setUint16(6, flags, little);
    header.setUint32(8, sequence, little);
    bytes.set(body, HEADER_BYTES);
    return bytes;
  };

  /** All whole messages of a datagram; what follows a header that cannot be right is left out. */
  const readMessages = (bytes: Uint8Array): NetlinkMessage[] => {
    const messages: NetlinkMessage[] = [];
    const all = view(bytes);
    for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
      const length = all.getUint32(at, little);
      if (length < HEADER_BYTES || at + length > bytes.length) break;
      messages.push({
        type: all.getUint16(at + 4, little),
        flags: all.getUint16(at + 6, little),
        sequence: all.getUint32(at + 8, little),
        body: bytes.subarray(at + HEADER_BYTES, at + length),
      });
      at += align(length);
    }
    return messages;
  };

  /** The attributes that begin at `start`, in their order; what follows one that cannot be right is left out. */
  const readAttributeList = (bytes: Uint8Array | undefined, start = 0): (readonly [type: number, value: Uint8Array])[] => {
    const attributes: [number, Uint8Array][] = [];
    if (bytes === undefined) return attributes;
    const all = view(bytes);
    for (let at = start; at + ATTRIBUTE_HEADER_BYTES <= bytes.length; ) {
      const length = all.getUint16(at, little);
      if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length) break;
      attributes.push([all.getUint16(at + 2, little) & TYPE_MASK, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length)]);
      at += align(length);
    }
    return attributes;
  };
  const readAttributes = (bytes: Uint8Array | undefined, start = 0): Attributes => new Map(readAttributeList(bytes, start));

  /** The number at `at`, undefined when the bytes do not reach that far. */
  const readU16 = (bytes: Uint8Array | undefined, at = 0): number | undefined =>
    bytes === undefined || at + 2 > bytes.length ? undefined : view(bytes).getUint16(at, little);
  const readU32 = (bytes: Uint8Array | undefined, at = 0): number | undefined =>
    bytes === undefined || at + 4 > bytes.length ? undefined : view(bytes).getUint32(at, little);
  const readI32 = (bytes: Uint8Array | undefined, at = 0): number | undefined =>
    bytes === undefined || at + 4 > bytes.length ? undefined : view(bytes).getInt32(at, little);
  const readU64 = (bytes: Uint8Array | undefined, at = 0): bigint | undefined =>
    bytes === undefined || at + 8 > bytes.length ? undefined : view(bytes).getBigUint64(at, little);

  return { u16, u32, attribute, nested, message, readMessages, readAttributeList, readAttributes, readU16, readU32, readI32, readU64 };
}

/** Up to the first zero byte; undefined without bytes. */
export function readText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Network order. */
export function readBe16(bytes: Uint8Array | undefined): number | undefined {
  const [high, low] = bytes ?? [];
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}

export function readBe32(bytes: Uint8Array | undefined): number | undefined {
  const [high, low] = [readBe16(bytes), readBe16(bytes?.subarray(2))];
  return high === undefined || low === undefined ? undefined : high * 65_536 + low;
}

/** The codec of this machine. */
export const host = netlinkCodec(endianness());
