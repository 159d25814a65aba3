// What a run of the fuzzer holds: heap after a collection, memory outside of it, descriptors.
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Held {
  readonly heapBytes: number;
  readonly bufferBytes: number;
  readonly descriptors: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export async function held(): Promise<Held> {
  // What finalizers and closed streams let go of is gone with the second one.
  for (let round = 0; round < 2; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heapBytes: heapUsed, bufferBytes: arrayBuffers, descriptors: readdirSync('/proc/self/fd').length };
}

const MIB = 1024 * 1024;
/** Compiled code and what the tests themselves remember come and go; a leak of ten bytes an input is more than this in a long run. */
const MAX_GROWTH_MIB = 10;

/** Why `after` is more than `before`; undefined when it is not. */
export function whyGrown(before: Held, after: Held): string | undefined {
  const heap = (after.heapBytes - before.heapBytes) / MIB;
  const buffers = (after.bufferBytes - before.bufferBytes) / MIB;
  if (heap > MAX_GROWTH_MIB) return `the heap grew by ${heap.toFixed(1)} MiB`;
  if (buffers > MAX_GROWTH_MIB) return `buffers grew by ${buffers.toFixed(1)} MiB`;
  if (after.descriptors > before.descriptors) return `${after.descriptors - before.descriptors} descriptors were left open`;
  return undefined;
}
