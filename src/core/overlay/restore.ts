// An overlay from its record: forwards at once what it knows, without a word of any plugin; its lookup instance comes when it can.
import { messageOf, OverlayError } from '@overlayadm/api';
import { Unwind } from '../util/unwind.ts';
import { datapathSpec, driverOf, instanceSpec, newOverlay, type OpenParts } from './open.ts';
import type { Overlay } from './overlay.ts';
import type { OverlayRecord } from './record.ts';

/** What was known besides the record when the overlayd before us ended. */
export interface Past {
  /** Targets, as engine/messages.ts CacheExport has them. */
  readonly targets: Uint8Array;
  /** Of the lookup instance's files. */
  readonly digests: Readonly<Record<string, string>>;
}
export const NO_PAST: Past = { targets: new Uint8Array(0), digests: {} };

/**
 * Takes over what is there of the overlay (a device, sockets), and makes what is missing.
 * @throws OverlayError of what refused; then nothing was changed
 */
export async function restoreOverlay(parts: OpenParts, record: OverlayRecord, past: Past): Promise<{ overlay: Overlay; adopted: boolean }> {
  await using unwind = new Unwind((error) => parts.overlay.log.error({ overlay: record.name, error: messageOf(error) }, 'undo failed'));
  const { encap, name } = record;
  const wrong = parts.checkFormat(encap.format, encap.vnetid);
  if (wrong !== undefined) throw new OverlayError('STATE_DAMAGED', `${name}: the saved header format of ${encap.name} cannot be used (${wrong})`);
  const overlay = newOverlay(parts, record);
  const door = overlay.newDoor();
  const spec = datapathSpec(parts, overlay.facts, { targets: past.targets });
  const instance = parts.hosts.restoreInstance(instanceSpec(parts, overlay.facts), { created: record.lookup, digests: past.digests }, door.events);
  unwind.add(() => instance.close());
  const port = await driverOf(parts, overlay.facts).open(spec);
  unwind.add(() => port.release());
  overlay.activate(port, instance, door);
  port.keep();
  unwind.keep();
  return { overlay, adopted: port.adopted };
}
