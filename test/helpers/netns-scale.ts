// Many overlays, targets and lookups on one host, made over the control socket; and how long overlayd lets others wait meanwhile.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../src/core/rpc/client.ts';
import { frame, mac, macOf } from './frames.ts';
import { type Host, type Namespace, waitFor } from './netns.ts';
import { sendFrames } from './netns-frames.ts';
import { counters, PATIENCE_MS } from './netns-overlay.ts';

/** Requests that are out at once; overlayd works on as many of one connection. */
const AT_ONCE = 32;
/** Frames that are sent in one go: a TAP queues some thousands. */
const FRAMES_AT_ONCE = 2500;

/** Runs `work` for 0 to count - 1, some at once. @throws the first error */
async function forEachNumber(count: number, work: (number: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

export interface ManyOverlays {
  readonly count: number;
  /** The first is overlay`from`, with vnetid from + 1. */
  readonly from?: number;
  readonly search: string;
  /** Full names. */
  readonly properties: Readonly<Record<string, string>>;
}

/** @throws what the first one that is refused is refused with */
export async function createMany(client: Client, { count, from = 0, search, properties: given }: ManyOverlays): Promise<void> {
  const properties = Object.entries(given).map(([name, text]) => ({ name, text }));
  await forEachNumber(count, (number) => {
    const at = from + number;
    return client.call('overlay.create', { name: `overlay${at}`, encap: 'vxlan', search, vnetid: at + 1, properties, temporary: false });
  });
}

/** mac(0) to mac(count - 1), as somebody sets them with modify-overlay. */
export async function setTargets(client: Client, overlay: string, count: number, ip: string): Promise<void> {
  await forEachNumber(count, (number) => client.call('target.set', { overlay, mac: mac(number), destination: `${ip}:4789` }));
}

export interface Waits {
  readonly samples: number;
  /** ms. */
  readonly longest: number;
  /** Answers that took longer than the bound. */
  readonly late: number;
}

/** Asks for the names of all overlays every `everyMs` while `work` goes on. `client` must not be the one that works. */
export async function waitsDuring(client: Client, work: () => Promise<unknown>, { everyMs = 20, boundMs = 2000 } = {}): Promise<Waits> {
  let running = true;
  const waits: number[] = [];
  const sampling = (async () => {
    while (running) {
      const began = performance.now();
      await client.call('overlay.names', { saved: false });
      waits.push(performance.now() - began);
      await sleep(everyMs);
    }
  })();
  try {
    await work();
  } finally {
    running = false;
    await sampling;
  }
  return { samples: waits.length, longest: Math.max(0, ...waits), late: waits.filter((ms) => ms > boundMs).length };
}

/** Sends a frame to each of `count` targets that nobody knows, from a VNIC over the overlay, until each has been asked for. */
export async function askForMany(
  client: Client,
  overlay: string,
  vnic: { readonly where: Namespace; readonly name: string; readonly mac: string },
  count: number,
): Promise<void> {
  const asked = async (): Promise<number> => (await counters(client, overlay))['lookup.asked'] ?? 0;
  const from = macOf(vnic.mac);
  for (let first = 0; first < count; first += FRAMES_AT_ONCE) {
    const many = Math.min(FRAMES_AT_ONCE, count - first);
    await sendFrames(
      vnic.where,
      vnic.name,
      Array.from({ length: many }, (_, i) => frame(mac(1_000_000 + first + i), from, 'to somebody'.padEnd(60))),
    );
    await waitFor(async () => (await asked()) >= first + many, PATIENCE_MS, `${first + many} lookups of ${overlay}`);
  }
}

/** As linkPlugin(), several of test/fixtures/plugins. */
export function linkPlugins(host: Host, folders: readonly string[]): void {
  const plugins = folders.map((folder) => {
    const root = resolve('test/fixtures/plugins', folder);
    const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    return { type: 'link', name, root };
  });
  writeFileSync(join(host.dirs.data, 'package.json'), JSON.stringify({ private: true, oclif: { schema: 1, plugins }, dependencies: {} }));
}

export interface Cost {
  /** User and system, s. */
  readonly cpu: number;
  /** s. */
  readonly wall: number;
  /** Most memory that was resident at a time, bytes. */
  readonly peakBytes: number;
  /** Lines that it has printed. */
  readonly rows: number;
  readonly status: number;
}

/** What wait4(2) tells of a child, which Node.js does not pass on. */
const MEASURE = `
import json, os, subprocess, sys, time
began = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
rows = 0
while chunk := os.read(child.stdout.fileno(), 65536):
    rows += chunk.count(10)
_, status, usage = os.wait4(child.pid, 0)
wall = time.monotonic() - began
print(json.dumps({'cpu': usage.ru_utime + usage.ru_stime, 'wall': wall, 'peakBytes': usage.ru_maxrss * 1024, 'rows': rows, 'status': os.waitstatus_to_exitcode(status)}))
`;

/** Runs a program in the namespace of the host and tells what it has cost. */
export async function costOf(host: Host, command: string, args: readonly string[]): Promise<Cost> {
  const { stdout } = await host.must('python3', ['-c', MEASURE, command, ...args], { env: host.env });
  return JSON.parse(stdout) as Cost;
}
