// What a lookup plugin tells the kit: which values make it work, what it then answers, and what it refuses.
import type {
  AnyPropertyValues,
  Destination,
  DestinationField,
  DynamicInstance,
  IpAddress,
  LookupPlugin,
  LookupRequest,
  MacAddress,
  PointInstance,
} from '@overlayadm/api';
import { type FakeHost, fakeHost } from './fake-host.ts';

export type Needs = readonly DestinationField[];
type Files = Readonly<Record<string, string | Uint8Array>>;

/** Destinations are given whole; the kit compares the fields that the needs at hand ask for. */
export type ExpectedAnswers =
  | { readonly mode: 'point'; readonly destination: Destination }
  | {
      readonly mode: 'dynamic';
      readonly found: readonly { readonly to: MacAddress; readonly destination: Destination }[];
      readonly dropped: readonly MacAddress[];
      /** Left out by a plugin without resolve(), which then must not have one. The same for `dhcp`. */
      readonly resolved?: readonly { readonly ip: IpAddress; readonly mac: MacAddress | undefined }[];
      readonly dhcp?: readonly { readonly client: MacAddress; readonly server: MacAddress | undefined }[];
    };

export interface LookupSetup {
  readonly plugin: LookupPlugin;
  readonly values: AnyPropertyValues;
  /** Contents of the files that properties of type path name. */
  readonly files?: Files;
  readonly usualPort?: number;
  /** Needs that have to be served. Every other set of needs has to be refused with LOOKUP_CANNOT_SERVE. */
  readonly serves: readonly Needs[];
  readonly answers: ExpectedAnswers;
  /** start() has to refuse each. What is left out is as in a working instance. */
  readonly badStarts: readonly { readonly name: string; readonly needs?: Needs; readonly values?: AnyPropertyValues; readonly files?: Files }[];
}

/** Every set of needs there is, the empty one included. */
export const ALL_NEEDS: readonly Needs[] = [
  [],
  ['ethernet'],
  ['ip'],
  ['port'],
  ['ethernet', 'ip'],
  ['ethernet', 'port'],
  ['ip', 'port'],
  ['ethernet', 'ip', 'port'],
];

export const sameNeeds = (a: Needs, b: Needs): boolean => [...a].sort().join() === [...b].sort().join();

export interface Rig {
  readonly host: FakeHost;
  readonly instance: PointInstance | DynamicInstance;
}

export type RigChange = { readonly values?: AnyPropertyValues | undefined; readonly files?: Files | undefined };

/** An instance with its host; not started. */
export function makeRig(setup: LookupSetup, needs: Needs, change: RigChange = {}): Rig {
  const host = fakeHost({ usualPort: setup.usualPort, files: change.files ?? setup.files ?? {} });
  const values = Object.freeze({ ...(change.values ?? setup.values) });
  return { host, instance: setup.plugin.create(Object.freeze([...needs]), values, host) };
}

/** The frame that a lookup is about; only the target matters to most plugins. */
export const requestFor = (to: MacAddress): LookupRequest => ({ vnetid: 100, to, from: '02:00:00:00:00:01' as MacAddress, etherType: 0x0800 });
