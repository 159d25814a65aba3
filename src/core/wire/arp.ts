// ARP for IPv4 over Ethernet (RFC 826): which requests a proxy answers, and the answer.
import { type IpAddress, ipToBytes, type MacAddress, macToBytes } from '@overlayadm/api';
import { readU16, sameBytes, writeU16 } from './bits.ts';
import { ETHERTYPE_ARP, type FrameView, newFrame } from './ethernet.ts';

export const ARP_BYTES = 28;
const OP_REQUEST = 1;
const OP_REPLY = 2;
/** Offsets in the ARP packet. */
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
export const ARP_TARGET_IP = 24;
const BROADCAST = new Uint8Array(6).fill(0xff);

/**
 * Is the frame in `view` a request to answer (illumos libvarpd_arp.c, proxy_arp)? A gratuitous one, sender and target
 * being the same address, is not: an answer would look like a duplicate address. A probe, sender 0.0.0.0, is one.
 */
export function parseArpRequest(bytes: Uint8Array, view: FrameView): boolean {
  const at = view.payloadAt;
  return (
    view.etherType === ETHERTYPE_ARP &&
    view.payloadLength >= ARP_BYTES &&
    readU16(bytes, at) === 1 &&
    readU16(bytes, at + 2) === 0x0800 &&
    bytes[at + 4] === 6 &&
    bytes[at + 5] === 4 &&
    readU16(bytes, at + OPERATION) === OP_REQUEST &&
    !sameBytes(bytes, at + SENDER_IP, at + ARP_TARGET_IP, 4)
  );
}

function writeArp(frame: Uint8Array, operation: number): number {
  const at = frame.length - ARP_BYTES;
  // Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4.
  frame.set([0, 1, 0x08, 0, 6, 4], at);
  writeU16(frame, at + OPERATION, operation);
  return at;
}

/** The answer to the request in `view`: its target address is at `mac`. The VLAN tag is kept, padding of the request is not. */
export function buildArpReply(request: Uint8Array, view: FrameView, mac: MacAddress): Uint8Array {
  const answer = macToBytes(mac);
  const asker = request.subarray(view.from, view.from + 6);
  const from = request.subarray(view.payloadAt, view.payloadAt + ARP_BYTES);
  const reply = newFrame(asker, answer, view.tci, ETHERTYPE_ARP, ARP_BYTES);
  const at = writeArp(reply, OP_REPLY);
  reply.set(answer, at + SENDER_MAC);
  reply.set(from.subarray(ARP_TARGET_IP), at + SENDER_IP);
  reply.set(from.subarray(SENDER_MAC, TARGET_MAC), at + TARGET_MAC);
  return reply;
}

/**
 * Announces that IPv4 address `ip` is at `mac`, to everybody or to `to`: a request, as illumos inject_arp and RFC 5227 §3
 * have it. `vlan` 0-4095 tags it, with priority and DEI zero (differs: illumos sets the bit by mistake).
 */
export function buildGratuitousArp(ip: IpAddress, mac: MacAddress, to?: MacAddress, vlan?: number): Uint8Array {
  const sender = macToBytes(mac);
  const frame = newFrame(to === undefined ? BROADCAST : macToBytes(to), sender, vlan ?? -1, ETHERTYPE_ARP, ARP_BYTES);
  const at = writeArp(frame, OP_REQUEST);
  frame.set(sender, at + SENDER_MAC);
  frame.set(ipToBytes(ip), at + SENDER_IP);
  frame.set(BROADCAST, at + TARGET_MAC);
  frame.set(ipToBytes(ip), at + ARP_TARGET_IP);
  return frame;
}
