// Making an overlay: a transaction of named steps, each of which may refuse, and which are undone together.
import {
  type AnyPropertyValues,
  type HeaderFormat,
  ipFamily,
  type LocalAddress,
  type MacAddress,
  messageOf,
  OverlayError,
  type UnderlaySocket,
} from '@overlayadm/api';
import type { DatapathDriver, DatapathSpec } from '../datapath/driver.ts';
import type { Selection } from '../datapath/select.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { EncapDescription, LookupDescription, LookupInstance, PluginHosts, PropertyRecord, Setter } from '../lookup/types.ts';
import type { PropertyText } from '../property/arguments.ts';
import { refusedValue } from '../property/parse.ts';
import { propertyTable, type ResolvedProperty, resolveProperties, valuesOf } from '../property/table.ts';
import { LimitedLog } from '../util/limited-log.ts';
import { Unwind } from '../util/unwind.ts';
import { checkDestination } from './destination.ts';
import { overheadBytes } from './mtu.ts';
import { Overlay, type OverlayFacts, type OverlayParts } from './overlay.ts';

export interface CreateRequest {
  readonly name: string;
  readonly encap: string;
  readonly search: string;
  readonly vnetid: number;
  readonly properties: readonly PropertyText[];
  readonly setter: Setter;
}

export interface CreateParts {
  readonly hosts: PluginHosts;
  readonly kernel: Pick<KernelNetwork, 'refuseLinkName' | 'hostHasAddress' | 'routeMtu' | 'mtuTo'>;
  readonly drivers: readonly DatapathDriver[];
  readonly overlay: Omit<OverlayParts, 'healthLog' | 'check' | 'mtuTo' | 'isVnic'>;
  select(drivers: readonly DatapathDriver[], wanted: string, spec: Pick<DatapathSpec, 'format' | 'socket'>): Selection;
  /** Why a format cannot be used, and the header it gives. */
  checkFormat(format: HeaderFormat, vnetid: { readonly min: number; readonly max: number }): string | undefined;
  compileHeader(format: HeaderFormat, vnetid: number): Uint8Array;
  nextId(): number;
  /** What the VNICs over this overlay are called, for its lookup plugin. */
  localAddresses(overlay: string): readonly LocalAddress[];
  isVnic(overlay: string, mac: MacAddress): boolean;
}

export interface Created {
  readonly overlay: Overlay;
  readonly warnings: readonly string[];
}

/** Runs a step; what it throws says afterwards which step it was. */
async function step<T>(name: string, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    const known = OverlayError.is(cause) ? cause : undefined;
    throw new OverlayError(known?.code ?? 'CREATE_FAILED', `overlay creation failed (${name}): ${messageOf(cause)}`, {
      details: { ...known?.details, step: name },
      ...(known?.advice === undefined ? {} : { advice: known.advice }),
      cause,
    });
  }
}

/** @throws OverlayError of the step that refused, with `details.step`; then nothing is left of the attempt. */
export async function createOverlay(parts: CreateParts, request: CreateRequest): Promise<Created> {
  await using unwind = new Unwind((error) => parts.overlay.log.error({ overlay: request.name, error: messageOf(error) }, 'undo failed'));
  await step('name', () => refuseName(parts.kernel, request.name));
  const { encap, lookup } = await step('plugins', () => describePlugins(parts, request));
  await step('vnetid', () => checkVnetid(encap, request.vnetid));
  const properties = await step('properties', () => resolve(parts.hosts, encap, lookup, request.properties));
  const socket = await step('underlay', () => underlaySocket(parts, encap, properties));
  const wanted = String(properties.find(({ fullName }) => fullName === 'datapath')?.value);
  const selection = await step('data path', () => parts.select(parts.drivers, wanted, { format: encap.format, socket }));
  const mtu = Number(properties.find(({ fullName }) => fullName === 'mtu')?.value);
  const facts = overlayFacts(parts, request, encap, properties, socket, selection, wanted, mtu);
  const check: OverlayParts['check'] = (destination, point) =>
    checkDestination(destination, {
      needs: encap.needs,
      family: ipFamily(socket.listenIp),
      point,
      isOwnSocket: (ip, port) => selection.driver.isOwnSocket(ip, port),
    });
  // Its own, so that a plugin that floods the log cannot drown what there is to say of other overlays.
  const log = new LimitedLog(parts.overlay.log, parts.overlay.clock);
  const overlay = new Overlay(facts, {
    ...parts.overlay,
    healthLog: parts.overlay.log,
    log,
    check,
    mtuTo: (ip) => parts.kernel.mtuTo(socket.listenIp, ip),
    isVnic: (mac) => parts.isVnic(request.name, mac),
  });
  const instance = await step(`lookup plugin ${request.search}`, () => startLookup(parts, overlay, request));
  unwind.add(() => instance.close());
  const spec = await step(`lookup plugin ${request.search}`, () => datapathSpec(parts, facts, socket, instance, check));
  const warnings = await step('underlay', () => mtuWarnings(parts, facts));
  const port = await step('data path', () => selection.driver.open(spec));
  unwind.add(() => port.close());
  overlay.activate(port, instance);
  unwind.keep();
  return { overlay, warnings };
}

function refuseName(kernel: CreateParts['kernel'], name: string): void {
  const reason = kernel.refuseLinkName(name);
  if (reason === undefined) return;
  const advice = 'Choose another name; "ip link" shows the ones there are.';
  throw new OverlayError('LINK_EXISTS', `${name} ${reason}`, { details: { overlay: name }, advice });
}

async function describePlugins(
  { hosts, checkFormat }: CreateParts,
  request: CreateRequest,
): Promise<{ encap: EncapDescription; lookup: LookupDescription }> {
  const [encap, lookup] = await Promise.all([hosts.describeEncap(request.encap), hosts.describeLookup(request.search)]);
  const wrong = checkFormat(encap.format, encap.vnetid) ?? whyNotNeeds(encap);
  if (wrong === undefined) return { encap, lookup };
  throw new OverlayError('PLUGIN_FAILED', `${encap.name}: its header format cannot be used (${wrong})`, {
    details: { plugin: encap.name, reason: wrong },
    advice: 'This is a defect of the plugin; tell whoever made it.',
  });
}

/** A datagram cannot be sent to no port: what the carrier takes, destinations have to bring. */
function whyNotNeeds({ format, needs }: EncapDescription): string | undefined {
  const missing = format.carrier.over === 'udp' ? (['ip', 'port'] as const) : (['ip'] as const);
  const lacking = missing.filter((field) => !needs.includes(field));
  return lacking.length === 0 ? undefined : `its carrier is ${format.carrier.over}, but its needs lack ${lacking.join(' and ')}`;
}

function checkVnetid({ name, vnetid: { min, max } }: EncapDescription, vnetid: number): void {
  if (Number.isInteger(vnetid) && vnetid >= min && vnetid <= max) return;
  throw new OverlayError('VNETID_RANGE', `vnetid: ${vnetid} is not allowed by ${name} (${min}-${max})`, {
    details: { vnetid, min, max },
    advice: `Give -v a number from ${min} to ${max}.`,
  });
}

async function resolve(
  hosts: PluginHosts,
  encap: EncapDescription,
  lookup: LookupDescription,
  given: readonly PropertyText[],
): Promise<readonly ResolvedProperty[]> {
  const resolved = resolveProperties(propertyTable(encap, lookup), given);
  for (const { owner, plugin } of [{ owner: 'encap', plugin: encap } as const, { owner: 'lookup', plugin: lookup } as const]) {
    const values = recordOf(valuesOf(resolved, owner));
    const refused = await hosts.refuse(owner, plugin.name, values);
    if (refused !== undefined) throw refusedValue(`${plugin.name}/${refused.property}`, values[refused.property] ?? '', refused.reason);
  }
  return resolved;
}

/** Without what has no value: the form that crosses to a plugin host. */
const recordOf = (values: AnyPropertyValues): PropertyRecord =>
  Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

async function underlaySocket(parts: CreateParts, encap: EncapDescription, properties: readonly ResolvedProperty[]): Promise<UnderlaySocket> {
  const socket = await parts.hosts.socket(encap.name, recordOf(valuesOf(properties, 'encap')));
  if (parts.kernel.hostHasAddress(socket.listenIp)) return socket;
  throw new OverlayError('ADDRESS_NOT_HERE', `${encap.name}/listen_ip: ${socket.listenIp} is not an address of this host`, {
    details: { address: socket.listenIp },
    advice: '"ip address" shows the addresses there are; 0.0.0.0 or :: listens on all of them.',
  });
}

function overlayFacts(
  parts: CreateParts,
  { name, search, vnetid }: CreateRequest,
  encap: EncapDescription,
  properties: readonly ResolvedProperty[],
  { listenIp }: UnderlaySocket,
  { driver, passedOver }: Selection,
  wanted: string,
  mtu: number,
): OverlayFacts {
  const why = passedOver.length > 0 ? `; ${passedOver.join('; ')}` : '';
  const datapath = wanted === 'auto' ? `${driver.name} (auto${why})` : driver.name;
  return { name, id: parts.nextId(), vnetid, encap, search, listenIp, properties, mtu, datapath };
}

function startLookup(parts: CreateParts, overlay: Overlay, { name, search, vnetid, setter }: CreateRequest): Promise<LookupInstance> {
  const { encap, properties } = overlay.facts;
  const values = recordOf(valuesOf(properties, 'lookup'));
  const usualPort = encap.usualPort === undefined ? {} : { usualPort: encap.usualPort };
  const localAddresses = (): readonly LocalAddress[] => parts.localAddresses(name);
  const spec = { overlay: name, plugin: search, vnetid, needs: encap.needs, ...usualPort, values, setter, localAddresses };
  return parts.hosts.createInstance(spec, overlay.events);
}

function datapathSpec(
  parts: CreateParts,
  facts: OverlayFacts,
  socket: UnderlaySocket,
  instance: LookupInstance,
  check: OverlayParts['check'],
): DatapathSpec {
  const { name, mtu, vnetid, encap, search } = facts;
  const common = { name, mtu, vnetid, encap: encap.name, format: encap.format, header: parts.compileHeader(encap.format, vnetid), socket };
  const traits = { carriesVlanTag: encap.carriesVlanTag, group: instance.group, resolves: instance.resolves, servesDhcp: instance.servesDhcp };
  if (instance.mode === 'dynamic') return { ...common, ...traits };
  const point = instance.point === undefined ? ({ ok: false, reason: 'there is none' } as const) : check(instance.point, true);
  if (point.ok) return { ...common, ...traits, point: point.to };
  throw new OverlayError('DESTINATION_WRONG', `${search}: its destination cannot be used, ${point.reason}`, {
    details: { plugin: search, reason: point.reason },
    advice: `Correct the properties ${search}/...; "overlayadm show-overlay" of another overlay shows their names.`,
  });
}

/** Compares what leaves with what the link of the listen address carries; a warning with the number that fits. */
function mtuWarnings({ kernel }: CreateParts, facts: OverlayFacts): readonly string[] {
  const { mtu, encap, listenIp } = facts;
  const path = kernel.routeMtu(listenIp);
  const overhead = overheadBytes(facts);
  if (path === undefined || mtu + overhead <= path) return [];
  const tagged = encap.carriesVlanTag ? ' with a VLAN tag' : '';
  return [
    `mtu ${mtu} does not fit the underlay: ${mtu + overhead} bytes leave${tagged}, ${listenIp} carries ${path}; at most ${path - overhead} fits`,
  ];
}
