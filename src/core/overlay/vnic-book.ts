// Which VNICs are recorded, and where: questions to the records of overlays.
import type { VnicRecord } from './record.ts';
import type { Place, Records } from './records.ts';

export type VnicRecords = Pick<Records, 'change' | 'get' | 'isSaved' | 'names'>;

export function vnicIn(records: VnicRecords, place: Place, overlay: string, name: string): VnicRecord | undefined {
  return records.get(place, overlay)?.vnics.find((vnic) => vnic.name === name);
}

/** The overlay whose record has a VNIC of this name. */
export function overlayOfVnic(records: VnicRecords, name: string, places: readonly Place[]): string | undefined {
  for (const place of places) {
    const found = records.names(place).find((overlay) => vnicIn(records, place, overlay, name) !== undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Of both places, so that one that is up and saved comes twice. */
export const recordedOver = (records: VnicRecords, overlay: string): readonly VnicRecord[] =>
  (['saved', 'up'] as const).flatMap((place) => records.get(place, overlay)?.vnics ?? []);

/** overlay2 before overlay10. */
const collator = new Intl.Collator('en', { numeric: true });
export const byNumber = (a: string, b: string): number => collator.compare(a, b);

export const inOrder = (names: readonly string[]): readonly string[] => [...new Set(names)].toSorted(byNumber);
