// Numbered frames at more than 100,000 a second to many targets, and what came of them: lost, twice, late behind one sent after them.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Namespace } from './netns.ts';
import { must, type Running } from './process.ts';
import { temporaryFolder } from './temporary.ts';

const source = fileURLToPath(new URL('../fixtures/bulk/bulk.cc', import.meta.url));
const IDLE_MS = 6000;

/** Commands that bulk() needs. */
export const BULK_COMMANDS = ['g++'] as const;

/** Compiles the sender and receiver of a test file; gives its path. */
export async function compileBulk(): Promise<string> {
  const program = join(temporaryFolder(), 'bulk');
  await must('g++', ['-O2', '-std=c++17', '-o', program, source]);
  return program;
}

export interface BulkSender {
  readonly at: Namespace;
  readonly link: string;
  readonly mac: string;
}

/** VXLAN datagrams for an address and port of a host that has no other receiver there, or frames of a link. */
export type BulkReceiver =
  | { readonly at: Namespace; readonly address: string; readonly port: number }
  | { readonly at: Namespace; readonly link: string };

export interface BulkFrames {
  /** Targets are numbered; those of targetMac(first) to targetMac(first + targets - 1) are sent to. */
  readonly first: number;
  readonly targets: number;
  readonly each: number;
  /** `turns`: one to each target, then the second to each. `rows`: all of one target, then of the next. */
  readonly order?: 'turns' | 'rows';
  readonly perSecond: number;
  readonly bytes?: number;
  /** When nothing has come for so long, what is missing is lost. */
  readonly patienceMs?: number;
}

export interface Bulk {
  readonly received: number;
  readonly lost: number;
  readonly twice: number;
  readonly late: number;
  /** To how many targets some were late. */
  readonly lateTargets: number;
  /** Datagrams that the receiver of the test had no room for: not lost by what is tested. */
  readonly receiverDrops: number;
  /** Frames that the sender's link did not take. */
  readonly refused: number;
  readonly seconds: number;
}

/** The target of this number, 02:cc:00:00:00:01 for 1. */
export function targetMac(number: number): string {
  const hex = number.toString(16).padStart(8, '0');
  return `02:cc:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6)}`;
}

export interface RunningBulk {
  /** Are there frames still to be sent? */
  isSending(): boolean;
  readonly result: Promise<Bulk>;
}

let runs = 0;

/** Starts to send when the receiver listens. */
export async function startBulk(program: string, from: BulkSender, to: BulkReceiver, frames: BulkFrames): Promise<RunningBulk> {
  const run = String(++runs);
  const { first, targets, each, order = 'turns', perSecond, bytes = 80, patienceMs = IDLE_MS } = frames;
  const where = 'link' in to ? ['link', to.link, '0'] : ['udp', to.address, String(to.port)];
  const receiver = to.at.start(program, ['take', ...where, run, String(targets), String(each), String(patienceMs)]);
  await receiver.printed('listening');
  const numbers = [first, targets, each].map(String);
  const sender = from.at.start(program, ['send', from.link, from.mac, run, ...numbers, order, String(perSecond), String(bytes)]);
  return { isSending: () => sender.stdout === '', result: results(sender, receiver) };
}

export const bulk = async (program: string, from: BulkSender, to: BulkReceiver, frames: BulkFrames): Promise<Bulk> =>
  (await startBulk(program, from, to, frames)).result;

async function results(sender: Running, receiver: Running): Promise<Bulk> {
  const [sent, taken] = await Promise.all([sender.end(), receiver.end()]);
  try {
    return { ...JSON.parse(sent.stdout), ...JSON.parse(taken.stdout.replace('listening\n', '')) };
  } catch (cause) {
    throw new Error(`no result: ${sent.stdout}${sent.stderr}${taken.stdout}${taken.stderr}`, { cause });
  }
}

/** As the tests print it. */
export const bulkText = ({ received, lost, late, lateTargets, receiverDrops, seconds }: Bulk): string =>
  `${received} received in ${seconds} s, ${lost} lost, ${late} late on ${lateTargets} targets, ${receiverDrops} dropped by the receiver`;
