// The steps that making, restoring and changing an overlay have in common: from its record to its parts.
import { type AnyPropertyValues, type HeaderFormat, ipFamily, type LocalAddress, type MacAddress, messageOf, OverlayError } from '@overlayadm/api';
import type { DatapathDriver, DatapathSpec, RestoreSpec } from '../datapath/driver.ts';
import type { Selection } from '../datapath/select.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { Created, EncapDescription, InstanceSpec, LookupInstance, PluginHosts, PropertyRecord, Setter } from '../lookup/types.ts';
import { type ResolvedProperty, valuesOf } from '../property/table.ts';
import { LimitedLog } from '../util/limited-log.ts';
import { checkDestination } from './destination.ts';
import { overheadBytes, type SizeFacts } from './mtu.ts';
import { Overlay, type OverlayParts } from './overlay.ts';
import { factsOf, type OverlayFacts, type OverlayRecord } from './record.ts';
import type { Records } from './records.ts';

export interface OpenParts {
  readonly hosts: PluginHosts;
  readonly kernel: Pick<KernelNetwork, 'refuseLinkName' | 'hostHasAddress' | 'routeMtu' | 'mtuTo'>;
  readonly drivers: readonly DatapathDriver[];
  readonly overlay: Omit<OverlayParts, 'healthLog' | 'check' | 'mtuTo' | 'isVnic'>;
  readonly records: Records;
  select(drivers: readonly DatapathDriver[], wanted: string, spec: Pick<DatapathSpec, 'format' | 'socket'>, except?: string): Selection;
  /** Why a format cannot be used, and the header it gives. */
  checkFormat(format: HeaderFormat, vnetid: { readonly min: number; readonly max: number }): string | undefined;
  compileHeader(format: HeaderFormat, vnetid: number): Uint8Array;
  nextId(): number;
  /**
   * Defaults from the configuration directory, by full name, for an overlay with these plugins.
   * @throws OverlayError CONFIG_UNREADABLE, CONFIG_UNSAFE, CONFIG_INVALID
   */
  configured(plugins: readonly PluginNames[]): Promise<ReadonlyMap<string, string>>;
  /** Whoever wrote the configuration, for the files that it names. */
  readonly configurer: Setter;
  /** What the VNICs over this overlay are called, for its lookup plugin. */
  localAddresses(overlay: string): readonly LocalAddress[];
  isVnic(overlay: string, mac: MacAddress): boolean;
}

/** A plugin and the names of its properties, without prefix. */
export interface PluginNames {
  readonly prefix: string;
  readonly names: readonly string[];
}

/** Without what has no value: the form that crosses to a plugin host. */
export const recordOf = (values: AnyPropertyValues): PropertyRecord =>
  Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

const checkOf =
  (driver: () => DatapathDriver, encap: EncapDescription, socket: OverlayFacts['socket']): OverlayParts['check'] =>
  (destination, point) =>
    checkDestination(destination, {
      needs: encap.needs,
      family: ipFamily(socket.listenIp),
      point,
      isOwnSocket: (ip, port) => driver().isOwnSocket(ip, port),
    });

/** @throws OverlayError DATAPATH_REFUSED when the record names a driver that is not there */
export function driverOf({ drivers }: Pick<OpenParts, 'drivers'>, { name, driver }: OverlayFacts): DatapathDriver {
  const found = drivers.find((each) => each.name === driver);
  if (found !== undefined) return found;
  throw new OverlayError('DATAPATH_REFUSED', `${name}: datapath ${driver} is not there any more`, { details: { overlay: name, datapath: driver } });
}

/** As show-overlay says it: the driver, and behind `auto` why it was chosen. */
export const datapathText = (wanted: string, driver: string, passedOver: readonly string[]): string =>
  wanted === 'auto' ? `${driver} (${['auto', ...passedOver].join('; ')})` : driver;

/** The overlay itself, of which nothing is open yet. */
export function newOverlay(parts: OpenParts, record: OverlayRecord): Overlay {
  const facts = factsOf(record);
  const { name, encap, socket } = facts;
  driverOf(parts, facts);
  const overlay: Overlay = new Overlay(facts, {
    ...parts.overlay,
    healthLog: parts.overlay.log,
    // Its own, so that a plugin that floods the log cannot drown what there is to say of other overlays.
    log: new LimitedLog(parts.overlay.log, parts.overlay.clock),
    // It may get another one.
    check: checkOf(() => driverOf(parts, overlay.facts), encap, socket),
    // Asked when it matters: the listen address may have changed.
    mtuTo: (ip) => parts.kernel.mtuTo(overlay.facts.socket.listenIp, ip),
    isVnic: (mac) => parts.isVnic(name, mac),
  });
  return overlay;
}

/** For createInstance() and restoreInstance(). */
export function instanceSpec(parts: Pick<OpenParts, 'localAddresses'>, facts: OverlayFacts): InstanceSpec {
  const { name, search, vnetid, encap, properties, setters } = facts;
  const prefix = `${search}/`;
  const own = Object.entries(setters).filter(([property]) => property.startsWith(prefix));
  return {
    overlay: name,
    plugin: search,
    vnetid,
    needs: encap.needs,
    ...(encap.usualPort === undefined ? {} : { usualPort: encap.usualPort }),
    values: recordOf(valuesOf(properties, 'lookup')),
    setters: Object.fromEntries(own.map(([property, setter]) => [property.slice(prefix.length), setter])),
    localAddresses: () => parts.localAddresses(name),
  };
}

/** Who named each file: whoever typed it, or whoever wrote the configuration. */
export function settersOf(properties: readonly ResolvedProperty[], typed: Setter, configured: Setter): Readonly<Record<string, Setter>> {
  const named = properties.filter(({ description, value }) => description.type === 'path' && value !== undefined);
  return Object.fromEntries(named.map(({ fullName, from }) => [fullName, from === 'configuration' ? configured : typed]));
}

export function createdOf({ mode, point, group, resolves, servesDhcp }: LookupInstance): Created {
  return { mode, ...(point === undefined ? {} : { point }), group, resolves, servesDhcp };
}

/** @throws OverlayError DESTINATION_WRONG when the one destination of point mode cannot be used */
export function datapathSpec(parts: OpenParts, facts: OverlayFacts, restore?: RestoreSpec): DatapathSpec {
  const { name, mtu, vnetid, encap, socket, lookup } = facts;
  const { mode, group, resolves, servesDhcp } = lookup;
  const common = { name, mtu, vnetid, encap: encap.name, format: encap.format, header: parts.compileHeader(encap.format, vnetid), socket };
  const traits = { carriesVlanTag: encap.carriesVlanTag, group, resolves, servesDhcp, ...(restore === undefined ? {} : { restore }) };
  if (mode === 'dynamic') return { ...common, ...traits };
  return { ...common, ...traits, point: pointOf(parts, facts) };
}

/** The one destination of point mode, checked. @throws OverlayError DESTINATION_WRONG */
export function pointOf(parts: OpenParts, facts: OverlayFacts): NonNullable<DatapathSpec['point']> {
  const { search } = facts;
  const { point } = facts.lookup;
  const check = checkOf(() => driverOf(parts, facts), facts.encap, facts.socket);
  const checked = point === undefined ? ({ ok: false, reason: 'there is none' } as const) : check(point, true);
  if (checked.ok) return checked.to;
  throw new OverlayError('DESTINATION_WRONG', `${search}: its destination cannot be used, ${checked.reason}`, {
    details: { plugin: search, reason: checked.reason },
    advice: `Correct the properties ${search}/...; "overlayadm show-overlay" of another overlay shows their names.`,
  });
}

/** Compares what leaves with what the link of the listen address carries; a warning with the number that fits. */
export function mtuWarnings({ kernel }: Pick<OpenParts, 'kernel'>, facts: SizeFacts): readonly string[] {
  const { mtu, encap, listenIp } = facts;
  const path = kernel.routeMtu(listenIp);
  const overhead = overheadBytes(facts);
  if (path === undefined || mtu + overhead <= path) return [];
  const tagged = encap.carriesVlanTag ? ' with a VLAN tag' : '';
  return [
    `mtu ${mtu} does not fit the underlay: ${mtu + overhead} bytes leave${tagged}, ${listenIp} carries ${path}; at most ${path - overhead} fits`,
  ];
}

/** @throws OverlayError ADDRESS_NOT_HERE */
export function checkListenAddress({ kernel }: Pick<OpenParts, 'kernel'>, encap: string, socket: OverlayFacts['socket']): void {
  if (kernel.hostHasAddress(socket.listenIp)) return;
  throw new OverlayError('ADDRESS_NOT_HERE', `${encap}/listen_ip: ${socket.listenIp} is not an address of this host`, {
    details: { address: socket.listenIp },
    advice: '"ip address" shows the addresses there are; 0.0.0.0 or :: listens on all of them.',
  });
}

/** Runs a step; what it throws says afterwards which step it was. `failure`: `overlay creation failed`. */
export async function step<T>(failure: string, name: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    const known = OverlayError.is(cause) ? cause : undefined;
    throw new OverlayError(known?.code ?? 'CREATE_FAILED', `${failure} (${name}): ${messageOf(cause)}`, {
      details: { ...known?.details, step: name },
      ...(known?.advice === undefined ? {} : { advice: known.advice }),
      cause,
    });
  }
}
