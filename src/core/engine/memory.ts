// The engine's one arena and how it is divided: incoming frames, slots for single frames, frames that wait.
import { HEADROOM_BYTES, MAX_BATCH_FRAMES, MAX_FRAME_BYTES, MISS_POOL_BYTES } from '../util/limits.ts';

const CACHE_LINE_BYTES = 64;
const roundUp = (bytes: number): number => Math.ceil(bytes / CACHE_LINE_BYTES) * CACHE_LINE_BYTES;

/**
 * A slot for one datagram: the largest that UDP carries (65507 bytes), because a sender on a virtual link may leave
 * segmentation undone (wire/offload.ts). No multiple of 4096: else the headers of a batch would all compete for the same
 * lines of the L1 cache. Memory is taken by what is used of it only.
 */
export const DATAGRAM_BYTES = 65_600;
const FRAMES_BYTES = DATAGRAM_BYTES * MAX_BATCH_FRAMES;
/** A slot for one frame of ours and its header. */
const SLOT_BYTES = roundUp(HEADROOM_BYTES + MAX_FRAME_BYTES);

const SLOTS_END = FRAMES_BYTES + SLOT_BYTES * MAX_BATCH_FRAMES;

export class Memory {
  readonly arena: Uint8Array;
  /** Where a batch is read to: frames from a TAP one behind the other, or datagrams in slots of DATAGRAM_BYTES. */
  readonly frames = { start: 0, end: FRAMES_BYTES } as const;
  /** Where frames wait. */
  readonly pool: Uint8Array;
  #slots = 0;

  constructor(poolBytes = MISS_POOL_BYTES) {
    this.arena = new Uint8Array(SLOTS_END + poolBytes);
    this.pool = this.arena.subarray(SLOTS_END);
  }

  get isSpent(): boolean {
    return this.#slots === MAX_BATCH_FRAMES;
  }

  /** Room for one frame of any size and its header; where the frame begins. Not to be called when isSpent. */
  slot(): number {
    return FRAMES_BYTES + this.#slots++ * SLOT_BYTES + HEADROOM_BYTES;
  }

  /** Nothing in a slot is needed any more. */
  freeSlots(): void {
    this.#slots = 0;
  }
}
