// How old a plugin's answer is when its row stands in the kernel link, and how many rows a second the engine puts in beside a program that does nothing else.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Host, twoHosts } from '../helpers/netns.ts';
import { control, createOverlay, createVnic, linkPlugin } from '../helpers/netns-overlay.ts';
import { setTargets } from '../helpers/netns-scale.ts';
import type { Running } from '../helpers/process.ts';
import { quantile, type Samples, significant } from './report.ts';
import { STAMPED_NETWORK } from './row-stamp.ts';
import { addNeighbours, SOURCE_IP, SOURCE_PREFIX } from './targets.ts';

const SIZES = [1, 1000, 100_000] as const;
/** At which size rows a second are measured. */
const LARGEST = SIZES[2];
/** What takes seconds is run less often. */
const FEWER_RUNS = 5;
/** Before it is measured: compiles what is hot. */
const WARM_UP = 2000;
const ASKED = 2000;
/** Questions on the way at once. */
const WINDOWS = [1, 64] as const;
const QUESTIONS = WARM_UP + ASKED * WINDOWS.length;
/** For work that is left from before, ms. */
const SETTLE_MS = 1000;
const OVERLAY = 'overlay0';
const fixture = fileURLToPath(new URL('./fixtures/instant', import.meta.url));
const watcher = fileURLToPath(new URL('./row-watcher.ts', import.meta.url));
const asker = fileURLToPath(new URL('./row-asker.ts', import.meta.url));

type Progress = (text: string) => void;

export const WRITER = 'nothing but a writer';
export const ANSWERS_HEADER = ['row of a new target', 'known before', 'at once', 'median us', 'p99 us', 'max us', 'rows'];

interface Watched {
  readonly rows: number;
  readonly lost: number;
  readonly seconds: number;
}

const nodeArgs = (program: string, ...args: readonly (string | number)[]): string[] => ['--no-warnings', program, ...args.map(String)];

async function resultOf(running: Running): Promise<Watched> {
  const { stdout, stderr, status } = await running.end();
  if (status !== 0) throw new Error(`watching rows: ${status}: ${stderr}`);
  return JSON.parse(stdout.replace('listening\n', '')) as Watched;
}

/** Rows a second that come while `work` goes on, LARGEST of them. */
async function rateOf(host: Host, subject: string, work: () => Promise<unknown>, samples: Samples): Promise<void> {
  await sleep(SETTLE_MS);
  const watching = host.start(process.execPath, nodeArgs(watcher, 'watch', LARGEST));
  await watching.printed('listening');
  await work();
  const { rows, lost, seconds } = await resultOf(watching);
  // Notifications that were lost are rows that came all the same.
  if (lost === 0 && rows < LARGEST) throw new Error(`${subject}: ${rows} rows came of ${LARGEST}`);
  samples.add(`rows/s, of ${LARGEST}`, subject, LARGEST / seconds);
}

/** A link like ours with nobody behind it. */
async function writeAlone(host: Host, samples: Samples): Promise<void> {
  await host.must('ip', ['link', 'add', 'alone0', 'type', 'vxlan', 'id', '9', 'local', host.v4, 'dstport', '4790', 'nolearning']);
  const { stdout } = await host.must('cat', ['/sys/class/net/alone0/ifindex']);
  const write = (): Promise<unknown> => host.must(process.execPath, nodeArgs(watcher, 'write', LARGEST, stdout.trim()));
  await rateOf(host, WRITER, write, samples);
  await host.must('ip', ['link', 'del', 'alone0']);
}

async function measureRates(host: Host, elsewhere: Host, runs: number, samples: Samples, progress: Progress): Promise<void> {
  const move = (datapath: string) => host.mustOverlayadm('set-linkprop', '-p', `datapath=${datapath}`, OVERLAY);
  for (let run = 0; run < Math.min(runs, FEWER_RUNS); run++) {
    progress(`answers: run ${run + 1}, alone`);
    await writeAlone(elsewhere, samples);
    progress(`answers: run ${run + 1}, flushed`);
    await rateOf(host, 'put back after a flush', () => host.must('bridge', ['fdb', 'flush', 'dev', OVERLAY]), samples);
    progress(`answers: run ${run + 1}, moved from tap`);
    await move('tap');
    await rateOf(host, 'moved from tap', () => move('kernel'), samples);
  }
}

interface Asked {
  /** Microseconds. */
  readonly fromAnswer: readonly number[];
  readonly fromFrame: readonly number[];
}

async function ask(host: Host, first: number, count: number, window: number): Promise<Asked> {
  const { stdout } = await host.must(process.execPath, nodeArgs(asker, SOURCE_IP, first, count, window));
  const asked = JSON.parse(stdout) as Asked;
  if (asked.fromAnswer.length < count) throw new Error(`rows of ${asked.fromAnswer.length} targets came, of ${count}`);
  return asked;
}

function latencyRow(what: string, known: number, window: number, samples: readonly number[]): string[] {
  const shown = [0.5, 0.99, 1].map((share) => significant(quantile(samples, share)));
  return [what, String(known), String(window), ...shown, String(samples.length)];
}

async function measureLatencies(host: Host, known: number): Promise<string[][]> {
  // In the namespace of the overlay, so that one process can send and hear of rows.
  await createVnic(host, { name: 'vnic0', overlay: OVERLAY, mac: '02:00:5d:00:00:01', addresses: [`${SOURCE_IP}/${SOURCE_PREFIX}`] });
  await addNeighbours(host, 'vnic0', QUESTIONS);
  await ask(host, 0, WARM_UP, WINDOWS[1]);
  const rows: string[][] = [];
  for (const [at, window] of WINDOWS.entries()) {
    await sleep(SETTLE_MS);
    const { fromAnswer, fromFrame } = await ask(host, WARM_UP + at * ASKED, ASKED, window);
    rows.push(latencyRow('from the answer', known, window, fromAnswer), latencyRow('from the frame', known, window, fromFrame));
  }
  return rows;
}

/** Gives rows of ANSWERS_HEADER. Rates are measured FEWER_RUNS times at most. */
export async function measureAnswers(runs: number, samples: Samples, progress: Progress): Promise<string[][]> {
  const rows: string[][] = [];
  for (const known of SIZES) {
    progress(`answers: ${known} known targets`);
    const [host, other] = await twoHosts({ v6: false, datapath: 'kernel' });
    linkPlugin(host, fixture);
    // The other host forwards nothing: frames for what the answers say end there.
    await host.must('ip', ['route', 'add', STAMPED_NETWORK, 'via', other.v4]);
    await host.startDaemon();
    await createOverlay(host, { name: OVERLAY, search: 'stamped', vnetid: 7, properties: { 'vxlan/listen_ip': host.v4 } });
    await setTargets(await control(host), OVERLAY, known, other.v4);
    if (known === LARGEST) await measureRates(host, other, runs, samples, progress);
    rows.push(...(await measureLatencies(host, known)));
    await host.stopDaemon();
  }
  return rows;
}
