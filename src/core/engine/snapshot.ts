// Cached targets as bytes, for the time between one overlayd and the next: pure, total, and without any state of the engine.
import { keyHalves } from '../util/mac-key.ts';
import type { WireDestination } from './messages.ts';

/**
 * One target: MAC (6), flags (1), family (1), UDP port (2, big-endian), address (16; IPv4 in the first four). What a field does
 * not use is zero, so that there is one way only to write a target.
 */
export const TARGET_RECORD_BYTES = 26;

const FLAG = { drop: 1, fixed: 2 } as const;
const KNOWN_FLAGS = FLAG.drop | FLAG.fixed;
const AT = { flags: 6, family: 7, port: 8, address: 10 } as const;
const ADDRESS_BYTES = { 4: 4, 6: 16 } as const;

export interface TargetRecord {
  /** Six bytes as one number. */
  readonly mac: number;
  readonly to: WireDestination | 'drop';
  /** Set by a person. */
  readonly fixed: boolean;
}

/** The fields of a target as the entry table has them. */
export interface TargetColumns {
  readonly high: number;
  readonly low: number;
  readonly drop: boolean;
  readonly fixed: boolean;
  readonly family: number;
  readonly udpPort: number;
  /** Bytes that hold the address at `addressAt`. */
  readonly address: Uint8Array;
  readonly addressAt: number;
}

/** Writes one target to `at`; TARGET_RECORD_BYTES have to be there, and zero. */
export function writeTarget(bytes: Uint8Array, at: number, from: TargetColumns): void {
  bytes[at] = from.high >>> 8;
  bytes[at + 1] = from.high;
  for (let i = 0; i < 4; i++) bytes[at + 2 + i] = from.low >>> (24 - 8 * i);
  bytes[at + AT.flags] = (from.drop ? FLAG.drop : 0) | (from.fixed ? FLAG.fixed : 0);
  if (from.drop) return;
  bytes[at + AT.family] = from.family;
  bytes[at + AT.port] = from.udpPort >>> 8;
  bytes[at + AT.port + 1] = from.udpPort;
  const length = ADDRESS_BYTES[from.family === 4 ? 4 : 6];
  for (let i = 0; i < length; i++) bytes[at + AT.address + i] = from.address[from.addressAt + i] as number;
}

/** The target at `at`, where TARGET_RECORD_BYTES have to be; undefined for anything that writeTarget() does not write. */
export function readTarget(bytes: Uint8Array, at: number): TargetRecord | undefined {
  const mac = readMac(bytes, at);
  const flags = bytes[at + AT.flags] as number;
  if (mac === undefined || (flags & ~KNOWN_FLAGS) !== 0) return undefined;
  const to = (flags & FLAG.drop) !== 0 ? readDrop(bytes, at) : readDestination(bytes, at);
  return to === undefined ? undefined : { mac, to, fixed: (flags & FLAG.fixed) !== 0 };
}

/** Every target in `bytes`, in their order. What is none, and an end that is no whole record, is passed over. */
export function* readTargets(bytes: Uint8Array): Generator<TargetRecord, void, undefined> {
  for (let at = 0; at + TARGET_RECORD_BYTES <= bytes.length; at += TARGET_RECORD_BYTES) {
    const record = readTarget(bytes, at);
    if (record !== undefined) yield record;
  }
}

export function writeTargets(records: readonly TargetRecord[]): Uint8Array {
  const bytes = new Uint8Array(TARGET_RECORD_BYTES * records.length);
  for (const [index, { mac, to, fixed }] of records.entries()) {
    const drop = to === 'drop';
    const destination = drop ? { family: 0, udpPort: 0, address: bytes } : { family: to.family, udpPort: to.port, address: to.ip };
    const [high, low] = keyHalves(mac);
    writeTarget(bytes, TARGET_RECORD_BYTES * index, { high, low, drop, fixed, ...destination, addressAt: 0 });
  }
  return bytes;
}

/** A group address or no address at all is nobody's target. */
function readMac(bytes: Uint8Array, at: number): number | undefined {
  if (((bytes[at] as number) & 1) !== 0) return undefined;
  let mac = 0;
  for (let i = 0; i < 6; i++) mac = mac * 256 + (bytes[at + i] as number);
  return mac === 0 ? undefined : mac;
}

function readDestination(bytes: Uint8Array, at: number): WireDestination | undefined {
  const family = bytes[at + AT.family] as number;
  const port = ((bytes[at + AT.port] as number) << 8) | (bytes[at + AT.port + 1] as number);
  if ((family !== 4 && family !== 6) || port === 0) return undefined;
  const start = at + AT.address;
  const end = start + ADDRESS_BYTES[family];
  return isZero(bytes, end, at + TARGET_RECORD_BYTES) ? { family, ip: bytes.slice(start, end), port } : undefined;
}

const readDrop = (bytes: Uint8Array, at: number): 'drop' | undefined =>
  isZero(bytes, at + AT.family, at + TARGET_RECORD_BYTES) ? 'drop' : undefined;

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}
