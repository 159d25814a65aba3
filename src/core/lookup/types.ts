// What the rest of overlayd knows of plugin hosts: descriptions as data, and instances that are asked by message.
import type { Destination, DestinationField, IpAddress, LocalAddress, MacAddress, UnderlaySocket } from '@overlayadm/api';
import type { Answer, Ask, EncapDescription, LookupDescription, PropertyRecord, ProviderTable } from '../varpd/protocol.ts';

export type { Answer, Ask, EncapDescription, LookupDescription, PropertyRecord, Provider, ProviderTable } from '../varpd/protocol.ts';

/** Who set a path property: its file is read with no more rights than this user has. */
export interface Setter {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

export interface InstanceSpec {
  readonly overlay: string;
  readonly plugin: string;
  readonly vnetid: number;
  readonly needs: readonly DestinationField[];
  readonly usualPort?: number;
  readonly values: PropertyRecord;
  readonly setter: Setter;
  /** What the VNICs of the overlay are called now, by name of the VNIC; asked again and again while the plugin follows it. May throw. */
  localAddresses(): readonly LocalAddress[];
}

/**
 * Called by the instance, never inside a call to it; a plugin may report before createInstance() has settled. Destinations
 * are shaped right, but not yet checked for sense.
 */
export interface InstanceEvents {
  answered(answers: readonly Answer[]): void;
  setTarget(mac: MacAddress, destination: Destination): void;
  invalidateTarget(mac: MacAddress): void;
  announce(ip: IpAddress, mac: MacAddress, toMacs: readonly MacAddress[] | undefined): void;
  /** A report of the plugin itself. */
  degraded(reason: string): void;
  restored(): void;
  /** The plugin host died or hangs, or is back. Outstanding requests are kept and asked again. */
  hostDown(reason: string): void;
  hostUp(): void;
  /** A file of the plugin changed while its host was down: what was answered before may not be true any more, and nobody else will say so. */
  outdated(): void;
}

export interface LookupInstance {
  readonly mode: 'point' | 'dynamic';
  /** Only for mode point. */
  readonly point: Destination | undefined;
  /** Wants group frames that are no question. */
  readonly group: boolean;
  readonly resolves: boolean;
  readonly servesDhcp: boolean;
  /** Every id is answered exactly once through `answered`, at the latest after the lookup time-out, unless it is aborted. */
  ask(asks: readonly Ask[]): void;
  abort(ids: readonly number[]): void;
  /** Aborts what is outstanding and lets go of the plugin; returns at once, never waits for it. */
  close(): void;
}

export interface PluginHosts {
  /** Known providers; `refresh` looks again, for a plugin that was just installed. */
  providers(refresh?: boolean): Promise<ProviderTable>;
  /** @throws OverlayError PLUGIN_UNKNOWN with the list of known ones, PLUGIN_FAILED when its package cannot be used. */
  describeEncap(name: string): Promise<EncapDescription>;
  describeLookup(name: string): Promise<LookupDescription>;
  /** Runs the `refuse` functions of a plugin. The first refusal: which property and why. */
  refuse(kind: 'encap' | 'lookup', name: string, values: PropertyRecord): Promise<{ readonly property: string; readonly reason: string } | undefined>;
  socket(encap: string, values: PropertyRecord): Promise<UnderlaySocket>;
  /** Makes and starts an instance. @throws OverlayError LOOKUP_START_FAILED with the plugin's own words. */
  createInstance(spec: InstanceSpec, events: InstanceEvents): Promise<LookupInstance>;
  /** Ends every host. */
  stop(): Promise<void>;
}
