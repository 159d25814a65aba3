// What the rest of overlayd knows of plugin hosts: descriptions as data, and instances that are asked by message.
import type { Destination, DestinationField, IpAddress, LocalAddress, MacAddress, UnderlaySocket } from '@overlayadm/api';
import type { Answer, Ask, Created, EncapDescription, LookupDescription, PropertyRecord, Provider, ProviderTable } from '../varpd/protocol.ts';

export type { Answer, Ask, Created, EncapDescription, LookupDescription, PropertyRecord, Provider, ProviderTable } from '../varpd/protocol.ts';

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
  /** Who set each property of type path, by its name without prefix. A file that nobody set cannot be read. */
  readonly setters: Readonly<Record<string, Setter>>;
  /** What the VNICs of the overlay are called now, by name of the VNIC; asked again and again while the plugin follows it. May throw. */
  localAddresses(): readonly LocalAddress[];
}

/** What is known of an instance from before overlayd was started again. */
export interface InstancePast {
  /** What it said it can do, which it goes on to be asked for. */
  readonly created: Created;
  /** What its files held when it last read them (LookupInstance.digests): others now, and outdated() is called. */
  readonly digests: Readonly<Record<string, string>>;
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
  /** A digest of what each file of it held when it was last given to the plugin, by name of the property. */
  readonly digests: Readonly<Record<string, string>>;
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
  /**
   * An instance that was there before overlayd was started again. Returns at once, before any event: until its plugin is found
   * and has started, hostDown() says what is missing (again when that changes), what is asked waits, and it is tried again,
   * at the latest when plugins are looked for anew; then hostUp(). Never rejects.
   */
  restoreInstance(spec: InstanceSpec, past: InstancePast, events: InstanceEvents): LookupInstance;
  /** Looks for plugins anew, and replaces the host of each package that has changed by one with the new code, with all its instances or not at all. */
  reload(): Promise<PluginReload>;
  /** One row a provider. */
  list(): Promise<PluginList>;
  /** Ends every host. */
  stop(): Promise<void>;
}

/** A provider, for show-plugins. */
export interface PluginInfo {
  readonly provider: Provider;
  /** Names without prefix; undefined when the plugin cannot be loaded, and then `problem` says why. */
  readonly properties: readonly string[] | undefined;
  readonly problem: string | undefined;
  /** User that its host runs as, or would run as. */
  readonly uid: number;
  /** Process of its host; undefined when none runs. */
  readonly pid: number | undefined;
}
export interface PluginList {
  readonly plugins: readonly PluginInfo[];
  /** What was left out and why, one line each. */
  readonly problems: readonly string[];
}
export interface PluginReload {
  readonly replaced: readonly string[];
  readonly kept: readonly { readonly package: string; readonly reason: string }[];
  readonly problems: readonly string[];
}
