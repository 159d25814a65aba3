// Traffic between namespaces: pings that are counted, TCP whose contents are compared, datagrams that are noted.
import { fileURLToPath } from 'node:url';
import type { Namespace } from './netns.ts';
import type { Running } from './process.ts';

const child = fileURLToPath(new URL('./netns-child.ts', import.meta.url));

export interface Pings {
  readonly sent: number;
  readonly received: number;
}

/** `intervalMs` between two requests; the last answer is waited for `waitSeconds`. */
export async function ping(from: Namespace, to: string, { count = 2, intervalMs = 20, waitSeconds = 10 } = {}): Promise<Pings> {
  const args = ['-n', '-q', '-c', String(count), '-i', String(intervalMs / 1000), '-W', String(waitSeconds), to];
  return pings((await from.run('ping', args)).stdout);
}

/** @throws when ping said nothing of what it sent. */
export function pings(stdout: string): Pings {
  const [, sent, received] = /^(\d+) packets transmitted, (\d+) received/m.exec(stdout) ?? [];
  if (sent === undefined) throw new Error(`ping did not say what it sent: ${stdout}`);
  return { sent: Number(sent), received: Number(received) };
}

export interface Endpoint {
  readonly at: Namespace;
  readonly address: string;
}

const program = (where: Namespace, ...args: string[]): Running => where.start(process.execPath, ['--no-warnings', child, ...args]);

/**
 * `bytes` random bytes each way over one connection, each with its hash: what comes back is 'same' when both sides have
 * got what the other one sent.
 */
export async function transfer(client: Namespace, server: Endpoint, bytes = 2 * 1024 * 1024): Promise<string> {
  const listener = program(server.at, 'tcp-listen', server.address, String(bytes));
  await listener.printed('listening');
  const caller = program(client, 'tcp-connect', server.address, String(bytes));
  const results = await Promise.all([caller.end(), listener.end()]);
  const said = results.map(({ stdout, stderr }) => stdout.replace('listening\n', '').trim() + stderr.trim());
  return said.every((text) => text === 'same') ? 'same' : said.join('; ');
}

/** Prints each datagram that reaches the port, on all addresses of both families. */
export async function listenUdp(where: Namespace, port: number): Promise<Running> {
  const listener = program(where, 'udp-listen', String(port));
  await listener.printed('listening');
  return listener;
}

export const datagramsOf = (listener: Running): string[] => listener.stdout.split('\n').filter((line) => line !== '' && line !== 'listening');

/** Sends datagrams to `address` and `port`, with the bytes given in hexadecimal. */
export async function sendUdp(from: Namespace, address: string, port: number, ...datagrams: readonly string[]): Promise<void> {
  await from.must(process.execPath, ['--no-warnings', child, 'udp-send', address, String(port)], { input: datagrams.join('\n') });
}
