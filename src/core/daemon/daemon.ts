// The composition root: makes every part of overlayd, hands them to each other, and takes them down in the reverse order.
import { randomBytes } from 'node:crypto';
import { messageOf } from '@overlayadm/api';
import type { PacketIo } from '@overlayadm/packetio';
import { selectDriver } from '../datapath/select.ts';
import { TapDriver } from '../datapath/tap.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { PluginHosts } from '../lookup/types.ts';
import { Overlays } from '../overlay/overlays.ts';
import { Vnics } from '../overlay/vnics.ts';
import { serve } from '../rpc/server.ts';
import type { Clock } from '../util/clock.ts';
import { type Directories, socketPath } from '../util/directories.ts';
import type { Log } from '../util/log.ts';
import { Unwind } from '../util/unwind.ts';
import { checkFormat, compileHeader } from '../wire/header-format.ts';
import type { StartEngine } from './engine-thread.ts';
import { frameDoor } from './frames.ts';
import { makeHandlers } from './handlers.ts';
import { groupId, READERS, roleOf } from './roles.ts';

export interface DaemonParts {
  readonly directories: Directories;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly io: PacketIo;
  readonly kernel: KernelNetwork;
  readonly startEngine: StartEngine;
  readonly hosts: PluginHosts;
}

export interface Daemon {
  /** Settles when the engine has ended of itself; overlayd cannot go on without. */
  readonly failed: Promise<Error>;
  /** Deletes every overlay and VNIC, and ends what was started. Once. */
  stop(): Promise<void>;
}

/** The control socket is there when this settles. What was made is undone when it throws. */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const { directories, version, clock, log, io, kernel, hosts } = parts;
  const report = (error: unknown): void => log.error({ error: messageOf(error) }, 'clean-up failed');
  await using unwind = new Unwind(report);
  unwind.add(() => kernel.close());
  unwind.add(() => hosts.stop());
  // Made below; the engine has nothing to say before there is a port.
  const receive: Parameters<StartEngine>[0] = (message) => overlays.fromEngine(message);
  const engine = parts.startEngine(receive);
  unwind.add(() => engine.stop());
  const tap = new TapDriver({ io, engine, kernel, random: Math.random, report });
  let lastId = 0;
  const overlays: Overlays = new Overlays({
    hosts,
    kernel,
    drivers: [tap],
    overlay: { engine, frames: frameDoor, clock, log },
    select: selectDriver,
    checkFormat,
    compileHeader,
    nextId: () => ++lastId,
    localAddresses: (name) => vnics.addresses(name),
    isVnic: (name, mac) => vnics.has(name, mac),
    gone: (name) => vnics.forget(name),
  });
  const vnics: Vnics = new Vnics({ kernel, log, randomBytes: (count) => randomBytes(count), overlay: (name) => overlays.get(name) });
  unwind.add(() => overlays.close());
  const gid = groupId(READERS);
  const server = await serve({
    path: socketPath(directories),
    ...(gid === undefined ? {} : { gid }),
    handlers: makeHandlers({ overlays, vnics, hosts, kernel, version }),
    log,
    clock,
    credentialsOf: (fd) => io.peerCredentials(fd),
    roleOf: (credentials) => roleOf(credentials, process.geteuid?.() ?? 0),
  });
  unwind.add(() => server.close());
  // Discovery takes longer than all the rest; the first create need not wait for it.
  hosts.providers().catch((error) => log.error({ error: messageOf(error) }, 'plugins cannot be listed'));
  const undo = unwind.keep();
  return { failed: engine.failed, stop: () => takeDown(undo, report) };
}

async function takeDown(undo: ReturnType<Unwind['keep']>, report: (error: unknown) => void): Promise<void> {
  await using unwind = new Unwind(report);
  for (const step of undo) unwind.add(step);
}
