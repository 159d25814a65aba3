// The reference for header formats: bit by bit, slow and plain, so that faster code can be compared with it.
import type { BitField, HeaderFormat } from '@overlayadm/api';

export type ReferenceReading =
  | { readonly kind: 'kept'; readonly vnetid: number; readonly headerBytes: number }
  /** `too-short`: the header, options included, does not fit the packet. Else the `dropReason` of the first match that failed. */
  | { readonly kind: 'dropped'; readonly reason: string };

const bitAt = (bytes: readonly number[], bit: number): number => ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;

/** Value of a field, 0 to 2^32-1. Bits behind the end of `bytes` count as zero. */
export function readField(bytes: readonly number[], field: BitField): number {
  let value = 0;
  for (let i = 0; i < field.bits; i++) value = value * 2 + bitAt(bytes, field.bit + i);
  return value;
}

/** A copy of `bytes` with the field set; bits of `value` beyond the width of the field are ignored. */
export function writeField(bytes: readonly number[], field: BitField, value: number): number[] {
  const out = [...bytes];
  for (let i = 0; i < field.bits; i++) {
    const at = field.bit + i;
    const mask = 1 << (7 - (at & 7));
    const one = Math.floor(value / 2 ** (field.bits - 1 - i)) % 2 === 1;
    out[at >> 3] = one ? (out[at >> 3] ?? 0) | mask : (out[at >> 3] ?? 0) & ~mask & 0xff;
  }
  return out;
}

/** The header as it is sent. `entropy` is written only where the format has a field for it. */
export function referenceHeader(format: HeaderFormat, vnetid: number, entropy = 0): number[] {
  const header = writeField(format.template, format.vnetid, vnetid);
  return format.entropy === 'udp-source-port' ? header : writeField(header, format.entropy, entropy);
}

/** Which bits of which byte some match compares, in the order of `accept`; the first one that covers a bit decides about it. */
export function matchOfBit(format: HeaderFormat, bit: number): string | undefined {
  return format.accept.find((match) => bitAt(match.mask, bit - 8 * match.at) === 1 && bit >= 8 * match.at)?.dropReason;
}

/** Reads what follows the carrier's header. Total: any bytes give a reading. */
export function referenceRead(format: HeaderFormat, packet: readonly number[]): ReferenceReading {
  if (packet.length < format.template.length) return { kind: 'dropped', reason: 'too-short' };
  for (const match of format.accept) {
    const fits = match.mask.every((mask, i) => ((packet[match.at + i] ?? 0) & mask) === match.value[i]);
    if (!fits) return { kind: 'dropped', reason: match.dropReason };
  }
  const options = format.length.kind === 'counted' ? readField(packet, format.length.count) * format.length.unitBytes : 0;
  const headerBytes = format.template.length + options;
  if (packet.length < headerBytes) return { kind: 'dropped', reason: 'too-short' };
  return { kind: 'kept', vnetid: readField(packet, format.vnetid), headerBytes };
}
