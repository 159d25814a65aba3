// Rows of a kernel link: how long from the answer about a target until the kernel has its row, with few and with many; and how many a second.
import { setImmediate as turn } from 'node:timers/promises';
import { macFromBytes } from '@overlayadm/api';
import { loadPacketIo } from '@overlayadm/packetio';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, twoHosts, waitFor } from '../helpers/netns.ts';
import { control, controlAfter, counters, createOverlay, linkPlugin } from '../helpers/netns-overlay.ts';
import type { Samples } from './report.ts';

const SIZES = [1, 1000, 100_000] as const;
/** Answers that are timed at each size. */
const TIMED = 200;
/** RTNLGRP_NEIGH (linux/rtnetlink.h). */
const GROUP_NEIGH = 3;
const BUFFER_BYTES = 64 * 1024;
const PATIENCE_MS = 60_000;
/** Answers by a person that are out at once while the cache is filled. */
const AT_ONCE = 256;

const io = loadPacketIo();

const subjectOf = (size: number): string => `${size} target${size === 1 ? '' : 's'}`;
const macOf = (number: number): string => macFromBytes(Uint8Array.of(0x02, 0, 0x5e, number >>> 16, number >>> 8, number));

/** Hears of every row that the host's kernel gets. */
class Ear {
  readonly #socket: number;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);

  constructor({ name }: Host) {
    this.#socket = io.openNetlink({ protocol: 0, groups: [GROUP_NEIGH], namespace: `/run/netns/${name}` });
  }

  /** Notifications that have come; one is one datagram. Those that were lost count as none. */
  take(): number {
    let count = 0;
    for (;;) {
      try {
        if (io.netlinkReceive(this.#socket, this.#buffer) === 0) return count;
        count++;
      } catch {
        // More than it had room for.
      }
    }
  }

  close(): void {
    io.close(this.#socket);
  }
}

const set = (client: Client, number: number): Promise<unknown> =>
  client.call('target.set', { overlay: 'overlay0', mac: macOf(number), destination: '192.0.2.2:4789' });

async function fill(client: Client, from: number, to: number): Promise<void> {
  for (let next = from; next < to; next += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, to - next) }, (_, i) => set(client, next + i)));
  await waitFor(async () => ((await counters(client, 'overlay0'))['row.installed'] ?? 0) >= to, PATIENCE_MS, `${to} rows`);
}

/** From before a person's answer is sent to overlayd until the kernel tells of the row, ms. */
async function timeOne(client: Client, ear: Ear, number: number): Promise<number> {
  ear.take();
  const began = performance.now();
  const answered = set(client, number);
  while (ear.take() === 0) await turn();
  const took = performance.now() - began;
  await answered;
  return took;
}

async function timeAnswers(client: Client, ear: Ear, size: number, first: number, samples: Samples): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < TIMED; i++) times.push(await timeOne(client, ear, first + i));
  const sorted = times.toSorted((a, b) => a - b);
  samples.add('answer to row, median ms', subjectOf(size), sorted[TIMED >> 1] as number);
  samples.add('answer to row, p99 ms', subjectOf(size), sorted[Math.floor(TIMED * 0.99)] as number);
}

/** The rows are taken away while overlayd is dead, and the one that is started then has them all to put in. */
async function timeProgramming(host: Host, client: Client, ear: Ear, samples: Samples): Promise<Client> {
  const known = Number((await counters(client, 'overlay0'))['row.installed']);
  const pid = host.daemonPid() as number;
  // What is known is written down a second after it has changed.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  client.close();
  await host.killDaemon();
  await host.must('bridge', ['fdb', 'flush', 'dev', 'overlay0']);
  ear.take();
  await host.startDaemon();
  const next = await controlAfter(host, pid);
  let first = 0;
  let last = performance.now();
  let heard = 0;
  while (heard < known && performance.now() - last < 10_000) {
    const now = ear.take();
    if (now > 0) last = performance.now();
    if (heard === 0 && now > 0) first = last;
    heard += now;
    await turn();
  }
  const installed = (await counters(next, 'overlay0'))['row.installed'] ?? 0;
  samples.add('rows put in after a restart, 1000/s', subjectOf(100_000), heard / (last - first));
  samples.add('rows put in after a restart', subjectOf(100_000), installed);
  return next;
}

export async function measureRows(runs: number, samples: Samples, progress: (text: string) => void): Promise<void> {
  const [host] = await twoHosts({ v6: false, datapath: 'kernel' });
  linkPlugin(host, '../../bench/fixtures/instant');
  await host.startDaemon();
  await createOverlay(host, { search: 'instant', vnetid: 7, properties: { 'vxlan/listen_ip': host.v4, 'instant/dest_ip': '192.0.2.2' } });
  let client = await control(host);
  const ear = new Ear(host);
  let known = 0;
  for (const size of SIZES) {
    progress(`rows: ${subjectOf(size)}`);
    await fill(client, known, size);
    known = size;
    for (let run = 0; run < runs; run++) {
      progress(`rows: ${subjectOf(size)}, run ${run + 1} of ${runs}`);
      await timeAnswers(client, ear, size, known, samples);
      // As many as there were before.
      for (let i = 0; i < TIMED; i++) await client.call('target.remove', { overlay: 'overlay0', mac: macOf(known + i) });
    }
  }
  for (let run = 0; run < Math.min(3, runs); run++) {
    progress(`rows: restart ${run + 1}`);
    client = await timeProgramming(host, client, ear, samples);
  }
  client.close();
  ear.close();
  await host.stopDaemon();
}
