// Memory for frames that wait: fixed blocks chained into first-in-first-out queues, so that what waits is bounded and its memory used again.

/** Bytes of a block: a full frame of the usual MTU takes three. */
const BLOCK_BYTES = 512;
/** A frame's first block begins with its length in bytes, so that no second table is needed. */
const LENGTH_BYTES = 4;
const NONE = -1;

/** One queue. Plain numbers, so that the owner may keep thousands of them in typed arrays. */
export interface FrameQueue {
  head: number;
  tail: number;
}
export const emptyQueue = (): FrameQueue => ({ head: NONE, tail: NONE });

/** A pool over `bytes` (memory of the engine's arena, borrowed for the life of the pool). */
export class FramePool {
  readonly #memory: Uint8Array;
  readonly #next: Int32Array;
  /** For the first block of a frame: the first block of the frame behind it. */
  readonly #nextFrame: Int32Array;
  #free: number;
  #freeBlocks: number;

  constructor(memory: Uint8Array) {
    const blocks = Math.floor(memory.length / BLOCK_BYTES);
    this.#memory = memory;
    this.#next = new Int32Array(blocks);
    this.#nextFrame = new Int32Array(blocks).fill(NONE);
    for (let block = 0; block < blocks; block++) this.#next[block] = block + 1 < blocks ? block + 1 : NONE;
    this.#free = blocks > 0 ? 0 : NONE;
    this.#freeBlocks = blocks;
  }

  get usedBlocks(): number {
    return this.#next.length - this.#freeBlocks;
  }

  hasRoom(length: number): boolean {
    return Math.ceil((length + LENGTH_BYTES) / BLOCK_BYTES) <= this.#freeBlocks;
  }

  /** Copies a frame to the end of the queue. False, and nothing is changed, when the pool has no room. */
  push(queue: FrameQueue, source: Uint8Array, at: number, length: number): boolean {
    const blocks = Math.ceil((length + LENGTH_BYTES) / BLOCK_BYTES);
    if (blocks > this.#freeBlocks) return false;
    const first = this.#take();
    this.#writeLength(first, length);
    let block = first;
    let from = at;
    let room = BLOCK_BYTES - LENGTH_BYTES;
    let to = first * BLOCK_BYTES + LENGTH_BYTES;
    for (let left = length; left > 0; ) {
      const part = Math.min(left, room);
      this.#memory.set(source.subarray(from, from + part), to);
      left -= part;
      from += part;
      if (left === 0) break;
      block = this.#chain(block);
      to = block * BLOCK_BYTES;
      room = BLOCK_BYTES;
    }
    this.#nextFrame[first] = NONE;
    if (queue.head === NONE) queue.head = first;
    else this.#nextFrame[queue.tail] = first;
    queue.tail = first;
    return true;
  }

  /** Takes the first frame off the queue into `target` at `at`; its length, or 0 when the queue is empty. The room must be there. */
  shift(queue: FrameQueue, target: Uint8Array, at: number): number {
    if (queue.head === NONE) return 0;
    const first = queue.head;
    const length = this.#readLength(first);
    let block = first;
    let from = first * BLOCK_BYTES + LENGTH_BYTES;
    let room = BLOCK_BYTES - LENGTH_BYTES;
    for (let done = 0; done < length; ) {
      const part = Math.min(length - done, room);
      target.set(this.#memory.subarray(from, from + part), at + done);
      done += part;
      if (done === length) break;
      block = this.#next[block] as number;
      from = block * BLOCK_BYTES;
      room = BLOCK_BYTES;
    }
    this.#unlink(queue, first);
    return length;
  }

  /** Takes the first frame off the queue unread; its length, or 0 when the queue is empty. */
  discard(queue: FrameQueue): number {
    if (queue.head === NONE) return 0;
    const first = queue.head;
    const length = this.#readLength(first);
    this.#unlink(queue, first);
    return length;
  }

  /** Copies up to `most` bytes of the first frame, which stays; how many. */
  peek(queue: FrameQueue, target: Uint8Array, at: number, most: number): number {
    if (queue.head === NONE) return 0;
    const length = Math.min(this.#readLength(queue.head), most, BLOCK_BYTES - LENGTH_BYTES);
    const from = queue.head * BLOCK_BYTES + LENGTH_BYTES;
    target.set(this.#memory.subarray(from, from + length), at);
    return length;
  }

  #unlink(queue: FrameQueue, first: number): void {
    queue.head = this.#nextFrame[first] as number;
    if (queue.head === NONE) queue.tail = NONE;
    for (let block = first; block !== NONE; ) {
      const next = this.#next[block] as number;
      this.#next[block] = this.#free;
      this.#free = block;
      this.#freeBlocks++;
      block = next;
    }
  }

  #take(): number {
    const block = this.#free;
    this.#free = this.#next[block] as number;
    this.#next[block] = NONE;
    this.#freeBlocks--;
    return block;
  }

  #chain(block: number): number {
    const next = this.#take();
    this.#next[block] = next;
    return next;
  }

  #writeLength(block: number, length: number): void {
    const at = block * BLOCK_BYTES;
    this.#memory[at] = length & 0xff;
    this.#memory[at + 1] = (length >> 8) & 0xff;
    this.#memory[at + 2] = (length >> 16) & 0xff;
    this.#memory[at + 3] = 0;
  }

  #readLength(block: number): number {
    const at = block * BLOCK_BYTES;
    return (this.#memory[at] as number) | ((this.#memory[at + 1] as number) << 8) | ((this.#memory[at + 2] as number) << 16);
  }
}
