// Ethernet frames, with one 802.1Q tag understood.
import { ETHERNET_HEADER_BYTES, VLAN_TAG_BYTES } from '../util/packet-sizes.ts';
import { readU16, writeU16 } from './bits.ts';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
/** 802.1Q customer tag. */
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
/** 802.1ad service tag. */
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;

const TAGGED_HEADER_BYTES = ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;

/** Where things stand in a frame. Reused from frame to frame so that parsing allocates nothing; offsets are absolute. */
export interface FrameView {
  /** Offsets of the destination and the source MAC. */
  to: number;
  from: number;
  /** Behind the 802.1Q tag, when there is one. A second tag, or a service tag, is left here as it was found. */
  etherType: number;
  /** Carries a tag of any kind, also one that is not understood. */
  tagged: boolean;
  /** VLAN identifier 0-4095 and the whole tag control information, or -1 without an 802.1Q tag. */
  vlan: number;
  tci: number;
  payloadAt: number;
  payloadLength: number;
}

export const newFrameView = (): FrameView => ({ to: 0, from: 0, etherType: 0, tagged: false, vlan: -1, tci: -1, payloadAt: 0, payloadLength: 0 });

/** Fills `view`. False when the frame is too short for its header, or does not lie in `bytes`; `view` is then not to be used. */
export function parseFrame(bytes: Uint8Array, at: number, length: number, view: FrameView): boolean {
  if (length < ETHERNET_HEADER_BYTES || at < 0 || at + length > bytes.length) return false;
  const outer = readU16(bytes, at + 12);
  view.to = at;
  view.from = at + 6;
  view.tagged = outer === ETHERTYPE_VLAN || outer === ETHERTYPE_SERVICE_VLAN;
  if (view.tagged && length < TAGGED_HEADER_BYTES) return false;
  const understood = outer === ETHERTYPE_VLAN;
  view.tci = understood ? readU16(bytes, at + 14) : -1;
  view.vlan = understood ? view.tci & 0xfff : -1;
  view.etherType = understood ? readU16(bytes, at + 16) : outer;
  const header = understood ? TAGGED_HEADER_BYTES : ETHERNET_HEADER_BYTES;
  view.payloadAt = at + header;
  view.payloadLength = length - header;
  return true;
}

/** Is the MAC at `at` a multicast or broadcast address (IEEE 802-2014 §8.2.2)? */
export const isGroup = (bytes: Uint8Array, at: number): boolean => ((bytes[at] as number) & 1) === 1;

export function isBroadcast(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 6; i++) if (bytes[at + i] !== 0xff) return false;
  return true;
}

export function isZeroMac(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 6; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

/** A frame with zeroed payload, tagged unless `tci` is -1; the payload begins `payloadLength` bytes before its end. */
export function newFrame(to: Uint8Array, from: Uint8Array, tci: number, etherType: number, payloadLength: number): Uint8Array {
  const header = tci < 0 ? ETHERNET_HEADER_BYTES : TAGGED_HEADER_BYTES;
  const frame = new Uint8Array(header + payloadLength);
  frame.set(to.subarray(0, 6), 0);
  frame.set(from.subarray(0, 6), 6);
  if (tci >= 0) {
    writeU16(frame, 12, ETHERTYPE_VLAN);
    writeU16(frame, 14, tci);
  }
  writeU16(frame, header - 2, etherType);
  return frame;
}
