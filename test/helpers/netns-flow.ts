// A steady flow of numbered datagrams between namespaces, each sent back by the far end; what is lost is counted, not timed.
import { fileURLToPath } from 'node:url';
import type { Namespace } from './netns.ts';
import type { Running } from './process.ts';

const child = fileURLToPath(new URL('./netns-flow-child.ts', import.meta.url));

export interface Flow {
  readonly sent: number;
  /** Different ones that came back. */
  readonly returned: number;
  readonly errors: number;
  readonly seconds: number;
  readonly longestPauseMs: number;
}

/** Sends back every datagram that comes to `address`. */
export async function startEcho(where: Namespace, address: string): Promise<Running> {
  const echo = where.start(process.execPath, ['--no-warnings', child, 'echo', address]);
  await echo.printed('listening');
  return echo;
}

/** `count` datagrams from one address to another, `perSecond` of them; slower only while too many are on the way. */
export async function flow(where: Namespace, from: string, to: string, count: number, perSecond: number): Promise<Flow> {
  const args = ['--no-warnings', child, 'send', from, to, String(count), String(perSecond)];
  return JSON.parse((await where.must(process.execPath, args)).stdout);
}
