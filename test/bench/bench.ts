// The order of things: two hosts, the paths between them in turn, then the miss path, rows, answers, many overlays; tables at the end, nothing left behind.

import { type Datapath, type Host, twoHosts } from '../helpers/netns.ts';
import { missing } from '../helpers/requirements.ts';
import { clearUp } from './after-all.ts';
import { ANSWERS_HEADER, measureAnswers, WRITER } from './answers.ts';
import { type LookupSetting, measureLookups, TARGETS } from './lookups.ts';
import { measurePing, measureTcp, measureUdp } from './measure.ts';
import { type Options, type Part, readOptions, USAGE } from './options.ts';
import { HAND_MADE, handMadePath, overlayPath, type Path, type Two } from './paths.ts';
import { load, machine, Samples, significant, table } from './report.ts';
import { measureRows } from './rows.ts';
import { measureScale, SCALE_BASELINE } from './scale.ts';

const MIB = 2 ** 20;
type PathPart = Exclude<Part, 'lookups' | 'rows' | 'answers' | 'scale'>;
const isOfPath = (part: Part): part is PathPart => !['lookups', 'rows', 'answers', 'scale'].includes(part);
const MEASURES: Readonly<Record<PathPart, (path: Path, samples: Samples) => Promise<void>>> = {
  tcp: measureTcp,
  udp: measureUdp,
  ping: measurePing,
};

/** On a terminal says how far it is; tables are all that goes into a file. */
const progress = (text: string): void => void (process.stderr.isTTY && process.stderr.write(`\r${text.padEnd(60)}`));

/** The one made by hand has hosts of its own, without any table of nftables. Each has carried frames: the first ones wait for a plugin. */
async function buildPaths(hosts: Two<Host>, datapaths: readonly Datapath[]): Promise<Path[]> {
  const paths = [await handMadePath(await twoHosts({ v6: false }))];
  for (const datapath of datapaths) paths.push(await overlayPath(hosts, datapath));
  for (const path of paths) await measurePing(path, new Samples());
  return paths;
}

async function comparePaths({ runs, parts, datapaths }: Options): Promise<Samples> {
  const hosts = await twoHosts({ v6: false });
  for (const host of hosts) await host.startDaemon();
  const paths = await buildPaths(hosts, datapaths);
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

async function showAnswers({ runs }: Options): Promise<void> {
  const samples = new Samples();
  const answers = await measureAnswers(runs, samples, progress);
  progress('');
  console.log(`${table(['rows of a kernel link', 'how', 'median', 'min', 'max', 'runs', 'to the writer'], samples.rows(WRITER))}\n`);
  console.log(`${table(ANSWERS_HEADER, answers)}\n`);
}

async function runBench(options: Options): Promise<void> {
  console.log(`${machine()}\nload before: ${load()}\n`);
  if (options.parts.some(isOfPath)) {
    const rows = (await comparePaths(options)).pairedRows(HAND_MADE);
    progress('');
    console.log(`${table(['figure', 'path', 'median', 'min', 'max', 'runs', 'to hand-made', 'run by run', 'from - to'], rows)}\n`);
  }
  if (options.parts.includes('lookups')) {
    const rows: string[][] = [];
    const settings = LOOKUP_SETTINGS.filter(({ datapath }) => options.datapaths.includes(datapath));
    for (const setting of settings) rows.push(await lookupRow(setting));
    progress('');
    console.log(`${table(['datapath', 'lookup', 'heap', 'lookups/s', 'answered', `overlayd grew, MiB for ${TARGETS}`, 'drops'], rows)}\n`);
  }
  if (options.parts.includes('rows')) {
    const samples = new Samples();
    await measureRows(options.runs, samples, progress);
    progress('');
    console.log(`${table(['rows of a kernel link', 'at', 'median', 'min', 'max', 'runs', 'to 1 target'], samples.rows('1 target'))}\n`);
  }
  if (options.parts.includes('answers')) await showAnswers(options);
  for (const datapath of options.parts.includes('scale') ? options.datapaths : []) {
    const samples = new Samples();
    await measureScale(options.runs, datapath, samples, progress);
    progress('');
    console.log(
      `${table([`scale, datapath ${datapath}`, 'overlayd with', 'median', 'min', 'max', 'runs', `to ${SCALE_BASELINE}`], samples.rows(SCALE_BASELINE))}\n`,
    );
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
  const needs = missing({ root: true, tun: true, vxlan: true, commands: ['iperf3', 'ping', 'getconf', 'python3', 'bridge', 'nft'] });
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
