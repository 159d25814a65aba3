// `npm run fuzz`: tries every door until the time is over, says seed and rate, keeps what breaks one, and exits 1 then.
import { parseArgs } from 'node:util';
import { Broken, type Door, keepCase, tryDoor } from './door.ts';
import { doors } from './doors.ts';
import { Random } from './random.ts';
import { type Held, held, whyGrown } from './resources.ts';
import { closeStreams } from './stream-doors.ts';

const USAGE = `usage: npm run fuzz -- [--minutes N] [--seed S] [--door ${doors.map(({ name }) => name).join('|')}]...`;
const MINUTE_MS = 60_000;
const MAX_MINUTES = 24 * 60;

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly chosen: readonly Door[];
}

function wholeNumber(text: string, name: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`--${name}: ${text} is not a whole number from ${min} to ${max}`);
}

/** @throws Error with what is wrong. */
function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: { minutes: { type: 'string', default: '2' }, seed: { type: 'string' }, door: { type: 'string', multiple: true } },
  });
  const names = values.door ?? doors.map(({ name }) => name);
  const unknown = names.find((name) => !doors.some((door) => door.name === name));
  if (unknown !== undefined) throw new Error(`--door: there is no ${unknown}`);
  const seed = values.seed === undefined ? (Date.now() & 0x7fff_ffff) >>> 0 : wholeNumber(values.seed, 'seed', 0, 0xffff_ffff);
  return { minutes: wholeNumber(values.minutes, 'minutes', 1, MAX_MINUTES), seed, chosen: doors.filter(({ name }) => names.includes(name)) };
}

/** Tries a door for a while. @throws Broken; Error when it left something behind. */
async function tryFor(door: Door, seed: number, ms: number): Promise<string> {
  const random = new Random(seed, door.name);
  const begin = performance.now();
  let before: Held | undefined;
  let inputs = 0;
  for (let turns = 0; performance.now() - begin < ms || before === undefined; turns++) {
    await tryDoor(door, random, 4 * door.batch);
    inputs += 4 * door.batch;
    // What is loaded and compiled only once is there by then.
    if (before === undefined && (turns >= 50 || performance.now() - begin > ms / 4)) before = await held();
  }
  const grown = whyGrown(before, await held());
  if (grown !== undefined) throw new Error(`${door.name}: after ${inputs} inputs ${grown}`);
  return `${door.name}: ${inputs} inputs, ${Math.round(inputs / ((performance.now() - begin) / 1000))} a second`;
}

/** @returns the exit status. */
async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  console.log(`fuzz: seed ${options.seed}, ${options.chosen.length} doors, ${options.minutes} minutes, mutations only`);
  for (const door of options.chosen) {
    try {
      console.log(`fuzz: ${await tryFor(door, options.seed, (options.minutes * MINUTE_MS) / options.chosen.length)}`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      if (error instanceof Broken) console.error(`fuzz: kept as ${keepCase(door.name, error.inputs)} (seed ${options.seed})`);
      return 1;
    }
  }
  return 0;
}

// Rejections that nobody waits for are what a door must never cause: Node.js ends with their text and status 1.
process.exitCode = await main(process.argv.slice(2));
await closeStreams();
