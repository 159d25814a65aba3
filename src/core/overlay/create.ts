// Making an overlay: a transaction of named steps, each of which may refuse, and which are undone together.
import { messageOf, OverlayError, type UnderlaySocket } from '@overlayadm/api';
import type { EncapDescription, LookupDescription, PluginHosts, Setter } from '../lookup/types.ts';
import type { PropertyText } from '../property/arguments.ts';
import { refusedValue } from '../property/parse.ts';
import { propertyTable, type ResolvedProperty, resolveProperties, valuesOf } from '../property/table.ts';
import { Unwind } from '../util/unwind.ts';
import {
  checkListenAddress,
  createdOf,
  datapathSpec,
  datapathText,
  driverOf,
  instanceSpec,
  mtuWarnings,
  newOverlay,
  type OpenParts,
  recordOf,
  settersOf,
  step as stepOf,
} from './open.ts';
import type { Overlay } from './overlay.ts';
import { factsOf, type OverlayRecord, RECORD_VERSION } from './record.ts';

export interface CreateRequest {
  readonly name: string;
  readonly encap: string;
  readonly search: string;
  readonly vnetid: number;
  readonly properties: readonly PropertyText[];
  readonly setter: Setter;
  /** Not kept over a reboot. */
  readonly temporary: boolean;
}

export interface Created {
  readonly overlay: Overlay;
  readonly warnings: readonly string[];
}

const step = <T>(name: string, run: () => T | Promise<T>): Promise<T> => stepOf('overlay creation failed', name, run);

/** @throws OverlayError of the step that refused, with `details.step`; then nothing is left of the attempt. */
export async function createOverlay(parts: OpenParts, request: CreateRequest): Promise<Created> {
  await using unwind = new Unwind((error) => parts.overlay.log.error({ overlay: request.name, error: messageOf(error) }, 'undo failed'));
  await step('name', () => refuseName(parts.kernel, request.name));
  const planned = await plan(parts, request);
  const overlay = newOverlay(parts, planned);
  const lookup = `lookup plugin ${request.search}`;
  const door = overlay.newDoor();
  const instance = await step(lookup, () => parts.hosts.createInstance(instanceSpec(parts, overlay.facts), door.events));
  unwind.add(() => instance.close());
  const record: OverlayRecord = { ...planned, lookup: createdOf(instance) };
  overlay.learn(factsOf(record));
  const spec = await step(lookup, () => datapathSpec(parts, overlay.facts));
  const warnings = await step('underlay', () => mtuWarnings(parts, overlay.facts));
  const port = await step('data path', () => driverOf(parts, overlay.facts).open(spec));
  unwind.add(() => port.close());
  overlay.activate(port, instance, door);
  await step('state', () => parts.records.add(record, request.temporary));
  port.keep();
  unwind.keep();
  return { overlay, warnings };
}

/** The record of an overlay that nothing has been made of yet: what its instance can do is not known before it is there. */
async function plan(parts: OpenParts, request: CreateRequest): Promise<OverlayRecord> {
  const { name, vnetid, search } = request;
  const { encap, lookup } = await step('plugins', () => describePlugins(parts, request));
  await step('vnetid', () => checkVnetid(encap, vnetid));
  const properties = await step('properties', () => resolve(parts, encap, lookup, request.properties));
  const socket = await step('underlay', () => underlaySocket(parts, encap, properties));
  const wanted = String(properties.find(({ fullName }) => fullName === 'datapath')?.value);
  const { driver, passedOver } = await step('data path', () => parts.select(parts.drivers, wanted, { format: encap.format, socket }));
  return {
    version: RECORD_VERSION,
    name,
    id: parts.nextId(),
    vnetid,
    encap,
    search,
    lookup: { mode: 'dynamic', group: false, resolves: false, servesDhcp: false },
    socket,
    driver: driver.name,
    datapath: datapathText(wanted, driver.name, passedOver),
    properties,
    setters: settersOf(properties, request.setter, parts.configurer),
    vnics: [],
  };
}

function refuseName(kernel: OpenParts['kernel'], name: string): void {
  const reason = kernel.refuseLinkName(name);
  if (reason === undefined) return;
  const advice = 'Choose another name; "ip link" shows the ones there are.';
  throw new OverlayError('LINK_EXISTS', `${name} ${reason}`, { details: { overlay: name }, advice });
}

async function describePlugins(
  { hosts, checkFormat }: OpenParts,
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
  { hosts, configured }: OpenParts,
  encap: EncapDescription,
  lookup: LookupDescription,
  given: readonly PropertyText[],
): Promise<readonly ResolvedProperty[]> {
  const names = [encap, lookup].map((plugin) => ({ prefix: plugin.name, names: plugin.properties.map(({ name }) => name) }));
  const resolved = resolveProperties(propertyTable(encap, lookup), given, await configured(names));
  await refuseValues(hosts, encap.name, lookup.name, resolved);
  return resolved;
}

/** Asks the plugins themselves. @throws OverlayError PROPERTY_INVALID */
export async function refuseValues(hosts: PluginHosts, encap: string, lookup: string, resolved: readonly ResolvedProperty[]): Promise<void> {
  for (const { owner, plugin } of [{ owner: 'encap', plugin: encap } as const, { owner: 'lookup', plugin: lookup } as const]) {
    const values = recordOf(valuesOf(resolved, owner));
    const refused = await hosts.refuse(owner, plugin, values);
    if (refused !== undefined) throw refusedValue(`${plugin}/${refused.property}`, values[refused.property] ?? '', refused.reason);
  }
}

async function underlaySocket(parts: OpenParts, encap: EncapDescription, properties: readonly ResolvedProperty[]): Promise<UnderlaySocket> {
  const socket = await parts.hosts.socket(encap.name, recordOf(valuesOf(properties, 'encap')));
  checkListenAddress(parts, encap.name, socket);
  return socket;
}
