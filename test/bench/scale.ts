// One overlayd with few and with many overlays, and with many targets: what commands cost, how long others wait, how soon it is back.
import { resolve } from 'node:path';
import type { Client } from '../../src/core/rpc/client.ts';
import { mac } from '../helpers/frames.ts';
import { type Datapath, type Host, twoHosts, waitFor } from '../helpers/netns.ts';
import { control, controlAfter, mappingFile } from '../helpers/netns-overlay.ts';
import { askForMany, costOf, createMany, linkPlugins, setTargets, waitsDuring } from '../helpers/netns-scale.ts';
import { daemonOf } from './paths.ts';
import { residentBytes } from './process-figures.ts';
import type { Samples } from './report.ts';

const MIB = 2 ** 20;
const SIZES = [1, 100, 1000] as const;
type Size = (typeof SIZES)[number];
const TARGETS = 100_000;
const LOOKUPS = 10_000;
/** What takes seconds is run less often: at most so many times. */
const FEWER_RUNS = 3;
/** A plugin that does not answer is given 30 s (LOOKUP_TIMEOUT_MS), and one that hangs 10 s until it is killed, ms. */
const ONLINE_MS = 60_000;
const OVERLAYADM = resolve('bin/overlayadm');
const TARGETED = 'targets0';

const subjectOf = (size: Size): string => `${size} overlay${size === 1 ? '' : 's'}`;
export const SCALE_BASELINE = subjectOf(1);

interface Subject {
  readonly name: string;
  readonly size: Size;
  readonly host: Host;
  readonly other: Host;
  client: Client;
}

type Progress = (text: string) => void;

const datapathOf = ({ datapath }: Host): { readonly datapath: string } => ({ datapath: datapath ?? 'auto' });

const direct = ({ host, other }: Pick<Subject, 'host' | 'other'>) => ({
  search: 'direct',
  properties: { ...datapathOf(host), 'vxlan/listen_ip': host.v4, 'direct/dest_ip': other.v4, 'direct/dest_port': '4789' },
});

async function build(size: Size, datapath: Datapath, samples: Samples): Promise<Subject> {
  const [host, other] = await twoHosts({ v6: false, datapath });
  linkPlugins(host, ['silent', 'spinning']);
  await host.startDaemon();
  const subject: Subject = { name: subjectOf(size), size, host, other, client: await control(host) };
  // The first one waits for the list of plugins and for their hosts.
  await createMany(subject.client, { count: 1, ...direct(subject) });
  if (size === 1) return subject;
  const bystander = await control(host);
  const began = performance.now();
  const waits = await waitsDuring(bystander, () => createMany(subject.client, { count: size - 1, from: 1, ...direct(subject) }));
  samples.add('create, overlays/s', subject.name, (size - 1) / ((performance.now() - began) / 1000));
  samples.add('longest wait of others while creating, ms', subject.name, waits.longest);
  bystander.close();
  return subject;
}

function noteMemory({ host, name }: Subject, samples: Samples, what: string): void {
  samples.add(`overlayd${what}, MiB`, name, residentBytes(daemonOf(host)) / MIB);
  const keeper = host.keeperPid();
  if (keeper !== undefined) samples.add(`keeper${what}, MiB`, name, residentBytes(keeper) / MIB);
}

/** Served is what forwards: the socket comes after the last overlay. */
async function restart(subject: Subject, samples: Samples): Promise<void> {
  const { host, name, size } = subject;
  const pid = daemonOf(host);
  const began = performance.now();
  process.kill(pid, 'SIGHUP');
  subject.client = await controlAfter(host, pid);
  samples.add('restart until all forward, s', name, (performance.now() - began) / 1000);
  const isOnline = async (): Promise<boolean> => {
    const rows = await Promise.all(Array.from({ length: size }, (_, number) => subject.client.call('overlay.health', { name: `overlay${number}` })));
    return rows.every(({ status }) => status === 'ONLINE');
  };
  await waitFor(isOnline, ONLINE_MS, 'all overlays to be online');
  samples.add('restart until all are online, s', name, (performance.now() - began) / 1000);
}

async function show({ host, name }: Subject, samples: Samples, words: readonly string[], when = ''): Promise<void> {
  const { cpu, wall, peakBytes, status } = await costOf(host, OVERLAYADM, words);
  if (status !== 0) throw new Error(`${words.join(' ')}: status ${status}`);
  const what = `${words[0]}${words[1] === '-t' ? ' -t' : ''}${when}`;
  samples.add(`${what}, CPU ms`, name, cpu * 1000);
  samples.add(`${what}, wall ms`, name, wall * 1000);
  if (words[1] === '-t') samples.add(`${what}, peak MiB`, name, peakBytes / MIB);
}

async function addTargets({ host, client, other, name }: Subject, samples: Samples): Promise<void> {
  const properties = [
    { name: 'datapath', text: datapathOf(host).datapath },
    { name: 'vxlan/listen_ip', text: host.v4 },
    { name: 'files/config', text: mappingFile(host, 'none.json', {}) },
  ];
  await client.call('overlay.create', { name: TARGETED, encap: 'vxlan', search: 'files', vnetid: 1_000_001, properties, temporary: false });
  const bystander = await control(host);
  const began = performance.now();
  const waits = await waitsDuring(bystander, () => setTargets(client, TARGETED, TARGETS, other.v4));
  samples.add(`targets set/s, of ${TARGETS}`, name, TARGETS / ((performance.now() - began) / 1000));
  samples.add('longest wait of others while setting targets, ms', name, waits.longest);
  bystander.close();
}

/** 10,000 lookups wait for a plugin that never answers, and another plugin hangs: once asked, until its host is killed. */
async function askInVain({ host, client }: Subject): Promise<void> {
  const properties = [
    { name: 'datapath', text: datapathOf(host).datapath },
    { name: 'vxlan/listen_ip', text: host.v4 },
  ];
  for (const [at, search] of ['silent', 'spinning'].entries()) {
    const name = `${search}0`;
    await client.call('overlay.create', { name, encap: 'vxlan', search, vnetid: 2_000_000 + at, properties, temporary: true });
    const vnic = { where: host, name: `vnic${at}`, mac: mac(900 + at) };
    await client.call('vnic.create', { name: vnic.name, overlay: name, mac: vnic.mac, properties: [], temporary: true });
    await askForMany(client, name, vnic, search === 'silent' ? LOOKUPS : 1);
  }
}

async function eachRun(runs: number, subjects: readonly Subject[], work: (subject: Subject, run: number) => Promise<void>): Promise<void> {
  for (let run = 0; run < runs; run++) for (const subject of run % 2 === 0 ? subjects : subjects.toReversed()) await work(subject, run);
}

/** Create is measured once for each size, restarts of many overlays and -t at most FEWER_RUNS times, the rest `runs` times. */
export async function measureScale(runs: number, datapath: Datapath, samples: Samples, progress: Progress): Promise<void> {
  const subjects: Subject[] = [];
  for (const size of SIZES) {
    progress(`scale: ${subjectOf(size)}`);
    subjects.push(await build(size, datapath, samples));
  }
  for (const subject of subjects) noteMemory(subject, samples, '');
  await eachRun(runs, subjects, async (subject, run) => {
    progress(`scale, run ${run + 1} of ${runs}: ${subject.name}`);
    await show(subject, samples, ['show-overlay']);
    await show(subject, samples, ['show-link']);
    if (subject.size < 1000 || run < FEWER_RUNS) await restart(subject, samples);
  });
  const largest = subjects.at(-1);
  if (largest === undefined) return;
  progress(`scale: ${TARGETS} targets`);
  await addTargets(largest, samples);
  noteMemory(largest, samples, ` with ${TARGETS} targets`);
  for (let run = 0; run < Math.min(runs, FEWER_RUNS); run++) await show(largest, samples, ['show-overlay', '-t', TARGETED]);
  progress(`scale: ${LOOKUPS} lookups`);
  await askInVain(largest);
  for (let run = 0; run < runs; run++) await show(largest, samples, ['show-overlay'], `, ${LOOKUPS} lookups pending, a plugin hangs`);
  for (const { host } of subjects) await host.stopDaemon();
}
