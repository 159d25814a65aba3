// All targets of one overlay as records, out of the engine a part at a time.
import type { CacheExport, EngineLink } from '../engine/messages.ts';
import { SNAPSHOT_PLACES } from '../util/limits.ts';

/** Undefined when the overlay went meanwhile. `port`: its number in the engine. */
export async function exportedTargets(engine: EngineLink, port: number): Promise<readonly Uint8Array[] | undefined> {
  const parts: Uint8Array[] = [];
  for (let from = 0; from >= 0; ) {
    const part = (await engine.call({ op: 'cacheExport', port, from, count: SNAPSHOT_PLACES })) as CacheExport | undefined;
    if (part === undefined) return undefined;
    parts.push(part.records);
    from = part.next;
  }
  return parts;
}
