// Rows of the listings, from overlays: what the show commands print, as data.
import { macToDisplay } from '@overlayadm/api';
import { isDrop } from '../engine/counters.ts';
import type { LinkStatistics as KernelStatistics } from '../linux/types.ts';
import type { PluginList, ProviderTable } from '../lookup/types.ts';
import type { Broken } from '../overlay/broken-overlays.ts';
import { isLive } from '../overlay/change.ts';
import type { Overlay } from '../overlay/overlay.ts';
import type { OverlayRecord } from '../overlay/record.ts';
import type { Vnic } from '../overlay/vnics.ts';
import { formatDefault, formatPossible, formatValue } from '../property/parse.ts';
import type { ResolvedProperty } from '../property/table.ts';
import type { HealthRow, LinkPropertyRow, LinkStatistics, Page, PluginList as PluginRows, PropertyRow, TargetRow, VnicRow } from '../rpc/protocol.ts';
import { MAX_PAGE_ROWS } from '../util/limits.ts';
import { macToKey } from '../util/mac-key.ts';

/** TARGET of the one row of point mode, as illumos prints it. */
const ANY_TARGET = '*:*:*:*:*:*';

const namesOf = (table: ProviderTable, kind: 'encap' | 'lookup'): string =>
  table.providers
    .filter((provider) => provider.kind === kind)
    .map(({ name }) => name)
    .toSorted()
    .join(',');

export function propertyRows({ facts }: Overlay, table: ProviderTable): readonly PropertyRow[] {
  // What is not set with -p has its value from the overlay itself, and what is possible for it from the plugins there are.
  const values: Readonly<Record<string, string>> = {
    vnetid: String(facts.vnetid),
    encap: facts.encap.name,
    datapath: facts.datapath,
    'varpd/id': String(facts.id),
    search: facts.search,
  };
  const possible: Readonly<Record<string, string>> = { encap: namesOf(table, 'encap'), search: namesOf(table, 'lookup') };
  return facts.properties.map(({ fullName, description, value }) => ({
    overlay: facts.name,
    property: fullName,
    access: description.access,
    required: description.required,
    value: values[fullName] ?? (value === undefined ? null : formatValue(value)),
    default: formatDefault(description) ?? null,
    possible: possible[fullName] ?? formatPossible(description) ?? null,
  }));
}

/**
 * Link properties: those that have a value of their own, not what -e, -s and -v have set. `configured`: what the configuration
 * gives a new overlay, before the plugin's own defaults.
 */
export function linkPropertyRows(
  { facts }: Overlay,
  saved: OverlayRecord | undefined,
  configured: ReadonlyMap<string, string> = new Map(),
): readonly LinkPropertyRow[] {
  const persistent = new Map((saved?.properties ?? []).map(({ fullName, value }) => [fullName, value]));
  const shown = (value: ResolvedProperty['value']): string | null => (value === undefined ? null : formatValue(value));
  const own = facts.properties.filter((property) => property.value !== undefined || isLive(property));
  return own.map((property) => ({
    link: facts.name,
    property: property.fullName,
    access: isLive(property) ? 'rw' : 'r-',
    value: shown(property.value),
    persistent: shown(persistent.get(property.fullName)),
    default: configured.get(property.fullName) ?? formatDefault(property.description) ?? null,
    possible: formatPossible(property.description) ?? null,
  }));
}

export function healthRow({ facts, health }: Overlay): HealthRow {
  const report = health.report();
  if (report === undefined) return { overlay: facts.name, status: 'ONLINE', details: null, since: null, advice: null };
  return { overlay: facts.name, status: 'DEGRADED', details: report.reason, since: report.since.toISOString(), advice: report.advice };
}

/** An overlay that should be there and is not. */
export const brokenRow = (overlay: string, { reason, since, advice }: Broken): HealthRow => ({
  overlay,
  status: 'DEGRADED',
  details: reason,
  since: since.toISOString(),
  advice,
});

/** An overlay that is saved, and that nobody has asked to be there. */
export const downRow = (overlay: string): HealthRow => ({
  overlay,
  status: 'DOWN',
  details: 'saved, not up',
  since: null,
  advice: `overlayadm up-overlay ${overlay}`,
});

/** The page behind `after`, which is what `next` of the page before said. */
export async function targetPage(overlay: Overlay, after: string | null): Promise<Page<TargetRow>> {
  const { name } = overlay.facts;
  const key = after === null ? -1 : Number(after);
  const targets = await overlay.targets(Number.isSafeInteger(key) ? key : -1);
  if (targets === undefined) {
    const point = overlay.point();
    return { rows: point === undefined ? [] : [{ overlay: name, target: ANY_TARGET, destination: point }], next: null };
  }
  const rows = targets.map(({ mac, destination }) => ({ overlay: name, target: macToDisplay(mac), destination }));
  const last = targets.at(-1);
  return { rows, next: last !== undefined && targets.length === MAX_PAGE_ROWS ? String(macToKey(last.mac)) : null };
}

/** Received is what came from the underlay for the VNICs, sent what they had put on it. */
export function overlayStatistics(link: string, counters: Readonly<Record<string, number>>): LinkStatistics {
  const count = (...names: readonly string[]): string => String(names.reduce((sum, name) => sum + (counters[name] ?? 0), 0));
  const drops = Object.entries(counters).filter(([name, value]) => value > 0 && isDrop(name));
  return {
    link,
    receivedFrames: count('rx.frames'),
    receivedBytes: count('rx.bytes'),
    sentFrames: count('tx.frames'),
    sentBytes: count('tx.bytes'),
    misses: count('lookup.asked', 'question.asked'),
    queued: count('lookup.queued'),
    drops: Object.fromEntries(drops.map(([name, value]) => [name, String(value)])),
  };
}

export const pluginRows = ({ plugins, problems }: PluginList): PluginRows => ({
  plugins: plugins.map(({ provider, properties, problem, uid, pid }) => ({
    kind: provider.kind,
    name: provider.name,
    package: provider.package,
    version: provider.version,
    api: provider.api,
    properties: properties?.map((name) => `${provider.name}/${name}`) ?? null,
    uid,
    pid: pid ?? null,
    problem: problem ?? null,
  })),
  problems,
});

/** What the kernel has counted on a VNIC; drops on the way are its too. */
export function vnicStatistics(link: string, statistics: KernelStatistics): LinkStatistics {
  const { rxFrames, rxBytes, txFrames, txBytes, rxDropped, txDropped, rxErrors, txErrors } = statistics;
  const drops = { 'rx.dropped': rxDropped, 'rx.errors': rxErrors, 'tx.dropped': txDropped, 'tx.errors': txErrors };
  return {
    link,
    receivedFrames: String(rxFrames),
    receivedBytes: String(rxBytes),
    sentFrames: String(txFrames),
    sentBytes: String(txBytes),
    misses: null,
    queued: null,
    drops: Object.fromEntries(Object.entries(drops).flatMap(([name, value]) => (value > 0n ? [[name, String(value)]] : []))),
  };
}

export const vnicRow = ({ name, overlay, mac, mtu, vid, netns, state, persistent }: Vnic): VnicRow => ({
  vnic: name,
  overlay,
  mac: macToDisplay(mac),
  mtu,
  vid: vid ?? null,
  netns: netns ?? null,
  state,
  persistent,
});
