// Frames to numbered targets from the namespace of a VNIC: number N is the overlay address 10.128.0.0 + N, whose MAC address is 02:00:5e and N.
import { type PacketIo, SEND, SEND_WORDS } from '@overlayadm/packetio';

export const BATCH = 64;
export const STRIDE = 256;
const PAYLOAD_BYTES = 32;
const TARGET_PORT = 9;
/** For room in the socket, ms. */
const SEND_WAIT_MS = 10;
export const BUFFER_BYTES = 8 * 1024 * 1024;

export const ip4 = (text: string): Uint8Array => Uint8Array.from(text.split('.').map(Number));

export class TargetSender {
  readonly #io: PacketIo;
  readonly #sockets: Int32Array;
  readonly #arena = new Uint8Array(BATCH * STRIDE);
  readonly #table = new Uint32Array(BATCH * SEND_WORDS);
  readonly #address = new Uint8Array(this.#table.buffer);

  constructor(io: PacketIo, source: string) {
    this.#io = io;
    const options = { family: 4, port: 0, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES, sendOnly: false } as const;
    this.#sockets = Int32Array.of(io.openUdp({ ...options, address: ip4(source) }));
  }

  /** One frame to each of `count` targets, at most BATCH; how many were sent. */
  send(first: number, count: number): number {
    for (let row = 0; row < count; row++) this.#aim(row, first + row);
    return this.#io.send(this.#sockets, this.#arena, this.#table, count, SEND_WAIT_MS);
  }

  #aim(row: number, number: number): void {
    const at = row * SEND_WORDS;
    this.#table[at + SEND.length] = PAYLOAD_BYTES;
    this.#table[at + SEND.family] = 4;
    this.#table[at + SEND.port] = TARGET_PORT;
    this.#address.set([10, 128 | (number >>> 16), number >>> 8, number], 4 * (at + SEND.address));
  }
}
