// Work that a sender left to hardware which was never passed: checksums that were only begun, and TCP in one piece.
//
// A kernel VXLAN device on a virtual link (veth, a container, a VM of the same machine) does not finish what a real NIC
// would: the datagram reaches our socket with an inner checksum field that holds the sum of the pseudo header alone
// (CHECKSUM_PARTIAL), and with an inner TCP segment of up to 64 KiB (TSO). Passed on as they are, the first are dropped by
// the receiver as damaged, and the second do not fit any link behind it.
import { addWords, checksumOf, foldSum } from './checksum.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN } from './ethernet.ts';

const TCP = 6;
const UDP = 17;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const FIN_PSH = 0x09;
const CWR = 0x80;
/** Ethernet and VLAN tag, the longest IPv4 header, the longest TCP header. */
const MAX_HEADER_BYTES = 18 + 60 + 60;

/** Where the TCP or UDP of a frame is. Offsets are absolute. Reused from frame to frame. */
export interface TransportView {
  family: 4 | 6;
  ipAt: number;
  at: number;
  /** Header and payload, by the IP header: without padding. */
  length: number;
  protocol: number;
  checksumAt: number;
}
export const newTransportView = (): TransportView => ({ family: 4, ipAt: 0, at: 0, length: 0, protocol: 0, checksumAt: 0 });

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);

/** HOT: per frame. False for everything but whole, unfragmented TCP or UDP right behind IPv4 or IPv6. Total over any bytes. */
export function findTransport(bytes: Uint8Array, at: number, length: number, view: TransportView): boolean {
  if (length < 18) return false;
  const tagged = u16(bytes, at + 12) === ETHERTYPE_VLAN;
  const type = tagged ? u16(bytes, at + 16) : u16(bytes, at + 12);
  const ip = at + (tagged ? 18 : 14);
  const left = at + length - ip;
  if (type === ETHERTYPE_IPV4) {
    if (left < 20) return false;
    const header = ((bytes[ip] as number) & 15) * 4;
    const total = u16(bytes, ip + 2);
    // More fragments, or an offset: the transport header is elsewhere, or covers more than is here.
    if ((bytes[ip] as number) >> 4 !== 4 || header < 20 || total < header || total > left || (u16(bytes, ip + 6) & 0x3fff) !== 0) return false;
    return placeTransport(bytes, view, 4, ip, ip + header, total - header, bytes[ip + 9] as number);
  }
  if (type !== ETHERTYPE_IPV6 || left < 40) return false;
  const payload = u16(bytes, ip + 4);
  if ((bytes[ip] as number) >> 4 !== 6 || payload > left - 40) return false;
  return placeTransport(bytes, view, 6, ip, ip + 40, payload, bytes[ip + 6] as number);
}

function placeTransport(bytes: Uint8Array, view: TransportView, family: 4 | 6, ipAt: number, at: number, length: number, protocol: number): boolean {
  if (protocol !== TCP && protocol !== UDP) return false;
  if (length < (protocol === TCP ? 20 : 8)) return false;
  if (protocol === TCP && (((bytes[at + 12] as number) >> 4) * 4 < 20 || ((bytes[at + 12] as number) >> 4) * 4 > length)) return false;
  view.family = family;
  view.ipAt = ipAt;
  view.at = at;
  view.length = length;
  view.protocol = protocol;
  view.checksumAt = at + (protocol === TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
  return true;
}

/** The folded sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1) for `length` bytes of transport. */
function pseudoSum(bytes: Uint8Array, family: 4 | 6, ipAt: number, protocol: number, length: number): number {
  const addresses = family === 4 ? addWords(bytes, ipAt + 12, 8) : addWords(bytes, ipAt + 8, 32);
  return foldSum(addresses + length + protocol);
}

/**
 * HOT: per frame. Does the checksum field hold the sum of the pseudo header and nothing more? One finished checksum in 65536
 * looks like that too; complete() is harmless for it only when it is then found to be finished, so it is checked there.
 */
export const looksPartial = (bytes: Uint8Array, view: TransportView): boolean =>
  u16(bytes, view.checksumAt) === pseudoSum(bytes, view.family, view.ipAt, view.protocol, view.length) &&
  !(view.protocol === UDP && u16(bytes, view.checksumAt) === 0);

/** Finishes a checksum that looksPartial(); one that turns out to be right as it stands is left alone. */
export function completeChecksum(bytes: Uint8Array, view: TransportView): void {
  const begun = u16(bytes, view.checksumAt);
  const sum = addWords(bytes, view.at, view.length);
  // Over transport and pseudo header together a finished checksum gives all ones.
  if (foldSum(sum + begun) === 0xffff) return;
  writeChecksum(bytes, view, sum);
}

function writeChecksum(bytes: Uint8Array, view: TransportView, sum: number): void {
  const checksum = checksumOf(sum);
  // Zero means "none" in UDP (RFC 768), and is the same number as all ones.
  const written = checksum === 0 && view.protocol === UDP ? 0xffff : checksum;
  bytes[view.checksumAt] = written >> 8;
  bytes[view.checksumAt + 1] = written;
}

/**
 * Cuts a TCP frame of any size into frames whose IP packets have at most `mtu` bytes, as a NIC does with TSO. In place: the
 * header of a segment overwrites the end of the payload of the one before, so each has to be gone before the next is made.
 */
export class TcpSegmenter {
  readonly #view = newTransportView();
  readonly #header = new Uint8Array(MAX_HEADER_BYTES);
  #headerBytes = 0;
  #payloadAt = 0;
  #payloadBytes = 0;
  #mss = 0;
  /** Where the frame made by segment() is. */
  at = 0;
  length = 0;

  /** Number of segments; 0 when this is no TCP frame or its headers leave no room in `mtu`. */
  begin(bytes: Uint8Array, at: number, length: number, mtu: number): number {
    const view = this.#view;
    if (!findTransport(bytes, at, length, view) || view.protocol !== TCP) return 0;
    const tcpHeader = ((bytes[view.at + 12] as number) >> 4) * 4;
    this.#payloadAt = view.at + tcpHeader;
    this.#headerBytes = this.#payloadAt - at;
    this.#payloadBytes = view.length - tcpHeader;
    this.#mss = mtu - (this.#payloadAt - view.ipAt);
    if (this.#mss <= 0 || this.#payloadBytes === 0) return 0;
    for (let i = 0; i < this.#headerBytes; i++) this.#header[i] = bytes[at + i] as number;
    return Math.ceil(this.#payloadBytes / this.#mss);
  }

  /** Makes segment `index`; they have to be made in order, from 0. */
  segment(bytes: Uint8Array, index: number): void {
    const skipped = index * this.#mss;
    const payload = Math.min(this.#mss, this.#payloadBytes - skipped);
    const at = this.#payloadAt + skipped - this.#headerBytes;
    for (let i = 0; i < this.#headerBytes; i++) bytes[at + i] = this.#header[i] as number;
    this.at = at;
    this.length = this.#headerBytes + payload;
    this.#patchIp(bytes, at, index, payload);
    this.#patchTcp(bytes, at, skipped, skipped + payload === this.#payloadBytes);
  }

  #patchIp(bytes: Uint8Array, at: number, index: number, payload: number): void {
    const { family, ipAt } = this.#view;
    const origin = this.#payloadAt - this.#headerBytes;
    const ip = at + (ipAt - origin);
    const afterIp = this.#payloadAt - this.#view.at + payload;
    if (family === 6) return put16(bytes, ip + 4, afterIp);
    put16(bytes, ip + 2, this.#view.at - ipAt + afterIp);
    put16(bytes, ip + 4, (u16(this.#header, ipAt - origin + 4) + index) & 0xffff);
    put16(bytes, ip + 10, 0);
    put16(bytes, ip + 10, checksumOf(addWords(bytes, ip, this.#view.at - ipAt)));
  }

  #patchTcp(bytes: Uint8Array, at: number, skipped: number, isLast: boolean): void {
    const origin = this.#payloadAt - this.#headerBytes;
    const moved = at - origin;
    const tcp = this.#view.at + moved;
    const sequence = (((u16(bytes, tcp + 4) << 16) | u16(bytes, tcp + 6)) + skipped) >>> 0;
    put16(bytes, tcp + 4, sequence >>> 16);
    put16(bytes, tcp + 6, sequence & 0xffff);
    let flags = bytes[tcp + 13] as number;
    if (!isLast) flags &= ~FIN_PSH;
    if (skipped > 0) flags &= ~CWR;
    bytes[tcp + 13] = flags;
    const length = at + this.length - tcp;
    put16(bytes, tcp + TCP_CHECKSUM, 0);
    // The view is of the first segment, whose addresses may be overwritten by now; those of this one are the same.
    const pseudo = pseudoSum(bytes, this.#view.family, this.#view.ipAt + moved, TCP, length);
    put16(bytes, tcp + TCP_CHECKSUM, checksumOf(addWords(bytes, tcp, length) + pseudo));
  }
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}
