// Link properties of an overlay: what may change while it lives, all of one command or nothing of it.
import { ipFamily, messageOf, OverlayError, type PropertyValue } from '@overlayadm/api';
import type { InstanceEvents, Setter } from '../lookup/types.ts';
import { type PropertyText, refuseRepeated } from '../property/arguments.ts';
import { parseValue, showText } from '../property/parse.ts';
import { isSettable, type ResolvedProperty, valuesOf } from '../property/table.ts';
import { Serial } from '../util/serial.ts';
import { Unwind } from '../util/unwind.ts';
import { changeDatapath, type DatapathChangeParts } from './change-datapath.ts';
import { refuseValues } from './create.ts';
import type { InstanceDoor } from './instance-door.ts';
import { checkListenAddress, createdOf, instanceSpec, mtuWarnings, pointOf, recordOf } from './open.ts';
import type { Overlay } from './overlay.ts';
import { factsOf, mtuOf, type OverlayRecord } from './record.ts';

export interface ChangeParts extends DatapathChangeParts {
  /** VNICs whose mtu is larger than this. */
  vnicsAbove(overlay: string, mtu: number): readonly string[];
}

interface Change {
  readonly fullName: string;
  readonly value: PropertyValue;
  readonly from: ResolvedProperty['from'];
}

/** May it change on a live overlay? */
export const isLive = (property: ResolvedProperty): boolean => isSettable(property) && property.description.live;

/**
 * Sets link properties. @throws OverlayError PROPERTY_UNKNOWN, PROPERTY_READ_ONLY, PROPERTY_FIXED, PROPERTY_INVALID,
 * PROPERTY_REPEATED, LINK_BUSY, and what the plugin or the kernel refuses; then nothing was changed.
 * @returns warnings
 */
export function setProperties(
  parts: ChangeParts,
  overlay: Overlay,
  given: readonly PropertyText[],
  setter: Setter,
  temporary: boolean,
): Promise<readonly string[]> {
  refuseRepeated(given);
  refuseFixed(
    overlay,
    given.map(({ name }) => name),
  );
  const changes = given.map(({ name, text }): Change => {
    const property = changeable(overlay, name);
    return { fullName: name, value: parseValue(name, property.description, text), from: 'argument' };
  });
  return apply(parts, overlay, changes, setter, temporary);
}

/** Back to the configured default, or the plugin's. `names`: null for everything that can change and has one. @throws as setProperties() */
export async function resetProperties(
  parts: ChangeParts,
  overlay: Overlay,
  names: readonly string[] | null,
  temporary: boolean,
): Promise<readonly string[]> {
  const { properties } = overlay.facts;
  const configured = await configuredFor(parts, overlay);
  refuseFixed(overlay, names ?? []);
  const wanted = names === null ? properties.filter(isLive) : [...new Set(names)].map((name) => changeable(overlay, name));
  const changes = wanted.flatMap((property): readonly Change[] => {
    const usual = defaultOf(property, configured);
    if (usual !== undefined) return [usual];
    if (names === null) return [];
    throw new OverlayError('PROPERTY_NO_DEFAULT', `${property.fullName}: has no default to go back to`, {
      details: { property: property.fullName },
      advice: 'Give it another value with set-linkprop.',
    });
  });
  return await apply(parts, overlay, changes, parts.configurer, temporary);
}

/** What the configuration says for the plugins of this overlay. @throws OverlayError CONFIG_* */
export function configuredFor(parts: Pick<ChangeParts, 'configured'>, { facts }: Overlay): Promise<ReadonlyMap<string, string>> {
  const { encap, search, properties } = facts;
  const namesOf = (prefix: string): readonly string[] =>
    properties.filter(({ fullName }) => fullName.startsWith(`${prefix}/`)).map(({ description }) => description.name);
  return parts.configured([encap.name, search].map((prefix) => ({ prefix, names: namesOf(prefix) })));
}

function defaultOf({ fullName, description }: ResolvedProperty, configured: ReadonlyMap<string, string>): Change | undefined {
  const text = configured.get(fullName);
  if (text !== undefined) return { fullName, value: parseValue(fullName, description, text), from: 'configuration' };
  return description.default === undefined ? undefined : { fullName, value: description.default, from: 'default' };
}

function changeable({ facts }: Overlay, name: string): ResolvedProperty {
  const property = facts.properties.find(({ fullName }) => fullName === name);
  if (property === undefined) {
    const known = facts.properties.filter(isLive).map(({ fullName }) => fullName);
    throw new OverlayError('PROPERTY_UNKNOWN', `invalid link property '${showText(name)}'`, {
      details: { property: name, known },
      advice: `Known are: ${known.join(', ')}.`,
    });
  }
  if (isLive(property)) return property;
  if (property.description.access === 'r-') {
    throw new OverlayError('PROPERTY_READ_ONLY', `${name}: read-only property`, { details: { property: name }, advice: `Leave out ${name}.` });
  }
  throw new OverlayError('PROPERTY_FIXED', `${name}: cannot change while ${facts.name} exists`, {
    details: { property: name, overlay: facts.name },
    advice: 'Delete the overlay and create it again with the other value.',
  });
}

/** Of several, one that is known says more about what was meant than one that is not. @throws OverlayError PROPERTY_READ_ONLY, PROPERTY_FIXED */
function refuseFixed(overlay: Overlay, names: readonly string[]): void {
  for (const name of names) if (overlay.facts.properties.some(({ fullName }) => fullName === name)) changeable(overlay, name);
}

const withChanges = (properties: readonly ResolvedProperty[], changes: readonly Change[]): readonly ResolvedProperty[] =>
  properties.map((property) => {
    const change = changes.find(({ fullName }) => fullName === property.fullName);
    return change === undefined ? property : { ...property, value: change.value, from: change.from };
  });

/** One change of an overlay at a time: each builds on what the one before has left. */
const serials = new WeakMap<Overlay, Serial>();

function apply(parts: ChangeParts, overlay: Overlay, changes: readonly Change[], setter: Setter, temporary: boolean): Promise<readonly string[]> {
  const serial = serials.get(overlay) ?? new Serial();
  serials.set(overlay, serial);
  return serial.run(() => applyNow(parts, overlay, changes, setter, temporary));
}

async function applyNow(
  parts: ChangeParts,
  overlay: Overlay,
  changes: readonly Change[],
  setter: Setter,
  temporary: boolean,
): Promise<readonly string[]> {
  const before = overlay.facts;
  const record = parts.records.get('up', before.name);
  if (record === undefined) throw goneMeanwhile(before.name);
  await using unwind = new Unwind((error) => parts.overlay.log.error({ overlay: before.name, error: messageOf(error) }, 'undo failed'));
  const properties = withChanges(before.properties, changes);
  if (!isSame(before.properties, properties, 'encap') || !isSame(before.properties, properties, 'lookup'))
    await refuseValues(parts.hosts, before.encap.name, before.search, properties);
  const setters = settersOf(properties, changes, setter, parts.configurer);
  let next: OverlayRecord = { ...record, properties, setters: { ...record.setters, ...setters } };
  next = { ...next, socket: await moveSocket(parts, overlay, next, unwind) };
  const fresh = await newInstance(parts, overlay, next, unwind);
  if (fresh !== undefined) next = { ...next, lookup: createdOf(fresh.instance) };
  const point = next.lookup.mode === 'point' ? pointOf(parts, factsOf(next)) : undefined;
  const saved = temporary ? undefined : await savedParts(parts, before.name, changes, next);
  changeMtu(parts, overlay, next, unwind);
  const isOther = changes.some(({ fullName }) => fullName === 'datapath');
  const path = isOther ? await changeDatapath(parts, overlay, next, unwind) : undefined;
  next = { ...next, ...path };
  await parts.records.change(before.name, temporary, (old, place) => {
    // Deleted, and made anew under its name: another overlay.
    if (old.id !== record.id) throw goneMeanwhile(before.name);
    return {
      ...old,
      properties: withChanges(old.properties, changes),
      setters: { ...old.setters, ...setters },
      socket: next.socket,
      lookup: next.lookup,
      ...path,
      ...(place === 'saved' ? saved : undefined),
    };
  });
  // Deleted meanwhile: there is nothing any more that could be another way.
  if (overlay.port === undefined) throw goneMeanwhile(before.name);
  unwind.keep();
  overlay.learn(factsOf(next));
  if (point !== undefined) overlay.port?.setPoint(point);
  if (fresh !== undefined) overlay.replaceInstance(fresh.instance, fresh.door);
  return changes.some(({ fullName }) => fullName === 'mtu') ? mtuWarnings(parts, overlay.facts) : [];
}

const goneMeanwhile = (name: string): OverlayError =>
  new OverlayError('OVERLAY_NOT_FOUND', `${name}: is being deleted`, { details: { overlay: name } });

/**
 * What follows from the saved properties. Other properties may have temporary values, which must not get into what is saved
 * with the ones that change now. Undefined: as it is now.
 */
async function savedParts(
  parts: ChangeParts,
  name: string,
  changes: readonly Change[],
  now: OverlayRecord,
): Promise<Pick<OverlayRecord, 'socket' | 'lookup'> | undefined> {
  const saved = parts.records.get('saved', name);
  if (saved === undefined) return undefined;
  const next = { ...saved, properties: withChanges(saved.properties, changes) };
  return { socket: await socketOf(parts, next, [now, saved]), lookup: await lookupOf(parts, next, [now, saved]) };
}

async function socketOf(parts: ChangeParts, next: OverlayRecord, known: readonly OverlayRecord[]): Promise<OverlayRecord['socket']> {
  const same = known.find(({ properties }) => isSame(properties, next.properties, 'encap'));
  return same?.socket ?? (await parts.hosts.socket(next.encap.name, recordOf(valuesOf(next.properties, 'encap'))));
}

/** A lookup instance that is made only to say what it would be. */
async function lookupOf(parts: ChangeParts, next: OverlayRecord, known: readonly OverlayRecord[]): Promise<OverlayRecord['lookup']> {
  const same = known.find(({ properties }) => isSame(properties, next.properties, 'lookup'));
  if (same !== undefined) return same.lookup;
  const instance = await parts.hosts.createInstance(instanceSpec(parts, factsOf(next)), NOBODY_HEARS);
  instance.close();
  return createdOf(instance);
}

const unheard = (): void => undefined;
const NOBODY_HEARS: InstanceEvents = {
  answered: unheard,
  setTarget: unheard,
  invalidateTarget: unheard,
  announce: unheard,
  degraded: unheard,
  restored: unheard,
  hostDown: unheard,
  hostUp: unheard,
  outdated: unheard,
};

const isSame = (before: readonly ResolvedProperty[], after: readonly ResolvedProperty[], owner: 'encap' | 'lookup'): boolean =>
  JSON.stringify(recordOf(valuesOf(before, owner))) === JSON.stringify(recordOf(valuesOf(after, owner)));

function settersOf(properties: readonly ResolvedProperty[], changes: readonly Change[], typed: Setter, configured: Setter): Record<string, Setter> {
  const paths = properties.filter(
    ({ fullName, description }) => description.type === 'path' && changes.some((change) => change.fullName === fullName),
  );
  return Object.fromEntries(paths.map(({ fullName, from }) => [fullName, from === 'configuration' ? configured : typed]));
}

async function moveSocket(parts: ChangeParts, overlay: Overlay, next: OverlayRecord, unwind: Unwind): Promise<OverlayRecord['socket']> {
  const { facts, port } = overlay;
  if (isSame(facts.properties, next.properties, 'encap')) return next.socket;
  const socket = await parts.hosts.socket(facts.encap.name, recordOf(valuesOf(next.properties, 'encap')));
  if (ipFamily(socket.listenIp) !== ipFamily(facts.listenIp)) {
    throw new OverlayError(
      'PROPERTY_FIXED',
      `${facts.encap.name}/listen_ip: the address family cannot change while ${facts.name} exists (${facts.listenIp} to ${socket.listenIp})`,
      {
        details: { overlay: facts.name, from: facts.listenIp, to: socket.listenIp },
        advice: 'Delete the overlay and create it again with the other value.',
      },
    );
  }
  checkListenAddress(parts, facts.encap.name, socket);
  await port?.move(socket);
  // Asked anew: it may have another one by then.
  unwind.add(async () => void (await overlay.port?.move(facts.socket)));
  return socket;
}

async function newInstance(parts: ChangeParts, overlay: Overlay, next: OverlayRecord, unwind: Unwind) {
  if (isSame(overlay.facts.properties, next.properties, 'lookup')) return undefined;
  const door: InstanceDoor = overlay.newDoor();
  const instance = await parts.hosts.createInstance(instanceSpec(parts, factsOf(next)), door.events);
  unwind.add(() => instance.close());
  if (instance.mode === next.lookup.mode) return { instance, door };
  throw new OverlayError('PLUGIN_FAILED', `${next.search}: changed from mode ${next.lookup.mode} to ${instance.mode}, which a live overlay cannot`, {
    details: { plugin: next.search },
    advice: 'Delete the overlay and create it again with the other value.',
  });
}

function changeMtu(parts: ChangeParts, overlay: Overlay, next: OverlayRecord, unwind: Unwind): void {
  const { facts, port } = overlay;
  const mtu = mtuOf(next);
  if (mtu === facts.mtu) return;
  const busy = mtu < facts.mtu ? parts.vnicsAbove(facts.name, mtu) : [];
  if (busy.length > 0) {
    throw new OverlayError('LINK_BUSY', `mtu: link busy (${busy.join(', ')})`, {
      details: { overlay: facts.name, mtu, vnics: busy },
      advice: `Lower theirs first: "overlayadm set-linkprop -p mtu=${mtu} ${busy[0]}".`,
    });
  }
  port?.setMtu(mtu);
  // Asked anew: it may be deleted meanwhile, and its name be that of another overlay.
  unwind.add(() => overlay.port?.setMtu(facts.mtu));
}
