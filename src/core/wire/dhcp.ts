// DHCPv4 (RFC 2131): which broadcasts of a client are redirected to a server, and which of a server to a client.
import { readU16 } from './bits.ts';
import { ETHERTYPE_IPV4, type FrameView, isBroadcast } from './ethernet.ts';

const IPV4_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;
const UDP = 17;
const CLIENT_PORT = 68;
const SERVER_PORT = 67;
/** The fixed part of BOOTP (RFC 951 §3) with its 64 vendor bytes replaced by the magic cookie of RFC 2131 §3. */
const BOOTP_FIXED_BYTES = 236;
const MAGIC_COOKIE = [0x63, 0x82, 0x53, 0x63];
const SMALLEST_BYTES = BOOTP_FIXED_BYTES + MAGIC_COOKIE.length;
const BOOTREQUEST = 1;
const BOOTREPLY = 2;
/** Offset of the client's MAC (chaddr) in the BOOTP message. */
export const DHCP_CLIENT_MAC = 28;
const BOOTP_FLAGS = 10;

/**
 * Offset of the BOOTP message when the frame in `view` is a client's broadcast to a server, else -1. The rules of illumos
 * libvarpd_arp.c (proxy_dhcp), with its protocol test put right and without its demand for 300 bytes, which RFC 2131 does
 * not make.
 */
export const parseDhcpRequest = (bytes: Uint8Array, view: FrameView): number => parseBootp(bytes, view, CLIENT_PORT, SERVER_PORT, BOOTREQUEST);

/**
 * The same for a server's broadcast to a client that has asked for one (RFC 2131 §4.1). Ours: illumos drops it, and such a
 * client never gets its address.
 */
export const parseDhcpReply = (bytes: Uint8Array, view: FrameView): number => parseBootp(bytes, view, SERVER_PORT, CLIENT_PORT, BOOTREPLY);

function parseBootp(bytes: Uint8Array, view: FrameView, from: number, to: number, operation: number): number {
  const ip = view.payloadAt;
  if (view.etherType !== ETHERTYPE_IPV4 || view.payloadLength < IPV4_HEADER_BYTES || !isBroadcast(bytes, view.to)) return -1;
  const ipHeader = ((bytes[ip] as number) & 0x0f) * 4;
  const total = readU16(bytes, ip + 2);
  if ((bytes[ip] as number) >>> 4 !== 4 || ipHeader < IPV4_HEADER_BYTES || total > view.payloadLength) return -1;
  // More fragments, or an offset: a part of a datagram is never looked into.
  if ((readU16(bytes, ip + 6) & 0x3fff) !== 0 || bytes[ip + 9] !== UDP || total < ipHeader + UDP_HEADER_BYTES) return -1;
  const udp = ip + ipHeader;
  const udpLength = readU16(bytes, udp + 4);
  if (readU16(bytes, udp) !== from || readU16(bytes, udp + 2) !== to) return -1;
  if (udpLength < UDP_HEADER_BYTES + SMALLEST_BYTES || udpLength > total - ipHeader) return -1;
  return bootpFits(bytes, udp + UDP_HEADER_BYTES, operation) ? udp + UDP_HEADER_BYTES : -1;
}

function bootpFits(bytes: Uint8Array, at: number, operation: number): boolean {
  if (bytes[at] !== operation || bytes[at + 1] !== 1 || bytes[at + 2] !== 6) return false;
  for (let i = 0; i < MAGIC_COOKIE.length; i++) if (bytes[at + BOOTP_FIXED_BYTES + i] !== MAGIC_COOKIE[i]) return false;
  return true;
}

/** Does the client of the BOOTP message at `bootpAt` ask for a broadcast answer (RFC 2131 §2, flag B)? */
export const wantsBroadcast = (bytes: Uint8Array, bootpAt: number): boolean => ((bytes[bootpAt + BOOTP_FLAGS] as number) & 0x80) !== 0;
