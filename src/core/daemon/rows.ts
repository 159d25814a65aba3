// Rows of the listings, from overlays: what show-overlay prints, as data.
import { macToDisplay } from '@overlayadm/api';
import type { ProviderTable } from '../lookup/types.ts';
import type { Overlay } from '../overlay/overlay.ts';
import type { Vnic } from '../overlay/vnics.ts';
import { formatDefault, formatPossible, formatValue } from '../property/parse.ts';
import type { HealthRow, Page, PropertyRow, TargetRow, VnicRow } from '../rpc/protocol.ts';
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

export function healthRow({ facts, health }: Overlay): HealthRow {
  const report = health.report();
  if (report === undefined) return { overlay: facts.name, status: 'ONLINE', details: null, since: null, advice: null };
  return { overlay: facts.name, status: 'DEGRADED', details: report.reason, since: report.since.toISOString(), advice: report.advice };
}

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

export const vnicRow = ({ name, overlay, mac, mtu, netns }: Vnic): VnicRow => ({
  vnic: name,
  overlay,
  mac: macToDisplay(mac),
  mtu,
  netns: netns ?? null,
});
