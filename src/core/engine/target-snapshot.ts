// A target cache to bytes and back, a part at a time: what outlives overlayd.
import { MAX_TARGETS_PER_OVERLAY, SNAPSHOT_PLACES } from '../util/limits.ts';
import type { CacheExport } from './messages.ts';
import { readTargets, TARGET_RECORD_BYTES, writeTarget } from './snapshot.ts';
import { isValid, type TargetCache } from './target-cache.ts';
import { STATE, type TargetTable } from './target-table.ts';

/** Valid entries among `count` places of the table from `from` on, in the order of the table. */
export function exportTargets(table: TargetTable, from: number, count: number): CacheExport {
  const begin = Math.max(0, from);
  const end = Math.min(begin + Math.min(Math.max(1, count), SNAPSHOT_PLACES), table.places);
  const bytes = new Uint8Array(TARGET_RECORD_BYTES * Math.max(0, end - begin));
  const address = new Uint8Array(table.address.buffer);
  let used = 0;
  for (let entry = begin; entry < end; entry++) {
    const state = table.state[entry] as number;
    if (!isValid(state)) continue;
    writeTarget(bytes, used, {
      high: table.high[entry] as number,
      low: table.low[entry] as number,
      drop: state === STATE.drop,
      fixed: table.isFixed(entry),
      family: table.family[entry] as number,
      udpPort: table.udpPort[entry] as number,
      address,
      addressAt: 16 * entry,
    });
    used += TARGET_RECORD_BYTES;
  }
  return { records: bytes.slice(0, used), next: end < table.places ? end : -1 };
}

/** Fills the cache of an overlay that has not had a frame yet. Beyond MAX_TARGETS_PER_OVERLAY only what a person has set finds room. */
export function loadTargets(cache: TargetCache, records: Uint8Array): void {
  for (const { mac, to, fixed } of readTargets(records)) {
    if (cache.isAdopted(mac, fixed)) continue;
    if (fixed || cache.validEntries < MAX_TARGETS_PER_OVERLAY) cache.set(mac, to, fixed, 0);
  }
}

/**
 * Rows that the table of a kernel link has already are targets that have their row; before loadTargets(), because what was written down of
 * a target may be older than its row. Who has said where it is the row does not tell.
 */
export function loadRows(cache: TargetCache, records: Uint8Array): void {
  for (const { mac, to } of readTargets(records)) cache.adoptRow(mac, to);
}
