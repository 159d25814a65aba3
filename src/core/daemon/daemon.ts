// The composition root: makes every part of overlayd, hands them to each other, and takes them down in the reverse order.
import { randomBytes } from 'node:crypto';
import { messageOf } from '@overlayadm/api';
import type { PacketIo } from '@overlayadm/packetio';
import { checkConfiguredNames, loadConfiguration } from '../config/configuration.ts';
import type { DatapathDriver } from '../datapath/driver.ts';
import { KernelDriver } from '../datapath/kernel.ts';
import { PortClaims } from '../datapath/port-claims.ts';
import { selectDriver } from '../datapath/select.ts';
import { TapDriver } from '../datapath/tap.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { PluginHosts } from '../lookup/types.ts';
import type { ChangeParts } from '../overlay/change.ts';
import type { OpenParts, PluginNames } from '../overlay/open.ts';
import { Overlays } from '../overlay/overlays.ts';
import { Records } from '../overlay/records.ts';
import { refreshProperties } from '../overlay/refresh.ts';
import { StateFiles } from '../overlay/state-files.ts';
import { TargetSnapshots } from '../overlay/target-snapshots.ts';
import { Vnics } from '../overlay/vnics.ts';
import { serve } from '../rpc/server.ts';
import type { Clock } from '../util/clock.ts';
import { type Directories, socketPath } from '../util/directories.ts';
import { STATUS_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { Unwind } from '../util/unwind.ts';
import { checkFormat, compileHeader } from '../wire/header-format.ts';
import { discardOverlay, sweepFilter, sweepLeftovers, Verifications } from './aftermath.ts';
import type { StartEngine } from './engine-thread.ts';
import { frameDoor } from './frames.ts';
import { makeHandlers } from './handlers.ts';
import type { HeldStore } from './held-descriptors.ts';
import { groupId, READERS, roleOf } from './roles.ts';
import { CONTROL, statusLine } from './service-manager.ts';
import { SnapshotDirectory } from './snapshot-files.ts';

export interface DaemonParts {
  readonly directories: Directories;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly io: PacketIo;
  readonly kernel: KernelNetwork;
  readonly startEngine: StartEngine;
  readonly hosts: PluginHosts;
  readonly store: HeldStore;
  /** Descriptors that this process may have open, where that is known. */
  readonly mostDescriptors?: number | undefined;
}

export interface Daemon {
  /** Settles when the engine has ended of itself; overlayd cannot go on without. */
  readonly failed: Promise<Error>;
  /** Lets go of every overlay and VNIC for the overlayd that comes next, and ends what was started. Once. */
  stop(): Promise<void>;
}

/** What was there before is there again, and the control socket, when this settles. What was made is undone when it throws. */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const { directories, version, clock, log, io, kernel, hosts, store } = parts;
  const report = (error: unknown): void => log.error({ error: messageOf(error) }, 'clean-up failed');
  await using unwind = new Unwind(report);
  const control = store.take(CONTROL);
  unwind.add(() => kernel.close());
  unwind.add(() => hosts.stop());
  // Made below; the engine has nothing to say before there is a port.
  const receive: Parameters<StartEngine>[0] = (message) => (message.op === 'notice' ? kernelDriver.noticed() : overlays.fromEngine(message));
  const engine = parts.startEngine(receive);
  unwind.add(() => engine.stop());
  const own = process.geteuid?.() ?? 0;
  const records = new Records(new StateFiles(directories));
  await records.load();
  const snapshots = new TargetSnapshots({ engine, clock, log, files: new SnapshotDirectory(directories), overlays: () => overlays.all() });
  const verifications = new Verifications(clock);
  let lastEngineId = 0;
  const nextId = (): number => ++lastEngineId;
  const claims = new PortClaims();
  const datapath = { io, engine, kernel, random: Math.random, report, store, clock, claims, nextId };
  const kernelDriver = new KernelDriver({ ...datapath, log });
  const drivers: readonly DatapathDriver[] = [kernelDriver, new TapDriver({ ...datapath, mostDescriptors: parts.mostDescriptors })];
  let lastId = Math.max(0, ...[...records.names('up'), ...records.names('saved')].map((name) => highestId(records, name)));
  const opening: OpenParts = {
    hosts,
    kernel,
    drivers,
    overlay: { engine, frames: frameDoor, clock, log },
    records,
    select: selectDriver,
    checkFormat,
    compileHeader,
    nextId: () => ++lastId,
    configured: (plugins) => configured(directories, plugins),
    configurer: { uid: own, gid: process.getegid?.() ?? 0, groups: [] },
    localAddresses: (name) => vnics.addresses(name),
    isVnic: (name, mac) => vnics.has(name, mac),
  };
  let hasSwept = false;
  /** What is left of the filter of kernel links, once all of them are back: others go on forwarding behind theirs. */
  const sweep = (): void => {
    if (hasSwept && !isIncomplete(overlays, records)) sweepFilter({ kernel, log });
  };
  const overlays: Overlays = new Overlays({
    ...opening,
    kernel,
    past: (record) => snapshots.load(record),
    forget: (name) => snapshots.remove(name),
    restored: async (overlay, record, past) => {
      verifications.begin(overlay, past);
      vnics.restore(record);
      sweep();
    },
    gone: (name) => {
      verifications.end(name);
      vnics.forget(name);
    },
    absentVnics: (name, temporary) => vnics.absent(name, temporary),
    discard: (name) => {
      for (const driver of drivers) driver.discard(name, !isIncomplete(overlays, records));
      discardOverlay({ kernel, store, log }, name);
      sweep();
    },
  });
  const vnics: Vnics = new Vnics({ kernel, log, clock, records, randomBytes: (count) => randomBytes(count), overlay: (name) => overlays.get(name) });
  const change: ChangeParts = {
    ...opening,
    kernel,
    vnicsAbove: (name, mtu) => vnics.vnicsAbove(name, mtu),
    reopened: (overlay, before) => overlays.reopened(overlay, before),
    whileRemade: (name, work) => overlays.whileRemade(name, () => vnics.exclusively(work)).finally(() => vnics.remade(name)),
  };
  unwind.add(() => vnics.close());
  unwind.add(() => overlays.close());
  unwind.add(() => snapshots.finish());
  await overlays.restore();
  for (const driver of drivers) await driver.ready();
  sweepLeftovers({ kernel, store, records, log, isIncomplete: isIncomplete(overlays, records) });
  hasSwept = true;
  sweep();
  snapshots.start();
  const refresh = (): Promise<void> => refreshProperties({ hosts, records, log }, overlays.all());
  const gid = groupId(READERS);
  const server = await serve({
    path: socketPath(directories),
    ...(control === undefined ? {} : { fd: control }),
    ...(gid === undefined ? {} : { gid }),
    handlers: makeHandlers({ overlays, vnics, hosts, kernel, records, version, change, refresh }),
    log,
    clock,
    credentialsOf: (fd) => io.peerCredentials(fd),
    roleOf: (credentials) => roleOf(credentials, own),
  });
  unwind.add(() => server.close());
  unwind.add(tellStatus(overlays, store, clock));
  // Discovery takes longer than all the rest; the first create need not wait for it.
  hosts.providers().then(refresh, (error) => log.error({ error: messageOf(error) }, 'plugins cannot be listed'));
  const undo = unwind.keep();
  return { failed: engine.failed, stop: () => takeDown(undo, report) };
}

async function takeDown(undo: ReturnType<Unwind['keep']>, report: (error: unknown) => void): Promise<void> {
  await using unwind = new Unwind(report);
  for (const step of undo) unwind.add(step);
}

/** Is there an overlay that should be there and is not? What its record says cannot be known when nobody can read it. */
const isIncomplete = (overlays: Overlays, records: Records): boolean =>
  overlays.names().length < records.names('up').length || records.unreadable('up').size > 0;

/** `varpd/id` of its records. */
const highestId = (records: Records, name: string): number => Math.max(records.get('up', name)?.id ?? 0, records.get('saved', name)?.id ?? 0);

/** @throws OverlayError of the configuration directory; for a name that one of these plugins does not know too. */
async function configured(directories: Directories, plugins: readonly PluginNames[]): Promise<ReadonlyMap<string, string>> {
  const { defaults, path } = await loadConfiguration(directories.config);
  const wrong = checkConfiguredNames(defaults, plugins, path);
  if (wrong !== undefined) throw wrong;
  return defaults;
}

/** Tells the service manager how many overlays there are and how they are, whenever that is another number. @returns how to end it */
function tellStatus(overlays: Overlays, store: HeldStore, clock: Clock): () => void {
  let told = '';
  const tell = (): void => {
    // What a person has taken down is none of those that should be there.
    const names = overlays.allNames().filter((name) => !overlays.isDown(name));
    const degraded = names.filter((name) => !overlays.has(name) || overlays.get(name).health.report() !== undefined);
    const line = statusLine(names.length, degraded.length);
    if (line !== told) store.tell(line);
    told = line;
  };
  tell();
  const timer = clock.every(STATUS_MS, tell);
  return () => timer.cancel();
}
