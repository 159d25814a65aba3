// Frames on their way to the underlay through one mux: rows of a send table, handed to the kernel a batch at a time.
import type { HeaderFormat } from '@overlayadm/api';
import { type PacketIo, SEND, SEND_WORDS } from '@overlayadm/packetio';
import { MAX_BATCH_FRAMES, MAX_SEND_WAIT_MS } from '../util/limits.ts';
import { flowHash } from '../wire/flow-hash.ts';
import { writeEntropy } from '../wire/header-format.ts';
import type { Counters, PortCounter } from './counters.ts';

const ERRNO_AGAIN = 11;
const ERRNO_NO_BUFFERS = 105;
const ERRNO_MESSAGE_SIZE = 90;

/** Where frames are, and who moves them: shared by everything in one engine. */
export interface Wire {
  readonly io: Pick<PacketIo, 'readTap' | 'receive' | 'send' | 'socketDrops' | 'writeTaps'>;
  readonly arena: Uint8Array;
}

/** Whose frames they are: an overlay's port. */
export interface FrameOwner {
  /** The header to put before a frame, compiled. */
  readonly header: Uint8Array;
  /** Where in the header the flow's hash goes; undefined when the source port carries it. */
  readonly entropy: HeaderFormat['entropy'] | undefined;
  readonly counters: Counters<PortCounter>;
  countSent(length: number): void;
  countUnsent(length: number): void;
  /** A frame did not fit the path; the destination stands in `table` as the send row has it. */
  tooBig(table: Uint32Array, row: number, length: number, now: number): void;
}

export class Sender {
  readonly #wire: Wire;
  readonly #sockets: Int32Array;
  readonly #table = new Uint32Array(SEND_WORDS * MAX_BATCH_FRAMES);
  /** Row by row, whose frame it is. */
  readonly #owners: (FrameOwner | undefined)[] = new Array(MAX_BATCH_FRAMES).fill(undefined);
  #count = 0;

  constructor(wire: Wire, sockets: readonly number[]) {
    this.#wire = wire;
    this.#sockets = Int32Array.from(sockets);
  }

  get isFull(): boolean {
    return this.#count === MAX_BATCH_FRAMES;
  }

  /**
   * HOT: per frame. Puts the header of `port` before the frame at `at` (the room is there) and adds a row. The frame must
   * stay where it is until flush(); the caller flushes when isFull. `addressAt` is the first of four words in `addresses`.
   */
  add(port: FrameOwner, at: number, length: number, family: number, udpPort: number, addresses: Uint32Array, addressAt: number): void {
    const arena = this.#wire.arena;
    const header = port.header;
    const start = at - header.length;
    for (let i = 0; i < header.length; i++) arena[start + i] = header[i] as number;
    const hash = flowHash(arena, at, length);
    if (port.entropy !== undefined) writeEntropy(port.entropy, arena, start, hash);
    const table = this.#table;
    const row = this.#count * SEND_WORDS;
    table[row + SEND.offset] = start;
    table[row + SEND.length] = length + header.length;
    table[row + SEND.socket] = hash % this.#sockets.length;
    table[row + SEND.family] = family;
    table[row + SEND.port] = udpPort;
    for (let i = 0; i < 4; i++) table[row + SEND.address + i] = addresses[addressAt + i] as number;
    this.#owners[this.#count] = port;
    this.#count++;
    port.countSent(length);
  }

  // HOT: per batch.
  flush(now: number): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    const { io, arena } = this.#wire;
    if (io.send(this.#sockets, arena, this.#table, count, MAX_SEND_WAIT_MS) < count) this.#reportFailures(count, now);
  }

  #reportFailures(count: number, now: number): void {
    for (let i = 0; i < count; i++) {
      const row = i * SEND_WORDS;
      const errno = this.#table[row + SEND.errno] as number;
      if (errno === 0) continue;
      const port = this.#owners[i] as FrameOwner;
      const length = this.#table[row + SEND.length] as number;
      port.countUnsent(length - port.header.length);
      if (errno === ERRNO_MESSAGE_SIZE) port.tooBig(this.#table, row, length, now);
      else port.counters.count(errno === ERRNO_AGAIN || errno === ERRNO_NO_BUFFERS ? 'send.congested' : 'send.failed');
    }
  }
}
