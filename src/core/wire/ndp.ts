// IPv6 neighbour discovery (RFC 4861): which solicitations a proxy answers, and the advertisement.
import { type IpAddress, ipToBytes, type MacAddress, macToBytes } from '@overlayadm/api';
import { allZero, readU16, sameBytes, writeU16 } from './bits.ts';
import { addPseudoHeader, addWords, checksumOf, foldSum } from './checksum.ts';
import { ETHERTYPE_IPV6, type FrameView, newFrame } from './ethernet.ts';

export const IPV6_HEADER_BYTES = 40;
/** Solicitation and advertisement without options: type, code, checksum, flags, target. */
const NEIGHBOUR_BYTES = 24;
const OPTION_BYTES = 8;
const ADVERTISEMENT_BYTES = NEIGHBOUR_BYTES + OPTION_BYTES;
const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOURCE_LINK_ADDRESS = 1;
const TARGET_LINK_ADDRESS = 2;
/** RFC 4861 §7.1.1: anything less was forwarded by a router, so it did not come from the link. */
const HOP_LIMIT = 255;
const SOLICITED = 0x40;
const OVERRIDE = 0x20;
/** Offsets in the IPv6 header and in the message behind it. */
const IP_SOURCE = 8;
const IP_DESTINATION = 24;
const TARGET = 8;
/** Where the 16 bytes of the solicitation's target stand, from the start of the IPv6 header. */
export const ND_TARGET_IP = IPV6_HEADER_BYTES + TARGET;

const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);

/**
 * Is the frame in `view` a solicitation to answer? The rules of illumos libvarpd_arp.c (proxy_ndp) with its bounds and its
 * type test put right, and those of RFC 4861 §7.1.1 that it leaves out: hop limit, code, checksum. Duplicate address
 * detection (no source address) is left alone: an answer would take the address away from the one who asks.
 */
export function parseNeighbourSolicitation(bytes: Uint8Array, view: FrameView): boolean {
  if (view.etherType !== ETHERTYPE_IPV6 || bytes[view.to] !== 0x33 || bytes[view.to + 1] !== 0x33) return false;
  const at = view.payloadAt;
  if (view.payloadLength < IPV6_HEADER_BYTES + NEIGHBOUR_BYTES || (bytes[at] as number) >>> 4 !== 6) return false;
  const length = readU16(bytes, at + 4);
  // Extension headers are not followed: nobody puts them before a solicitation, and skipping them is where parsers break.
  if (length < NEIGHBOUR_BYTES || length > view.payloadLength - IPV6_HEADER_BYTES || bytes[at + 6] !== ICMPV6 || bytes[at + 7] !== HOP_LIMIT)
    return false;
  const icmp = at + IPV6_HEADER_BYTES;
  return (
    bytes[icmp] === SOLICITATION &&
    bytes[icmp + 1] === 0 &&
    addressesFit(bytes, at, icmp + TARGET) &&
    optionsFit(bytes, icmp + NEIGHBOUR_BYTES, icmp + length) &&
    foldSum(addWords(bytes, icmp, length, addPseudoHeader(bytes, at, length, ICMPV6))) === 0xffff
  );
}

function addressesFit(bytes: Uint8Array, at: number, target: number): boolean {
  const source = at + IP_SOURCE;
  const destination = at + IP_DESTINATION;
  // Multicast of link-local scope; solicited-node addresses (ff02::1:ff00:0/104) are part of it.
  if (bytes[destination] !== 0xff || ((bytes[destination + 1] as number) & 0x0f) !== 2) return false;
  if (bytes[source] === 0xff || allZero(bytes, source, 16) || sameBytes(bytes, source, target, 16)) return false;
  return bytes[target] !== 0xff && !isLoopbackOrUnspecified(bytes, target) && !isMapped(bytes, target);
}

const isLoopbackOrUnspecified = (bytes: Uint8Array, at: number): boolean => allZero(bytes, at, 15) && (bytes[at + 15] as number) <= 1;

const isMapped = (bytes: Uint8Array, at: number): boolean => allZero(bytes, at, 10) && readU16(bytes, at + 10) === 0xffff;

/** Walks the options (RFC 4861 §4.6): every one whole, none of length zero, and the asker's link address among them. */
function optionsFit(bytes: Uint8Array, at: number, end: number): boolean {
  let found = false;
  let next = at;
  while (next < end) {
    if (next + 2 > end) return false;
    const length = (bytes[next + 1] as number) * OPTION_BYTES;
    if (length === 0 || next + length > end) return false;
    if (bytes[next] === SOURCE_LINK_ADDRESS) {
      // Ethernet addresses fill exactly one unit of eight bytes (RFC 2464 §6).
      if (length !== OPTION_BYTES) return false;
      found = true;
    }
    next += length;
  }
  return found;
}

function writeAdvertisement(frame: Uint8Array, flags: number, source: Uint8Array, destination: Uint8Array, mac: Uint8Array): void {
  const ip = frame.length - IPV6_HEADER_BYTES - ADVERTISEMENT_BYTES;
  frame[ip] = 0x60;
  writeU16(frame, ip + 4, ADVERTISEMENT_BYTES);
  frame[ip + 6] = ICMPV6;
  frame[ip + 7] = HOP_LIMIT;
  frame.set(source, ip + IP_SOURCE);
  frame.set(destination, ip + IP_DESTINATION);
  const icmp = ip + IPV6_HEADER_BYTES;
  frame[icmp] = ADVERTISEMENT;
  frame[icmp + 4] = flags;
  frame.set(source, icmp + TARGET);
  frame.set([TARGET_LINK_ADDRESS, 1], icmp + NEIGHBOUR_BYTES);
  frame.set(mac, icmp + NEIGHBOUR_BYTES + 2);
  const sum = addWords(frame, icmp, ADVERTISEMENT_BYTES, addPseudoHeader(frame, ip, ADVERTISEMENT_BYTES, ICMPV6));
  writeU16(frame, icmp + 2, checksumOf(sum));
}

/** The answer to the solicitation in `view`: its target is at `mac`. Sent as by the target itself, the VLAN tag kept. */
export function buildNeighbourAdvertisement(request: Uint8Array, view: FrameView, mac: MacAddress): Uint8Array {
  const answer = macToBytes(mac);
  const ip = view.payloadAt;
  const asker = request.subarray(view.from, view.from + 6);
  const frame = newFrame(asker, answer, view.tci, ETHERTYPE_IPV6, IPV6_HEADER_BYTES + ADVERTISEMENT_BYTES);
  const target = request.subarray(ip + ND_TARGET_IP, ip + ND_TARGET_IP + 16);
  // Override: illumos sets it too, so that a MAC that moved replaces the one a guest remembers.
  writeAdvertisement(frame, SOLICITED | OVERRIDE, target, request.subarray(ip + IP_SOURCE, ip + IP_SOURCE + 16), answer);
  return frame;
}

/**
 * Announces that IPv6 address `ip` is at `mac` (RFC 4861 §7.2.6), to all nodes or to `to` alone: a multicast packet in a
 * unicast frame is allowed (RFC 6085 §3). `vlan` 0-4095 tags it.
 */
export function buildUnsolicitedAdvertisement(ip: IpAddress, mac: MacAddress, to?: MacAddress, vlan?: number): Uint8Array {
  const sender = macToBytes(mac);
  const receiver = to === undefined ? ALL_NODES_MAC : macToBytes(to);
  const frame = newFrame(receiver, sender, vlan ?? -1, ETHERTYPE_IPV6, IPV6_HEADER_BYTES + ADVERTISEMENT_BYTES);
  writeAdvertisement(frame, OVERRIDE, ipToBytes(ip), ALL_NODES, sender);
  return frame;
}
