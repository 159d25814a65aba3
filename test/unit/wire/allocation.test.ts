// What runs for every packet must leave nothing for the garbage collector.
import type { HeaderFormat } from '@overlayadm/api';
import { expect, it } from 'vitest';
import { newFrameView, parseFrame } from '../../../src/core/wire/ethernet.ts';
import { flowHash } from '../../../src/core/wire/flow-hash.ts';
import { compileDecap, compileHeader, decap, writeEntropy } from '../../../src/core/wire/header-format.ts';
import { classifyGroupFrame, isDhcpReply, newQuestionView } from '../../../src/core/wire/question.ts';
import { arpRequest, discover, solicitation } from './frames.ts';

const CALLS = 20_000;
const RUNS = 41;

/** Bytes a call takes from the heap: the median of many runs, because compiling and collecting disturb single ones. */
function bytesPerCall(work: (i: number) => void): number {
  const runs = Array.from({ length: RUNS }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < CALLS; i++) work(i);
    return (process.memoryUsage().heapUsed - before) / CALLS;
  });
  return runs.sort((a, b) => a - b)[RUNS >> 1] as number;
}

const FORMAT: HeaderFormat = {
  carrier: { over: 'ip', protocol: 47 },
  template: [0x20, 0x00, 0x65, 0x58, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [{ at: 2, mask: [0xff, 0xff], value: [0x65, 0x58], dropReason: 'nvgre.not-ethernet' }],
  length: { kind: 'fixed' },
  entropy: { bit: 56, bits: 8 },
};

it('measures what is allocated', () => {
  const kept: object[] = new Array(1);
  expect(
    bytesPerCall((i) => {
      kept[0] = { i };
    }),
  ).toBeGreaterThan(8);
});

const arena = new Uint8Array(4096);
const frames = [arpRequest(), solicitation(), discover()];
for (const [i, frame] of frames.entries()) arena.set(frame, 64 + i * 1024);
arena.set(compileHeader(FORMAT, 7), 56);
const reply = discover({ op: '02', ports: '0043 0044' });
arena.set(reply, 64 + 3 * 1024);
const lengthOf = (i: number): number => (frames[i % 3] as Uint8Array).length;
const decapped = compileDecap(FORMAT, 'nvgre');
const out = new Uint32Array(1);
const frameView = newFrameView();
const questionView = newQuestionView();
let sink = 0;

it.each<[string, (i: number) => void]>([
  [
    'flowHash',
    (i) => {
      arena[64 + 1024 + 40] = i;
      sink ^= flowHash(arena, 64 + (i % 3) * 1024, lengthOf(i));
    },
  ],
  [
    'parseFrame',
    (i) => {
      sink ^= parseFrame(arena, 64 + (i % 3) * 1024, lengthOf(i), frameView) ? frameView.payloadAt : 1;
    },
  ],
  [
    'decap',
    () => {
      sink ^= decap(decapped, arena, 56, 60, out);
    },
  ],
  ['writeEntropy', (i) => writeEntropy(FORMAT.entropy, arena, 56, i)],
  [
    'classifyGroupFrame',
    (i) => {
      sink ^= classifyGroupFrame(arena, 64 + (i % 3) * 1024, lengthOf(i), questionView) === 'none' ? 1 : questionView.keyAt;
    },
  ],
  [
    'isDhcpReply',
    () => {
      sink ^= isDhcpReply(arena, 64 + 3 * 1024, reply.length, questionView) ? questionView.keyAt : 1;
    },
  ],
])('%s allocates nothing', (_, work) => {
  expect(bytesPerCall(work)).toBeLessThan(1);
  expect(Number.isInteger(sink)).toBe(true);
});
