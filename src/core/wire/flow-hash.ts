// A hash of the inner flow, so that the underlay can spread flows over paths without reordering any (RFC 7348 §5).

const TCP = 6;
const UDP = 17;
const SCTP = 132;

/** One round of MurmurHash3 (x86, 32 bits; public domain). */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Its last step: every bit of the input reaches the low bits, which choose the socket. */
function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  // 31 bits: V8 keeps such a number in the reference itself; a larger one would be allocated for every packet.
  return (h ^ (h >>> 16)) >>> 1;
}

/** Four bytes; what lies outside of `bytes` counts as zero. */
function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}

function words(hash: number, bytes: Uint8Array, at: number, count: number): number {
  let h = hash;
  for (let i = 0; i < count; i++) h = mix(h, word(bytes, at + 4 * i));
  return h;
}

const hasPorts = (protocol: number): boolean => protocol === TCP || protocol === UDP || protocol === SCTP;

/**
 * HOT: per packet. 0 to 2^31-1, equal for all frames of one flow: addresses, protocol and ports of IPv4 or IPv6 behind at
 * most one VLAN tag, else the two MACs. All fragments of a datagram hash alike, because none of them takes the ports in.
 * Total over any bytes; allocates nothing.
 */
export function flowHash(bytes: Uint8Array, at: number, length: number): number {
  if (length < 14) return 0;
  const end = at + length;
  let type = ((bytes[at + 12] as number) << 8) | (bytes[at + 13] as number);
  let ip = at + 14;
  if (type === 0x8100 && length >= 18) {
    type = ((bytes[at + 16] as number) << 8) | (bytes[at + 17] as number);
    ip = at + 18;
  }
  if (type === 0x0800 && ip + 20 <= end) return hash4(bytes, ip, end);
  if (type === 0x86dd && ip + 40 <= end) return hash6(bytes, ip, end);
  return finish(words(0, bytes, at, 3));
}

function hash4(bytes: Uint8Array, ip: number, end: number): number {
  const protocol = bytes[ip + 9] as number;
  const h = words(mix(4, protocol), bytes, ip + 12, 2);
  const header = ((bytes[ip] as number) & 0x0f) * 4;
  const fragment = (((bytes[ip + 6] as number) & 0x3f) | (bytes[ip + 7] as number)) !== 0;
  const ports = ip + header;
  if (fragment || header < 20 || !hasPorts(protocol) || ports + 4 > end) return finish(h);
  return finish(mix(h, word(bytes, ports)));
}

function hash6(bytes: Uint8Array, ip: number, end: number): number {
  // An extension header, a fragment's too, is taken as the protocol: still the same for every frame of the flow.
  const protocol = bytes[ip + 6] as number;
  const h = words(mix(6, protocol), bytes, ip + 8, 8);
  if (!hasPorts(protocol) || ip + 44 > end) return finish(h);
  return finish(mix(h, word(bytes, ip + 40)));
}
