// Frames for the tests of wire and proxy, built by hand from the RFCs and not with the code under test.

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Bytes from hexadecimal text; blanks are for the reader. */
export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));

/** RFC 1071 as its own words have it: 16-bit words, end-around carry after every addition. Shares nothing with src. */
export function naiveChecksum(data: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) {
    sum += Number(`0x${[data[i], data[i + 1] ?? 0].map((byte) => (byte as number).toString(16).padStart(2, '0')).join('')}`);
    if (sum > 65535) sum -= 65535;
  }
  return 65535 - sum;
}

/** Checksum of the ICMPv6 message of `length` bytes behind the IPv6 header at `ip`, its own field taken as zero. */
export function naiveIcmpv6(frame: Uint8Array, ip: number, length: number): number {
  const message = [...frame.subarray(ip + 40, ip + 40 + length)];
  message[2] = 0;
  message[3] = 0;
  return naiveChecksum([...frame.subarray(ip + 8, ip + 40), 0, 0, length >> 8, length & 255, 0, 0, 0, 58, ...message]);
}

export const ASKER = '020820000001';
export const ANSWER = '020820000002';
export const TAG = '8100 6064';

/** Who has 10.0.0.2? Tell 10.0.0.1. */
export const arpRequest = (tag = ''): Uint8Array =>
  bytes(`ffffffffffff ${ASKER} ${tag} 0806  0001 0800 06 04 0001  ${ASKER} 0a000001  000000000000 0a000002`);

export interface SolicitationParts {
  readonly tag?: string;
  readonly to?: string;
  readonly hopLimit?: string;
  readonly next?: string;
  readonly source?: string;
  readonly destination?: string;
  readonly type?: string;
  readonly code?: string;
  readonly target?: string;
  readonly options?: string;
  /** Payload length of the IPv6 header; the true one without it. */
  readonly length?: number;
  readonly checksum?: number;
  readonly trailer?: string;
}

export const FE80_1 = 'fe80000000000000 0000000000000001';
export const FE80_2 = 'fe80000000000000 0000000000000002';
export const SOLICITED_NODE_2 = 'ff02000000000000 00000001ff000002';

/** fe80::1 asks for the MAC of fe80::2, with the checksum of the naive implementation unless one is given. */
export function solicitation(parts: SolicitationParts = {}): Uint8Array {
  const { tag = '', to = '3333ff000002', hopLimit = 'ff', next = '3a', source = FE80_1, destination = SOLICITED_NODE_2 } = parts;
  const { type = '87', code = '00', target = FE80_2, options = `0101${ASKER}`, trailer = '' } = parts;
  const message = bytes(`${type} ${code} 0000 00000000 ${target} ${options}`);
  const length = parts.length ?? message.length;
  const head = bytes(`${to} ${ASKER} ${tag} 86dd  60000000 ${length.toString(16).padStart(4, '0')} ${next} ${hopLimit} ${source} ${destination}`);
  const frame = Uint8Array.from([...head, ...message, ...bytes(trailer)]);
  const checksum = parts.checksum ?? naiveIcmpv6(frame, head.length - 40, Math.min(length, frame.length - head.length));
  frame.set([checksum >> 8, checksum & 255], head.length + 2);
  return frame;
}

export interface DiscoverParts {
  readonly tag?: string;
  readonly to?: string;
  /** Extra IPv4 header words, for options. */
  readonly ipOptions?: string;
  readonly fragment?: string;
  readonly protocol?: string;
  readonly ports?: string;
  readonly op?: string;
  readonly flags?: string;
  readonly cookie?: string;
  readonly totalLength?: number;
  readonly udpLength?: number;
}

export const CLIENT = '0208200000aa';

/** DHCPDISCOVER with the smallest body: 236 bytes, the cookie, message type and end. */
export function discover(parts: DiscoverParts = {}): Uint8Array {
  const { tag = '', to = 'ffffffffffff', ipOptions = '', fragment = '0000', protocol = '11', ports = '0044 0043' } = parts;
  const { op = '01', flags = '8000', cookie = '63825363' } = parts;
  const bootp = bytes(`${op} 01 06 00 12345678 0000 ${flags} ${'00'.repeat(16)} ${CLIENT} ${'00'.repeat(10 + 64 + 128)} ${cookie} 350101 ff`);
  const options = bytes(ipOptions);
  const ihl = 5 + options.length / 4;
  const word = (value: number): string => value.toString(16).padStart(4, '0');
  const udpLength = parts.udpLength ?? 8 + bootp.length;
  const total = parts.totalLength ?? ihl * 4 + 8 + bootp.length;
  const head = `${to} ${ASKER} ${tag} 0800  4${ihl.toString(16)} 00 ${word(total)} 0001 ${fragment} 40 ${protocol} 0000 00000000 ffffffff`;
  return Uint8Array.from([...bytes(head), ...options, ...bytes(`${ports} ${word(udpLength)} 0000`), ...bootp]);
}
