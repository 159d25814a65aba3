// What the tests of the addon share: loading it, rows of the tables, loopback sockets, what this machine allows.
import { spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { addonPath, FRAME, FRAME_WORDS, loadPacketIo, type PacketIo, SEND, SEND_WORDS, type SystemError } from '../src/index.ts';

/** Another build of the addon, such as the sanitized one of `install.mjs --sanitize`. */
const otherAddon = process.env.PACKETIO_TEST_ADDON;

export const testedAddon = otherAddon ?? addonPath();
export const loadTested = (): PacketIo => (otherAddon === undefined ? loadPacketIo() : (createRequire(import.meta.url)(otherAddon) as PacketIo));

export const LOOPBACK_4 = Uint8Array.of(127, 0, 0, 1);
export const LOOPBACK_6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

export const isRoot = process.getuid?.() === 0;
export const hasTun = isRoot && existsSync('/dev/net/tun');

/** Runs a command and returns what it printed. @throws Error with its words when it fails. */
export function run(command: string, ...words: string[]): string {
  const result = spawnSync(command, words, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${command} ${words.join(' ')}: ${result.stderr || result.error}`);
  return result.stdout;
}

/** A UDP port that was free a moment ago. */
export async function freePort(address: '127.0.0.1' | '::1' = '127.0.0.1'): Promise<number> {
  const socket = dgram.createSocket(address === '::1' ? 'udp6' : 'udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

export function openLoopback(io: PacketIo, port: number, more: { family?: 4 | 6; sendOnly?: boolean } = {}): number {
  const family = more.family ?? 4;
  const address = family === 4 ? LOOPBACK_4 : LOOPBACK_6;
  return io.openUdp({ family, address, port, receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20, sendOnly: more.sendOnly ?? false });
}

export interface SendRow {
  readonly offset: number;
  readonly length: number;
  readonly port: number;
  readonly socket?: number;
  readonly address?: Uint8Array;
}

/** A send table. Its errno column begins with a value that the kernel does not have, so that a row left out shows. */
export function sendTable(rows: readonly SendRow[]): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(rows.length * SEND_WORDS);
  const bytes = new Uint8Array(table.buffer);
  rows.forEach((row, index) => {
    const at = index * SEND_WORDS;
    const address = row.address ?? LOOPBACK_4;
    table[at + SEND.offset] = row.offset;
    table[at + SEND.length] = row.length;
    table[at + SEND.socket] = row.socket ?? 0;
    table[at + SEND.errno] = 9999;
    table[at + SEND.family] = address.length === 4 ? 4 : 6;
    table[at + SEND.port] = row.port;
    bytes.set(address, (at + SEND.address) * 4);
  });
  return table;
}

export const column = (table: Uint32Array, words: number, index: number): number[] =>
  Array.from({ length: table.length / words }, (_, row) => table[row * words + index] ?? -1);

export const sendErrors = (table: Uint32Array): number[] => column(table, SEND_WORDS, SEND.errno);

export interface Frame {
  readonly offset: number;
  readonly length: number;
  readonly fd: number;
  readonly errno: number;
}

export function frameAt(table: Uint32Array, row: number): Frame {
  const at = row * FRAME_WORDS;
  const word = (index: number): number => table[at + index] ?? -1;
  return { offset: word(FRAME.offset), length: word(FRAME.length), fd: word(FRAME.fd), errno: word(FRAME.errno) };
}

export function frameTable(rows: readonly Omit<Frame, 'errno'>[]): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(rows.flatMap((row) => [row.offset, row.length, row.fd, 9999]));
}

/** What a call throws; undefined when it does not. */
export function thrownBy(call: () => unknown): (Error & Partial<SystemError>) | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error as Error & Partial<SystemError>;
  }
}

/** Flags of an open descriptor, as in fcntl(2). */
export const descriptorFlags = (fd: number): number =>
  Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8);

export function isAlive(pid: number): boolean {
  try {
    // Z: dead, but nobody has asked for its exit status.
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Asks again every 10 ms until it is so. @throws Error after `limitMs`. */
export async function until(what: string, isSo: () => boolean, limitMs = 5000): Promise<void> {
  for (let waited = 0; !isSo(); waited += 10) {
    if (waited >= limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
