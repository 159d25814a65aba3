// Overlays and plugins of which versions come and go, in one process and with a clock that the test moves.
import type { IpAddress, LookupHost, LookupPlugin, MacAddress } from '@overlayadm/api';
import type { FileAccess } from '../../../src/core/lookup/files.ts';
import type { Ask, Created, InstanceEvents, InstancePast, InstanceSpec } from '../../../src/core/lookup/types.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { connectInProcess, type TestPlugin } from '../../helpers/in-process-host.ts';

export const mac = (last: number): MacAddress => `02:00:00:00:00:${last.toString(16).padStart(2, '0')}` as MacAddress;
export const lookup = (id: number): Ask => ({ id, kind: 'lookup', to: mac(id), from: mac(0xff), etherType: 0x800 });
export const drop = (id: number, reason: string) => ({ id, kind: 'drop', reason });
/** The answer of a version of the plugin. */
export const found = (id: number, version = 1) => ({ id, kind: 'found', destination: { ip: `192.0.2.${version}` } });

/** What one version of the plugin does beyond answering with its number. */
export interface Version {
  readonly start?: (values: InstanceSpec['values'], host: LookupHost, signal: AbortSignal) => Promise<void>;
  readonly answers?: boolean;
  readonly mode?: 'point';
}

export interface Running {
  readonly version: number;
  readonly values: InstanceSpec['values'];
  readonly host: LookupHost;
  readonly asked: MacAddress[];
  stopped: boolean;
}

export const DYNAMIC: Created = { mode: 'dynamic', group: false, resolves: false, servesDhcp: false };

export function rig(files?: FileAccess) {
  const clock = new FakeClock();
  const running: Running[] = [];
  const plugin = (version: number, script: Version = {}, name = 'test'): LookupPlugin => ({
    kind: 'lookup',
    name,
    properties: [
      { name: 'config', type: 'path', access: 'rw', required: false, summary: 'a file', live: true },
      { name: 'text', type: 'string', access: 'rw', required: false, summary: 'text', live: true },
    ],
    create(_needs, given, host) {
      const values = given as InstanceSpec['values'];
      const life: Running = { version, values, host, asked: [], stopped: false };
      running.push(life);
      const start = async (signal: AbortSignal): Promise<void> => script.start?.(values, host, signal);
      const stop = async (): Promise<void> => {
        life.stopped = true;
      };
      const destination = { ip: `192.0.2.${version}` as IpAddress };
      if (script.mode === 'point') return { mode: 'point', start, stop, destination: () => destination };
      return {
        mode: 'dynamic',
        start,
        stop,
        lookup: ({ to }) => {
          life.asked.push(to);
          return script.answers === false ? new Promise(() => {}) : Promise.resolve({ kind: 'found', destination });
        },
      };
    },
  });
  const make = (plugins: readonly TestPlugin[]) => connectInProcess(plugins, { clock, ...(files && { files }) });
  return { clock, running, plugin, make };
}

export const specOf = (
  overlay: string,
  values: InstanceSpec['values'] = {},
  setters: InstanceSpec['setters'] = {},
  plugin = 'test',
): InstanceSpec => ({
  overlay,
  plugin,
  vnetid: 1,
  needs: ['ip'],
  values,
  setters,
  localAddresses: () => [],
});

export const pastOf = (created: Partial<Created> = {}, digests: InstancePast['digests'] = {}): InstancePast => ({
  created: { ...DYNAMIC, ...created },
  digests,
});

/** Notes all that an instance says. */
export class Told {
  readonly all: unknown[] = [];
  readonly events: InstanceEvents = {
    answered: (answers) => void this.all.push(...answers),
    setTarget: (to, { ip }) => void this.all.push(`target ${to} ${ip}`),
    invalidateTarget: (to) => void this.all.push(`invalid ${to}`),
    announce: (ip) => void this.all.push(`announce ${ip}`),
    degraded: (reason) => void this.all.push(`degraded: ${reason}`),
    restored: () => void this.all.push('restored'),
    hostDown: (reason) => void this.all.push(`down: ${reason}`),
    hostUp: () => void this.all.push('up'),
    outdated: () => void this.all.push('outdated'),
  };

  take(): unknown[] {
    return this.all.splice(0);
  }
}

/** A file that the test writes. */
export function fakeFiles() {
  const state = { contents: 'first', reads: [] as string[] };
  const files: FileAccess = {
    stamp: async () => state.contents,
    read: async (path, { uid }) => {
      state.reads.push(`${path} ${uid}`);
      return Buffer.from(state.contents);
    },
  };
  return { state, files };
}

export const OWNER = { config: { uid: 1000, gid: 1000, groups: [] } };
export const readConfig = async (host: LookupHost): Promise<void> => {
  await host.file('config')[Symbol.asyncIterator]().next();
};
