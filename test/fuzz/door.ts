// What a door of overlayadm is to the fuzzer, how it is tried, and how an input that breaks it is kept.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Arbitrary } from 'fast-check';
import type { Random } from './random.ts';

/** What stands behind a door, for some inputs. Every method throws when what has to hold does not. */
export interface Subject {
  take(input: Uint8Array): void | Promise<void>;
  /** After the last input: what has to hold for all of them together, and that nothing is left. */
  finish(): void | Promise<void>;
}

export interface Door {
  readonly name: string;
  /** Inputs for one subject. */
  readonly batch: number;
  /** The short run takes so many inputs; what a door costs differs a hundredfold. */
  readonly short: number;
  open(): Subject | Promise<Subject>;
  mutant(random: Random): Uint8Array;
  /** Inputs as fast-check makes them. */
  readonly arbitrary: Arbitrary<Uint8Array>;
}

export class Broken extends Error {
  readonly inputs: readonly Uint8Array[];

  constructor(door: Door, inputs: readonly Uint8Array[], cause: unknown) {
    const how = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`${door.name}: ${how}`, { cause });
    this.inputs = inputs;
  }
}

/** Has to hold. @throws Error with `what`. */
export function must(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Error(what());
}

/** One subject, all inputs. @throws Error of the subject. */
export async function tryInputs(door: Door, inputs: readonly Uint8Array[]): Promise<void> {
  const subject = await door.open();
  for (const input of inputs) {
    const taken = subject.take(input);
    if (taken !== undefined) await taken;
  }
  await subject.finish();
}

async function breaks(door: Door, inputs: readonly Uint8Array[]): Promise<boolean> {
  try {
    await tryInputs(door, inputs);
    return false;
  } catch {
    return true;
  }
}

/** The shortest list that still breaks it, as halving and then leaving out one by one finds it. */
async function smallest(door: Door, all: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  let inputs = all;
  for (let size = Math.ceil(inputs.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < inputs.length && inputs.length > 1; ) {
      const fewer = inputs.toSpliced(at, size);
      if (fewer.length > 0 && (await breaks(door, fewer))) inputs = fewer;
      else at += size;
    }
  }
  return inputs;
}

/** Tries `count` inputs. @throws Broken with as few inputs as are needed. */
export async function tryDoor(door: Door, random: Random, count: number): Promise<void> {
  for (let left = count; left > 0; left -= door.batch) {
    const inputs = Array.from({ length: Math.min(left, door.batch) }, () => door.mutant(random));
    try {
      await tryInputs(door, inputs);
    } catch (error) {
      throw new Broken(door, await smallest(door, inputs), error);
    }
  }
}

export const CASES = join(import.meta.dirname, 'cases');

/** Keeps the inputs as `cases/DOOR-HASH.hex`, one a line; its path. */
export function keepCase(door: string, inputs: readonly Uint8Array[]): string {
  const text = `${inputs.map((input) => Buffer.from(input).toString('hex')).join('\n')}\n`;
  const path = join(CASES, `${door}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.hex`);
  mkdirSync(CASES, { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** Lines that begin with # say what the case is about. */
export const readCase = (path: string): Uint8Array[] =>
  readFileSync(path, 'utf8')
    .replace(/\n$/, '')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => Uint8Array.from(Buffer.from(line, 'hex')));
