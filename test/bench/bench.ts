// The order of things: two hosts, the paths between them in turn, then the miss path, rows, many overlays; tables at the end, nothing left behind.

import { twoHosts } from '../helpers/netns.ts';
import { missing } from '../helpers/requirements.ts';
import { clearUp } from './after-all.ts';
import { type LookupSetting, measureLookups, TARGETS } from './lookups.ts';
import { measurePing, measureTcp, measureUdp } from './measure.ts';
import { type Options, type Part, readOptions, USAGE } from './options.ts';
import { HAND_MADE, handMadePath, overlayPath, type Path } from './paths.ts';
import { load, machine, Samples, significant, table } from './report.ts';
import { measureRows } from './rows.ts';
import { measureScale, SCALE_BASELINE } from './scale.ts';

const MIB = 2 ** 20;
type PathPart = Exclude<Part, 'lookups' | 'rows' | 'scale'>;
const isOfPath = (part: Part): part is PathPart => part !== 'lookups' && part !== 'rows' && part !== 'scale';
const MEASURES: Readonly<Record<PathPart, (path: Path, samples: Samples) => Promise<void>>> = {
  tcp: measureTcp,
  udp: measureUdp,
  ping: measurePing,
};

/** On a terminal says how far it is; tables are all that goes into a file. */
const progress = (text: string): void => void (process.stderr.isTTY && process.stderr.write(`\r${text.padEnd(60)}`));

async function comparePaths({ runs, parts }: Options): Promise<Samples> {
  const hosts = await twoHosts({ v6: false });
  for (const host of hosts) await host.startDaemon();
  const paths = [await handMadePath(hosts), await overlayPath(hosts, 'kernel'), await overlayPath(hosts, 'tap')];
  const samples = new Samples();
  for (let run = 0; run < runs; run++) {
    // Whatever else the machine does meets all of them, and none is always the first.
    const order = run % 2 === 0 ? paths : paths.toReversed();
    for (const part of parts.filter(isOfPath)) {
      for (const path of order) {
        progress(`run ${run + 1} of ${runs}: ${part}, ${path.name}`);
        await MEASURES[part](path, samples);
      }
    }
  }
  for (const host of hosts) await host.stopDaemon();
  return samples;
}

const LOOKUP_SETTINGS: readonly LookupSetting[] = [
  { datapath: 'kernel', search: 'instant', heap: 'default' },
  { datapath: 'tap', search: 'instant', heap: 'default' },
  { datapath: 'kernel', search: 'files', heap: 'default' },
  { datapath: 'tap', search: 'files', heap: 'default' },
  { datapath: 'tap', search: 'files', heap: 'small' },
];

async function lookupRow(setting: LookupSetting): Promise<string[]> {
  progress(`lookups: ${setting.datapath}, ${setting.search}, heap ${setting.heap}`);
  const { perSecond, answered, residentBytes, drops } = await measureLookups(setting);
  return [
    setting.datapath,
    setting.search,
    setting.heap,
    significant(perSecond),
    `${answered} of ${TARGETS}`,
    significant(residentBytes / MIB),
    drops,
  ];
}

async function runBench(options: Options): Promise<void> {
  console.log(`${machine()}\nload before: ${load()}\n`);
  if (options.parts.some(isOfPath)) {
    const rows = (await comparePaths(options)).rows(HAND_MADE);
    progress('');
    console.log(`${table(['figure', 'path', 'median', 'min', 'max', 'runs', 'to hand-made'], rows)}\n`);
  }
  if (options.parts.includes('lookups')) {
    const rows: string[][] = [];
    for (const setting of LOOKUP_SETTINGS) rows.push(await lookupRow(setting));
    progress('');
    console.log(`${table(['datapath', 'lookup', 'heap', 'lookups/s', 'answered', `overlayd grew, MiB for ${TARGETS}`, 'drops'], rows)}\n`);
  }
  if (options.parts.includes('rows')) {
    const samples = new Samples();
    await measureRows(options.runs, samples, progress);
    progress('');
    console.log(`${table(['rows of a kernel link', 'at', 'median', 'min', 'max', 'runs', 'to 1 target'], samples.rows('1 target'))}\n`);
  }
  if (options.parts.includes('scale')) {
    const samples = new Samples();
    await measureScale(options.runs, samples, progress);
    progress('');
    console.log(`${table(['scale', 'overlayd with', 'median', 'min', 'max', 'runs', `to ${SCALE_BASELINE}`], samples.rows(SCALE_BASELINE))}\n`);
  }
  console.log(`load after: ${load()}`);
}

function tell(error: unknown): void {
  console.error(`bench: ${error instanceof Error ? error.message : error}`);
}

/** @returns whether all was measured */
async function measureAll(options: Options): Promise<boolean> {
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      interrupted = true;
      void clearUp().finally(() => process.exit(1));
    });
  }
  try {
    await runBench(options);
    return true;
  } catch (error) {
    // What fails because its programs were ended is no news.
    if (!interrupted) tell(error);
    return false;
  } finally {
    await clearUp();
  }
}

/** Exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const needs = missing({ root: true, tun: true, commands: ['iperf3', 'ping', 'getconf', 'python3'] });
  if (needs !== undefined) {
    tell(`needs ${needs}`);
    return 1;
  }
  try {
    return (await measureAll(readOptions(args))) ? 0 : 1;
  } catch (error) {
    tell(error);
    console.error(USAGE);
    return 2;
  }
}
