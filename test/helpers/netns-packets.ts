// Packets that no program of the host would send: built byte by byte for packet sockets and VXLAN datagrams.
import { ipToBytes, type MacAddress, macToBytes } from '@overlayadm/api';
import { addPseudoHeader, addWords, checksumOf } from '../../src/core/wire/checksum.ts';
import { ipOf } from './frames.ts';

const ICMPV6 = 58;
const UDP = 17;
const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];

const ethernet = (to: MacAddress, from: MacAddress, etherType: number, payload: readonly number[]): Uint8Array =>
  Uint8Array.of(...macToBytes(to), ...macToBytes(from), ...u16(etherType), ...payload);

const bytesOf = (ip: string): readonly number[] => [...ipToBytes(ipOf(ip))];

function icmpv6(from: string, to: string, message: readonly number[]): number[] {
  const packet = [0x60, 0, 0, 0, ...u16(message.length), ICMPV6, 255, ...bytesOf(from), ...bytesOf(to), ...message];
  const bytes = Uint8Array.from(packet);
  const sum = checksumOf(addPseudoHeader(bytes, 0, message.length, ICMPV6) + addWords(bytes, 40, message.length));
  return packet.with(42, sum >> 8).with(43, sum & 0xff);
}

/** Where a solicitation for this address goes: ff02::1:ffXX:XXXX and its MAC (RFC 4291 §2.7.1, RFC 2464 §7). */
function solicited(target: string): { readonly mac: MacAddress; readonly ip: string } {
  const [x, y, z] = bytesOf(target).slice(-3) as [number, number, number];
  const two = (value: number): string => value.toString(16).padStart(2, '0');
  return { mac: `33:33:ff:${two(x)}:${two(y)}:${two(z)}` as MacAddress, ip: `ff02::1:ff${two(x)}:${two(y)}${two(z)}` };
}

/** RFC 4861 §4.3; from `::` it is duplicate address detection and has no source option (RFC 4862 §5.4.2). */
export function neighbourSolicitation(mac: MacAddress, from: string, target: string): Uint8Array {
  const option = from === '::' ? [] : [1, 1, ...macToBytes(mac)];
  const to = solicited(target);
  return ethernet(to.mac, mac, 0x86dd, icmpv6(from, to.ip, [135, 0, 0, 0, 0, 0, 0, 0, ...bytesOf(target), ...option]));
}

/** RFC 4861 §4.2 with `prefix`/64 on link and autonomous: a host that hears it makes itself an address and a default route. */
export function routerAdvertisement(mac: MacAddress, from: string, prefix: string): Uint8Array {
  const lifetime = [0, 1, 0x51, 0x80];
  const option = [3, 4, 64, 0xc0, ...lifetime, ...lifetime, 0, 0, 0, 0, ...bytesOf(prefix)];
  const message = [134, 0, 0, 0, 64, 0, ...u16(1800), 0, 0, 0, 0, 0, 0, 0, 0, ...option];
  return ethernet('33:33:00:00:00:01' as MacAddress, mac, 0x86dd, icmpv6(from, 'ff02::1', message));
}

/** A UDP datagram over IPv4 without a UDP checksum. */
export function udp4(to: MacAddress, mac: MacAddress, from: string, ip: string, port: number, text: string): Uint8Array {
  const data = [...new TextEncoder().encode(text)];
  const header = [0x45, 0, ...u16(28 + data.length), 0, 0, 0, 0, 64, UDP, 0, 0, ...bytesOf(from), ...bytesOf(ip)];
  const sum = checksumOf(addWords(Uint8Array.from(header), 0, header.length));
  const udp = [...u16(4660), ...u16(port), ...u16(8 + data.length), 0, 0, ...data];
  return ethernet(to, mac, 0x0800, [...header.with(10, sum >> 8).with(11, sum & 0xff), ...udp]);
}

/** RFC 7348 §5. */
export const vxlan = (vnetid: number, frame: Uint8Array): Uint8Array =>
  Uint8Array.of(8, 0, 0, 0, (vnetid >> 16) & 0xff, (vnetid >> 8) & 0xff, vnetid & 0xff, 0, ...frame);
