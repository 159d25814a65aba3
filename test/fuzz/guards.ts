// Bytes around a slot that nobody may write to.
import { must } from './door.ts';

const GUARD = 0xa5;
const GUARD_BYTES = 32;

export function plant(memory: Uint8Array, from: number, to: number): void {
  memory.fill(GUARD, Math.max(0, from), to);
}

export function isIntact(memory: Uint8Array, from: number, to: number): boolean {
  for (let at = Math.max(0, from); at < to && at < memory.length; at++) if (memory[at] !== GUARD) return false;
  return true;
}

/** A copy of `input` between guards; `at` is where it begins. */
export function guarded(input: Uint8Array): { readonly memory: Uint8Array; readonly at: number; check(): void } {
  const memory = new Uint8Array(input.length + 2 * GUARD_BYTES).fill(GUARD);
  memory.set(input, GUARD_BYTES);
  const check = (): void => {
    must(isIntact(memory, 0, GUARD_BYTES), () => 'it wrote before its slot');
    must(isIntact(memory, GUARD_BYTES + input.length, memory.length), () => 'it wrote behind its slot');
  };
  return { memory, at: GUARD_BYTES, check };
}
