// Descriptor tables full of rubbish: a row is refused before anything moves, or does what it says, and no byte outside is touched.
import { afterEach, describe, expect, it } from 'vitest';
import { FRAME_WORDS, SEND, SEND_WORDS } from '../src/index.ts';
import { freePort, loadTested, openLoopback, sendErrors, sendTable, thrownBy } from './support.ts';

const io = loadTested();
const opened: number[] = [];
afterEach(() => {
  for (const fd of opened.splice(0)) io.close(fd);
});

const ROUNDS = 4000;
const ROWS = 8;
const ARENA_BYTES = 4096;
const GUARD_BYTES = 512;
const CORNERS = [0, 1, 3, 4, 5, 6, 7, 8, 64, 4095, 4096, 4097, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_f001, 0xffff_ffff];

/** The same numbers in every run (xorshift32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The arena is the middle of its memory. */
function guardedArena() {
  const memory = new Uint8Array(ARENA_BYTES + 2 * GUARD_BYTES).fill(0xa5);
  const arena = memory.subarray(GUARD_BYTES, GUARD_BYTES + ARENA_BYTES);
  const isIntact = (): boolean =>
    memory.subarray(0, GUARD_BYTES).every((byte) => byte === 0xa5) && memory.subarray(GUARD_BYTES + ARENA_BYTES).every((byte) => byte === 0xa5);
  return { arena, isIntact };
}

async function sockets() {
  const port = await freePort();
  const receiver = openLoopback(io, port);
  const sender = openLoopback(io, 0, { sendOnly: true });
  opened.push(receiver, sender);
  return { port, receiver, sender, list: Int32Array.of(sender) };
}

const isRefusal = (error: unknown): boolean => error instanceof RangeError || error instanceof TypeError;

describe('hostile tables', () => {
  it('send() refuses a table with a wrong row whole, and answers every row of any other', async () => {
    const { port, receiver, list } = await sockets();
    const { arena, isIntact } = guardedArena();
    const below = numbers(1);
    let refused = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const rows = Array.from({ length: ROWS }, () => ({ offset: below(ARENA_BYTES - 64), length: below(64), port }));
      const table = sendTable(rows);
      for (let left = below(3); left > 0; left--) table[below(table.length)] = CORNERS[below(CORNERS.length)] as number;
      const before = table.slice();
      const error = thrownBy(() => io.send(list, arena, table, ROWS, 0));
      if (error === undefined) expect(sendErrors(table)).not.toContain(9999);
      else {
        expect(isRefusal(error)).toBe(true);
        expect(table).toEqual(before);
        refused++;
      }
      io.receive(receiver, arena, new Uint32Array(ROWS * FRAME_WORDS), 0, 256, ROWS);
    }
    expect(refused).toBeGreaterThan(ROUNDS / 10);
    expect(refused).toBeLessThan(ROUNDS);
    expect(isIntact()).toBe(true);
  });

  it('receive() takes any place and size for its slots, and writes nowhere else', async () => {
    const { port, receiver, list } = await sockets();
    const { arena, isIntact } = guardedArena();
    const below = numbers(2);
    const table = sendTable([{ offset: 0, length: 900, port }]);
    for (let round = 0; round < ROUNDS; round++) {
      table[SEND.length] = below(1400);
      io.send(list, arena, table.subarray(0, SEND_WORDS), 1, 0);
      const [start, stride, max] = [0, 0, 0].map(() => (below(2) === 0 ? below(1500) : (CORNERS[below(CORNERS.length)] as number)));
      const frames = new Uint32Array(ROWS * FRAME_WORDS);
      const error = thrownBy(() => io.receive(receiver, arena, frames, start as number, stride as number, max as number));
      if (error !== undefined) expect(isRefusal(error)).toBe(true);
      io.receive(receiver, arena, frames, 0, 512, ROWS);
    }
    expect(isIntact()).toBe(true);
  });

  it('writeTaps() refuses rows outside of the arena, and says what a descriptor that is no TAP says', async () => {
    const { receiver } = await sockets();
    const { arena, isIntact } = guardedArena();
    const below = numbers(3);
    for (let round = 0; round < ROUNDS; round++) {
      const table = Uint32Array.from(
        Array.from({ length: ROWS }, () => [
          CORNERS[below(CORNERS.length)] as number,
          CORNERS[below(CORNERS.length)] as number,
          receiver,
          9999,
        ]).flat(),
      );
      const error = thrownBy(() => io.writeTaps(arena, table, below(ROWS + 2)));
      if (error !== undefined) expect(isRefusal(error)).toBe(true);
    }
    expect(isIntact()).toBe(true);
  });
});
