// The contract of encapsulation plugins: a header format as data, so that the packet loop or the kernel can run it.
import type { IpAddress } from './address.ts';
import type { DestinationField } from './destination.ts';
import type { AnyPropertyValues, PropertyTable } from './property.ts';

/** Bits numbered as in RFC diagrams: bit 0 is the most significant bit of byte 0. At most 32 bits. */
export interface BitField {
  readonly bit: number;
  readonly bits: number;
}

/** A received packet is kept only if `(header[at + i] & mask[i]) === value[i]` for every i. */
export interface Match {
  readonly at: number;
  readonly mask: readonly number[];
  readonly value: readonly number[];
  /** Name of the counter of packets dropped here, `area.reason`: `vxlan.i-flag-clear`. */
  readonly dropReason: string;
}

/** One encapsulation header. Checked by `checkFormat()` of the host before it is used. */
export interface HeaderFormat {
  /** What carries the header; `protocol` is the IP protocol number, 1-255. */
  readonly carrier: { readonly over: 'udp' } | { readonly over: 'ip'; readonly protocol: number };
  /** The bytes that are sent, with the identifier and the entropy left zero. 4-64 bytes, a multiple of 4. */
  readonly template: readonly number[];
  /** Where the vnetid stands. */
  readonly vnetid: BitField;
  /** Checked in order on receipt; `template` itself has to pass. */
  readonly accept: readonly Match[];
  /** `fixed`: as long as the template. `counted`: template plus what the count field says, for options that are skipped. */
  readonly length: { readonly kind: 'fixed' } | { readonly kind: 'counted'; readonly count: BitField; readonly unitBytes: number };
  /** Where the hash of the inner flow goes, so that the underlay spreads flows over paths. */
  readonly entropy: 'udp-source-port' | BitField;
  /** The rtnetlink link kind that does the same, when the kernel can take over. */
  readonly kernelKind?: 'vxlan' | 'geneve' | 'gretap';
}

/** The socket that receives. `listenPort` is there exactly when the carrier is UDP. */
export interface UnderlaySocket {
  readonly listenIp: IpAddress;
  readonly listenPort?: number;
}

/**
 * An encapsulation. It is data and pure functions: the host asks it once, when an overlay is made, in a process of the
 * plugin's own, and saves the answer with the overlay. Nothing of a plugin runs while frames are forwarded.
 */
export interface EncapPlugin {
  readonly kind: 'encap';
  /** `[a-z][a-z0-9]*`, at most 31 characters; also the prefix of its properties. */
  readonly name: string;
  readonly properties: PropertyTable;
  readonly needs: readonly DestinationField[];
  /** Both ends may be used. At most 2^32-1. */
  readonly vnetid: { readonly min: number; readonly max: number };
  /** May inner frames carry an 802.1Q tag? Where not, tagged frames are dropped and counted. */
  readonly carriesVlanTag: boolean;
  readonly format: HeaderFormat;
  /** The port peers listen on when nobody says otherwise: the default of a destination's port. */
  readonly usualPort?: number;
  /** Called once per overlay with values that were parsed, defaulted and not refused. Overlays with equal results share a socket. */
  socket(values: AnyPropertyValues): UnderlaySocket;
}
