// Encapsulation headers described as data: compiled once per overlay, then put on and taken off without allocating.
import type { BitField, HeaderFormat } from '@overlayadm/api';
import { readBits, writeBits } from './bits.ts';

export { checkFormat } from './format-check.ts';

/** The header that is sent, with the identifier baked in; the entropy is still zero. The format has passed checkFormat(). */
export function compileHeader(format: HeaderFormat, vnetid: number): Uint8Array {
  const header = Uint8Array.from(format.template);
  writeBits(header, 0, format.vnetid, vnetid);
  return header;
}

/** HOT: per packet. Writes as much of a flow hash as there is room for into the header at `at`; nothing when the source port carries it. */
export function writeEntropy(entropy: HeaderFormat['entropy'], bytes: Uint8Array, at: number, hash: number): void {
  if (entropy !== 'udp-source-port') writeBits(bytes, at, entropy, hash);
}

/** A format ready to receive with: one entry of `at`, `mask`, `value` and `reason` for every byte that is compared. */
export interface CompiledDecap {
  /** Names of drop counters; decap() gives an index into them. The first is `PREFIX.short`. */
  readonly dropReasons: readonly string[];
  /** Length of the template, the shortest header there is. Bytes. */
  readonly headerBytes: number;
  readonly at: Uint8Array;
  readonly mask: Uint8Array;
  readonly value: Uint8Array;
  readonly reason: Uint8Array;
  readonly vnetid: BitField;
  /** Byte of a vnetid of 24 bits that begins at a byte, or -1: the case of every encapsulation in use. */
  readonly vnetidByte: number;
  readonly count: BitField | undefined;
  readonly unitBytes: number;
}

/** @param prefix area of the `short` counter: the name of the encapsulation. The format has passed checkFormat(). */
export function compileDecap(format: HeaderFormat, prefix: string): CompiledDecap {
  const dropReasons = [...new Set([`${prefix}.short`, ...format.accept.map((match) => match.dropReason)])];
  const rows = format.accept.flatMap((match) =>
    match.mask.map((mask, i) => [match.at + i, mask, match.value[i] as number, dropReasons.indexOf(match.dropReason)] as const),
  );
  const counted = format.length.kind === 'counted' ? format.length : undefined;
  const { bit, bits } = format.vnetid;
  return {
    dropReasons,
    headerBytes: format.template.length,
    at: Uint8Array.from(rows, (row) => row[0]),
    mask: Uint8Array.from(rows, (row) => row[1]),
    value: Uint8Array.from(rows, (row) => row[2]),
    reason: Uint8Array.from(rows, (row) => row[3]),
    vnetid: { bit, bits },
    vnetidByte: bits === 24 && bit % 8 === 0 ? bit / 8 : -1,
    count: counted?.count,
    unitBytes: counted?.unitBytes ?? 0,
  };
}

/**
 * HOT: per packet. Length of the header of the `length` bytes at `at`, with the vnetid in `out[0]`; or, for a packet to drop,
 * -(1 + index) of the reason in `dropReasons`. `out` is best a Uint32Array of one. Total over any bytes; allocates nothing.
 */
export function decap(compiled: CompiledDecap, bytes: Uint8Array, at: number, length: number, out: Uint32Array): number {
  if (length < compiled.headerBytes) return -1;
  const rows = compiled.at.length;
  for (let i = 0; i < rows; i++) {
    const found = (bytes[at + (compiled.at[i] as number)] as number) & (compiled.mask[i] as number);
    if (found !== compiled.value[i]) return -1 - (compiled.reason[i] as number);
  }
  const header =
    compiled.count === undefined ? compiled.headerBytes : compiled.headerBytes + readBits(bytes, at, compiled.count) * compiled.unitBytes;
  if (header > length) return -1;
  const id = compiled.vnetidByte;
  if (id < 0) out[0] = readBits(bytes, at, compiled.vnetid);
  else out[0] = ((bytes[at + id] as number) << 16) | ((bytes[at + id + 1] as number) << 8) | (bytes[at + id + 2] as number);
  return header;
}
