// Many overlays and many targets on one host, made over the control socket; and how long overlayd lets others wait meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../src/core/rpc/client.ts';

/** Requests that are out at once; overlayd works on as many of one connection. */
const AT_ONCE = 32;

export const hex = (value: number): string => (value & 0xff).toString(16).padStart(2, '0');
/** The address of target `number`, as the commands print it. */
export const targetMac = (number: number): string => `2:0:5e:${[16, 8, 0].map((shift) => ((number >>> shift) & 0xff).toString(16)).join(':')}`;

/** Runs `work` for 0 to count - 1, some at once. @throws the first error */
export async function forEachNumber(count: number, work: (number: number) => Promise<unknown>): Promise<void> {
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
  readonly temporary?: boolean;
}

export async function createMany(client: Client, { count, from = 0, search, properties, temporary = false }: ManyOverlays): Promise<void> {
  const texts = Object.entries(properties).map(([name, text]) => ({ name, text }));
  await forEachNumber(count, (number) => {
    const at = from + number;
    return client.call('overlay.create', { name: `overlay${at}`, encap: 'vxlan', search, vnetid: at + 1, properties: texts, temporary });
  });
}

/** As somebody sets them with modify-overlay. */
export async function setTargets(client: Client, overlay: string, count: number, ip: string): Promise<void> {
  await forEachNumber(count, (number) => client.call('target.set', { overlay, mac: targetMac(number), destination: `${ip}:4789` }));
}

export interface Waits {
  readonly samples: number;
  /** ms. */
  readonly longest: number;
  /** Answers that took longer than the bound. */
  readonly late: number;
}

/** Asks for the names of all overlays every `everyMs` until stop() is called. */
export function sampleAnswers(client: Client, everyMs: number, boundMs: number): { stop(): Promise<Waits> } {
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
  return {
    async stop() {
      running = false;
      await sampling;
      return { samples: waits.length, longest: Math.max(0, ...waits), late: waits.filter((ms) => ms > boundMs).length };
    },
  };
}
