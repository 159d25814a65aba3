// The miss path: lookups a second through engine, channel and plugin host, and what the targets that were found take in memory.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Datapath, type Host, type Namespace, twoHosts } from '../helpers/netns.ts';
import { control, counters, createOverlay, createVnic, linkPlugin, mappingFile } from '../helpers/netns-overlay.ts';
import { must } from '../helpers/process.ts';
import { daemonOf } from './paths.ts';
import { residentBytes } from './process-figures.ts';
import { addNeighbours, macOf, SOURCE_IP, SOURCE_PREFIX } from './targets.ts';

export const TARGETS = 100_000;
/** Before it is measured: compiles what is hot, and lets the heap grow to what the work needs. */
const WARM_UP = 20_000;
/** Frames on the way at once: well under the 1000 that a TAP queues, and what a punt socket holds. */
const WINDOW = 512;
/** For memory that goes when nothing more comes, ms. */
const SETTLE_MS = 2000;
const asker = fileURLToPath(new URL('./asker.ts', import.meta.url));
const fixture = fileURLToPath(new URL('./fixtures/instant', import.meta.url));
/** V8 collects late when memory is there; with a heap as small as will do, growth is what the targets take. */
const SMALL_HEAP = '--max-semi-space-size=1 --max-old-space-size=24';
/** A second underlay, which ends in the namespace of the asker. */
const LISTEN_IP = '198.51.100.1';
const RETURN_IP = '198.51.100.2';
const PORT = 4789;

const numbers = Array.from({ length: WARM_UP + TARGETS }, (_, i) => i);

export interface LookupFigures {
  readonly perSecond: number;
  readonly answered: number;
  /** Growth of overlayd over TARGETS targets, bytes. */
  readonly residentBytes: number;
  /** Frames that were dropped: how many, by reason. */
  readonly drops: string;
}

export interface LookupSetting {
  readonly datapath: Datapath;
  readonly search: 'instant' | 'files';
  readonly heap: 'default' | 'small';
}

function searchProperties(host: Host, search: LookupSetting['search']): Readonly<Record<string, string>> {
  if (search === 'instant') {
    linkPlugin(host, fixture);
    return { 'instant/dest_ip': RETURN_IP };
  }
  const mappings = Object.fromEntries(numbers.map((number) => [macOf(number), { ip: RETURN_IP }]));
  return { 'files/config': mappingFile(host, 'targets.json', mappings) };
}

/** A way back from overlayd of the host to the asker, and its neighbours on the overlay. */
async function wire(host: Host, inside: Namespace): Promise<void> {
  await must('ip', ['link', 'add', 'back0', 'netns', host.name, 'type', 'veth', 'peer', 'name', 'back0', 'netns', inside.name]);
  for (const [end, address] of [
    [host, LISTEN_IP],
    [inside, RETURN_IP],
  ] as const) {
    await end.must('ip', ['addr', 'add', `${address}/24`, 'dev', 'back0']);
    await end.must('ip', ['link', 'set', 'back0', 'up']);
  }
}

interface Asked {
  readonly answered: number;
  readonly seconds: number;
}

async function ask(inside: Namespace, first: number, count: number): Promise<Asked> {
  const args = ['--no-warnings', asker, SOURCE_IP, RETURN_IP, String(PORT), String(first), String(count), String(WINDOW)];
  const { stdout } = await inside.must(process.execPath, args);
  return JSON.parse(stdout) as Asked;
}

const NO_DROPS = /^(tx|rx\.[fb]|lookup\.asked|lookup\.queued|question\.asked|punt\.[fbc]|row\.)/;

export async function measureLookups({ datapath, search, heap }: LookupSetting): Promise<LookupFigures> {
  const [host] = await twoHosts({ v6: false, datapath });
  const inside = await host.vnicNamespace('asker');
  const properties = searchProperties(host, search);
  await wire(host, inside);
  await host.startDaemon(heap === 'small' ? { NODE_OPTIONS: SMALL_HEAP } : {});
  const overlay = await createOverlay(host, { search, vnetid: 7, properties: { 'vxlan/listen_ip': LISTEN_IP, ...properties } });
  await createVnic(host, { name: 'vnic0', overlay, mac: '02:00:00:00:00:01', addresses: [`${SOURCE_IP}/${SOURCE_PREFIX}`], netns: 'asker' });
  await addNeighbours(inside, 'vnic0', WARM_UP + TARGETS);
  await ask(inside, 0, WARM_UP);
  await sleep(SETTLE_MS);
  const pid = daemonOf(host);
  const before = residentBytes(pid);
  const { answered, seconds } = await ask(inside, WARM_UP, TARGETS);
  await sleep(SETTLE_MS);
  const grown = residentBytes(pid) - before;
  const counted = Object.entries(await counters(await control(host), overlay)).filter(([name, value]) => value > 0 && !NO_DROPS.test(name));
  await host.stopDaemon();
  return {
    perSecond: answered / seconds,
    answered,
    residentBytes: grown,
    drops: counted.map(([name, value]) => `${name} ${value}`).join(', ') || 'none',
  };
}
