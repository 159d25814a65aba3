// Wrong arguments are refused, whatever they are, and no call writes outside what it was given.
import { closeSync, openSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FRAME_WORDS, type PacketIo, SEND, SEND_WORDS } from '../src/index.ts';
import { freePort, LOOPBACK_4, loadTested, openLoopback, sendTable, thrownBy } from './support.ts';

const io = loadTested();
const NO_FD = 0x7fff_fff0;

type Kind = 'number' | 'boolean' | 'bytes' | 'words' | 'ints' | 'text' | 'list' | 'options';
const bytes = (): Uint8Array => new Uint8Array(256);
const words = (): Uint32Array => new Uint32Array(64);
const signatures: readonly [name: keyof PacketIo, kinds: readonly Kind[], valid: () => unknown[]][] = [
  ['openTap', ['options'], () => [{ name: 'pio%d', exclusive: true }]],
  ['adoptTap', ['number'], () => [NO_FD]],
  ['setTapPersistent', ['number', 'boolean'], () => [NO_FD, true]],
  ['openUdp', ['options'], () => [{}]],
  ['udpAddress', ['number'], () => [NO_FD]],
  ['openNetlink', ['options'], () => [{}]],
  ['adopt', ['number'], () => [NO_FD]],
  ['passOn', ['number'], () => [NO_FD]],
  ['close', ['number'], () => [NO_FD]],
  ['pollAdd', ['number', 'number', 'number'], () => [NO_FD, NO_FD, 0]],
  ['pollRemove', ['number', 'number'], () => [NO_FD, NO_FD]],
  ['wait', ['number', 'words', 'number'], () => [NO_FD, words(), 0]],
  ['wake', ['number'], () => [NO_FD]],
  ['drainWake', ['number'], () => [NO_FD]],
  ['readTap', ['number', 'bytes', 'words', 'number', 'number', 'number', 'number', 'number'], () => [NO_FD, bytes(), words(), 0, 256, 16, 64, 2]],
  ['receive', ['number', 'bytes', 'words', 'number', 'number', 'number'], () => [NO_FD, bytes(), words(), 0, 64, 2]],
  ['socketDrops', ['number'], () => [NO_FD]],
  [
    'send',
    ['ints', 'bytes', 'words', 'number', 'number'],
    () => [Int32Array.of(NO_FD), bytes(), sendTable([{ offset: 0, length: 9, port: 1 }]), 1, 0],
  ],
  ['writeTaps', ['bytes', 'words', 'number'], () => [bytes(), words(), 0]],
  ['netlinkSend', ['number', 'bytes'], () => [NO_FD, bytes()]],
  ['netlinkReceive', ['number', 'bytes'], () => [NO_FD, bytes()]],
  ['bpfLoad', ['text', 'bytes'], () => ['test', bytes()]],
  ['bpfAttach', ['options'], () => [{}]],
  ['bpfAttached', ['options'], () => [{}]],
  ['peerCredentials', ['number'], () => [NO_FD]],
  ['lockFile', ['text'], () => ['/nowhere/lock']],
  ['setParentDeathSignal', ['number'], () => [0]],
  ['notify', ['text', 'text', 'list'], () => ['/nowhere/notify', 'READY=1', [0]]],
  ['notifyOver', ['number', 'text', 'list'], () => [NO_FD, 'READY=1', [0]]],
];

const wrongValues: readonly unknown[] = [null, {}, 1n, Symbol('x'), () => 0, new Float64Array(8), new ArrayBuffer(8), new Int8Array(8)];
/** Wrong for most, but not for all. */
const others: readonly unknown[] = [undefined, true, []];
const wrongFor: Record<Kind, readonly unknown[]> = {
  number: [...others, '7', new Uint8Array(8)],
  boolean: [undefined, [], 7, 'true'],
  bytes: [...others, 7, 'text', words(), new DataView(new ArrayBuffer(8)), new Uint8ClampedArray(8), new Uint8Array(new SharedArrayBuffer(256))],
  words: [...others, 7, bytes(), new Int32Array(8), new Uint32Array(new SharedArrayBuffer(256))],
  ints: [...others, 7, words(), new Int32Array(new SharedArrayBuffer(256))],
  text: [...others, 7, bytes()],
  // Without it there are none.
  list: [true, 7, 'text', ['7'], [undefined], new Int32Array(1)],
  options: [...others, 7, 'text'],
};
const call = (name: keyof PacketIo, given: unknown[]): unknown => Reflect.apply(io[name], io, given);

describe.each(signatures)('%s', (name, kinds, valid) => {
  test('refuses other types, and none', () => {
    expect(thrownBy(() => call(name, []))).toBeInstanceOf(TypeError);
    kinds.forEach((kind, index) => {
      for (const wrong of [...wrongValues, ...wrongFor[kind]]) {
        const error = thrownBy(() => call(name, valid().with(index, wrong)));
        expect(error, `argument ${index}`).toBeInstanceOf(TypeError);
        expect(error?.code).toBe('ERR_INVALID_ARG_TYPE');
      }
    });
  });
});

const withNumbers = signatures.filter(([, kinds]) => kinds.includes('number'));

describe.each(withNumbers)('%s', (name, kinds, valid) => {
  test('refuses numbers out of range', () => {
    kinds.forEach((kind, index) => {
      if (kind !== 'number') return;
      for (const wrong of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53, 1e300]) {
        const error = thrownBy(() => call(name, valid().with(index, wrong)));
        expect(error, `argument ${index} = ${wrong}`).toBeInstanceOf(RangeError);
        expect(error?.code).toBe('ERR_OUT_OF_RANGE');
      }
    });
  });
});

test('the addon has the functions of the interface and no others', () => {
  const known = [...signatures.map(([name]) => name), 'openWake', 'openPoll'];
  expect(Object.keys(io).sort()).toEqual(known.sort());
});

test('options: ranges, lengths, and what a getter throws', () => {
  const udp = { family: 4, address: LOOPBACK_4, port: 0, receiveBufferBytes: 4096, sendBufferBytes: 4096, sendOnly: false };
  const wrong: Record<string, unknown>[] = [
    { family: 5 },
    { family: 6 },
    { port: 65536 },
    { port: -1 },
    { address: new Uint8Array(3) },
    { receiveBufferBytes: 2 ** 31 },
  ];
  for (const part of wrong)
    expect(
      thrownBy(() => call('openUdp', [{ ...udp, ...part }])),
      JSON.stringify(part),
    ).toBeInstanceOf(RangeError);
  for (const name of ['', 'a234567890123456', 'pio%d', 'a\0b', 'ä'.repeat(8)]) {
    expect(
      thrownBy(() => io.openTap({ name, exclusive: true })),
      name,
    ).toBeInstanceOf(RangeError);
  }
  expect(thrownBy(() => io.openNetlink({ protocol: 0, groups: [0] }))).toBeInstanceOf(RangeError);
  expect(thrownBy(() => io.openNetlink({ protocol: 0, groups: Array.from({ length: 65 }, () => 1) }))).toBeInstanceOf(RangeError);
  expect(thrownBy(() => io.lockFile('a\0b'))).toBeInstanceOf(RangeError);
  for (const path of ['', 'relative', `/${'x'.repeat(108)}`]) expect(thrownBy(() => io.notify(path, 'READY=1'))).toBeInstanceOf(RangeError);
  const zeros = Array.from({ length: 254 }, () => 0);
  for (const [state, list] of [['x'.repeat(4096)], ['a\0b'], ['x', zeros], ['x', [-1]], ['x', [0.5]]] as const)
    expect(
      thrownBy(() => io.notifyOver(NO_FD, state, list)),
      `${state.length}`,
    ).toBeInstanceOf(RangeError);
  const own = new Error('own');
  const trap = {
    get protocol(): number {
      throw own;
    },
  };
  expect(thrownBy(() => io.openNetlink(trap))).toBe(own);
});

test('a detached arena has no room', () => {
  const arena = bytes();
  structuredClone(arena.buffer, { transfer: [arena.buffer as ArrayBuffer] });
  expect(thrownBy(() => io.receive(NO_FD, arena, words(), 0, 64, 1))).toBeInstanceOf(RangeError);
  expect(thrownBy(() => io.readTap(NO_FD, arena, words(), 0, 64, 0, 64, 1))).toBeInstanceOf(RangeError);
  expect(thrownBy(() => io.writeTaps(arena, Uint32Array.of(0, 1, NO_FD, 0), 1))).toBeInstanceOf(RangeError);
});

describe('batched calls with any numbers', () => {
  const BEFORE = 512;
  const CANARY = 0xa5;
  let zeros = -1;
  let sink = -1;
  let udp = -1;
  let port = 0;

  beforeAll(async () => {
    zeros = openSync('/dev/zero', 'r');
    sink = openSync('/dev/null', 'w');
    port = await freePort();
    udp = openLoopback(io, port);
  });
  afterAll(() => {
    closeSync(zeros);
    closeSync(sink);
    io.close(udp);
  });

  const edge = fc.oneof(fc.nat(300), fc.constantFrom(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 64, 2 ** 32 - 1));
  const number = fc.oneof(
    { weight: 4, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.oneof(edge, fc.double(), fc.constantFrom(-1, 2 ** 32, 2 ** 53)) },
  );
  const size = fc.nat(600);

  /** Runs a call on an arena and a table in the middle of larger memory; fails when anything around them changes. */
  function guarded(arenaBytes: number, table: Uint32Array, body: (arena: Uint8Array, table: Uint32Array) => unknown): Error | undefined {
    const around = new Uint8Array(2 * BEFORE + arenaBytes).fill(CANARY);
    const aroundTable = new Uint32Array(2 * BEFORE + table.length).fill(CANARY);
    aroundTable.set(table, BEFORE);
    const error = thrownBy(() => body(around.subarray(BEFORE, BEFORE + arenaBytes), aroundTable.subarray(BEFORE, BEFORE + table.length)));
    const outside = [
      around.subarray(0, BEFORE),
      around.subarray(BEFORE + arenaBytes),
      aroundTable.subarray(0, BEFORE),
      aroundTable.subarray(BEFORE + table.length),
    ];
    expect(outside.every((part) => part.every((value) => value === CANARY))).toBe(true);
    return error;
  }
  const integerIn = (value: number, min: number, max: number): boolean => Number.isInteger(value) && value >= min && value <= max;
  const expectRefused = (error: Error | undefined, isRight: boolean): void => {
    if (isRight) expect(error).toBeUndefined();
    else expect(error).toBeInstanceOf(RangeError);
  };

  test('readTap', () => {
    const property = fc.property(
      size,
      fc.nat(40),
      number,
      number,
      number,
      number,
      number,
      (arenaBytes, tableWords, start, end, headroom, room, max) => {
        const error = guarded(arenaBytes, new Uint32Array(tableWords), (arena, table) => {
          const count = io.readTap(zeros, arena, table, start, end, headroom, room, max);
          expect(count).toBeLessThanOrEqual(max);
          expect(arena.subarray(0, start).every((value) => value === CANARY)).toBe(true);
          expect(arena.subarray(end).every((value) => value === CANARY)).toBe(true);
        });
        const isRight =
          integerIn(end, 0, arenaBytes) &&
          integerIn(start, 0, end) &&
          integerIn(headroom, 0, arenaBytes) &&
          integerIn(room, 1, arenaBytes) &&
          integerIn(max, 0, Math.floor(tableWords / FRAME_WORDS));
        expectRefused(error, isRight);
      },
    );
    fc.assert(property, { numRuns: 2000 });
  });

  test('receive', () => {
    const property = fc.property(size, fc.nat(40), number, number, fc.oneof(fc.nat(12), number), (arenaBytes, tableWords, start, stride, max) => {
      const one = { offset: 0, length: 150, port };
      io.send(Int32Array.of(udp), new Uint8Array(150).fill(1), sendTable([one, one, one]), 3, 0);
      const error = guarded(arenaBytes, new Uint32Array(tableWords), (arena, table) => io.receive(udp, arena, table, start, stride, max));
      io.receive(udp, new Uint8Array(2048), new Uint32Array(64), 0, 128, 16);
      const isRight =
        integerIn(start, 0, arenaBytes) &&
        integerIn(stride, 1, 2 ** 32 - 1) &&
        integerIn(max, 0, Math.floor(tableWords / FRAME_WORDS)) &&
        start + stride * max <= arenaBytes;
      expectRefused(error, isRight);
    });
    fc.assert(property, { numRuns: 1000 });
  });

  test('writeTaps', () => {
    const row = fc.tuple(edge, edge);
    const property = fc.property(size, fc.array(row, { maxLength: 8 }), fc.oneof(fc.nat(8), number), (arenaBytes, rows, count) => {
      const table = Uint32Array.from(rows.flatMap(([offset, length]) => [offset, length, sink, 9999]));
      const error = guarded(arenaBytes, table, (arena, inside) => io.writeTaps(arena, inside, count));
      const isRight = integerIn(count, 0, rows.length) && rows.slice(0, count).every(([offset, length]) => offset + length <= arenaBytes);
      expectRefused(error, isRight);
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test('send', () => {
    const rare = <T>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
      fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: other });
    const row = fc.record({
      offset: rare(fc.nat(100), edge),
      length: rare(fc.nat(100), edge),
      socket: rare(fc.nat(2), edge),
      family: rare(fc.constantFrom(4, 6), edge),
      port: rare(fc.integer({ min: 1, max: 65535 }), edge),
      segment: rare(fc.constant(0), edge),
    });
    // The first is no socket and the second not open: what is right is refused by the kernel, row by row, and nothing leaves.
    const property = fc.property(size, fc.array(row, { maxLength: 8 }), fc.oneof(fc.nat(8), number), (arenaBytes, rows, count) => {
      const table = sendTable(rows);
      rows.forEach((given, index) => {
        table[index * SEND_WORDS + SEND.family] = given.family;
        table[index * SEND_WORDS + SEND.segment] = given.segment;
      });
      const error = guarded(arenaBytes, table, (arena, inside) => {
        expect(io.send(Int32Array.of(sink, NO_FD, -1), arena, inside, count, 0)).toBe(0);
        for (let index = 0; index < count; index++) expect([88, 9]).toContain(inside[index * SEND_WORDS + SEND.errno]);
      });
      const fits = (given: (typeof rows)[number]): boolean =>
        given.offset + given.length <= arenaBytes &&
        given.socket < 3 &&
        (given.family === 4 || given.family === 6) &&
        integerIn(given.port, 1, 65535) &&
        given.segment === 0;
      expectRefused(error, integerIn(count, 0, rows.length) && rows.slice(0, count).every(fits));
    });
    fc.assert(property, { numRuns: 2000 });
  });
});
