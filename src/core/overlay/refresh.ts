// After another version of a lookup plugin took over: its properties as it describes them now, with the values that the overlay has.
import { messageOf } from '@overlayadm/api';
import type { LookupDescription, PluginHosts } from '../lookup/types.ts';
import { isPossible } from '../property/description.ts';
import { propertyTable, type ResolvedProperty } from '../property/table.ts';
import { isValueOf } from '../property/values.ts';
import type { Log } from '../util/log.ts';
import type { Overlay } from './overlay.ts';
import { factsOf, type OverlayRecord } from './record.ts';
import type { Records } from './records.ts';

export interface RefreshParts {
  readonly hosts: Pick<PluginHosts, 'describeLookup'>;
  readonly records: Pick<Records, 'change' | 'get'>;
  readonly log: Log;
}

/**
 * Values stay, as far as the new version takes them; properties that are new have their defaults, and those that are no more
 * are gone. Never rejects: an overlay whose plugin cannot be asked, or whose record cannot be written, stays as it is.
 */
export async function refreshProperties(parts: RefreshParts, overlays: Iterable<Overlay>): Promise<void> {
  // Each plugin is asked once, also one that does not answer.
  const descriptions = new Map<string, LookupDescription | undefined>();
  for (const overlay of [...overlays]) {
    const { name, search } = overlay.facts;
    try {
      if (!descriptions.has(search)) descriptions.set(search, await parts.hosts.describeLookup(search).catch(() => undefined));
      const description = descriptions.get(search);
      if (description !== undefined) await refreshOne(parts, overlay, description);
    } catch (error) {
      parts.log.warn({ overlay: name, error: messageOf(error) }, 'properties cannot be brought up to date');
    }
  }
}

async function refreshOne({ records }: RefreshParts, overlay: Overlay, description: LookupDescription): Promise<void> {
  const { name, id } = overlay.facts;
  const isSame = (record: OverlayRecord): boolean => record.id === id;
  const before = records.get('up', name);
  if (before === undefined || JSON.stringify(withDescription(before, description)) === JSON.stringify(before)) return;
  await records.change(name, false, (record) => (isSame(record) ? withDescription(record, description) : record));
  const record = records.get('up', name);
  if (record !== undefined && isSame(record)) overlay.learn(factsOf(record));
}

/** Pure. The properties of the encapsulation stay as they were: so does its format. */
export function withDescription(record: OverlayRecord, lookup: LookupDescription): OverlayRecord {
  const before = new Map(record.properties.map((property) => [property.fullName, property]));
  const properties = propertyTable(record.encap, lookup).entries.map((entry): ResolvedProperty => {
    const known = before.get(entry.fullName);
    if (known !== undefined && entry.owner !== 'lookup') return known;
    const { description } = entry;
    const value = known?.value;
    if (known !== undefined && value !== undefined && isValueOf(description.type, value) && isPossible(description, value))
      return { ...entry, value, from: known.from };
    return { ...entry, value: description.default, from: description.default === undefined ? 'nothing' : 'default' };
  });
  const names = new Set(properties.map(({ fullName }) => fullName));
  const setters = Object.fromEntries(Object.entries(record.setters).filter(([name]) => names.has(name)));
  return { ...record, properties, setters };
}
