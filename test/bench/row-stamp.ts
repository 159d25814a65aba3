// The time that fixtures/instant/stamped.js has put into the destination of a row.
const PORT_BITS = 15;

/** The route of these destinations. */
export const STAMPED_NETWORK = '198.18.0.0/15';

/** Microseconds, modulo 2^32; process.hrtime is CLOCK_MONOTONIC, the same in every process. */
export const microseconds = (): number => Number((process.hrtime.bigint() / 1000n) & 0xffff_ffffn);

/** `address`: words of bytes in network order. */
export function readStamp(address: Uint32Array, port: number): number {
  const [, second = 0, third = 0, fourth = 0] = new Uint8Array(address.buffer, address.byteOffset, 4);
  const upper = ((second - 18) << 16) | (third << 8) | fourth;
  return ((upper << PORT_BITS) | (port & 0x7fff)) >>> 0;
}

export const since = (stamp: number, now: number): number => (now - stamp) >>> 0;
