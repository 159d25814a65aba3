// Another data path for a live overlay: its link is made anew under the same name, with the same MAC address, MTU and targets.
import { messageOf, OverlayError } from '@overlayadm/api';
import type { DatapathPort, RestoreSpec } from '../datapath/driver.ts';
import type { KernelNetwork } from '../linux/types.ts';
import type { Unwind } from '../util/unwind.ts';
import { exportedTargets } from './exported-targets.ts';
import { datapathSpec, datapathText, driverOf, type OpenParts } from './open.ts';
import type { Overlay } from './overlay.ts';
import { factsOf, type OverlayRecord } from './record.ts';

export interface DatapathChangeParts extends OpenParts {
  readonly kernel: OpenParts['kernel'] & Pick<KernelNetwork, 'link' | 'linksAbove'>;
  /** The overlay has another port now; `before`: the number of the old one in the engine. */
  reopened(overlay: Overlay, before: number): void;
  /** While `work` runs nobody deletes the overlay or makes a VNIC on it. @throws OverlayError OVERLAY_BUSY */
  whileRemade<T>(overlay: string, work: () => Promise<T>): Promise<T>;
}

type Chosen = Pick<OverlayRecord, 'driver' | 'datapath'>;

/**
 * `next`: as the overlay is to be, with everything else that changes at once already made. What it gives goes into its record.
 * @throws OverlayError LINK_BUSY with the names of what stands on it, DATAPATH_REFUSED, or what the driver refuses; then the old one is back
 */
export async function changeDatapath(parts: DatapathChangeParts, overlay: Overlay, next: OverlayRecord, unwind: Unwind): Promise<Chosen> {
  const wanted = String(next.properties.find(({ fullName }) => fullName === 'datapath')?.value);
  const spec = { format: next.encap.format, socket: next.socket };
  const { driver, passedOver } = parts.select(parts.drivers, wanted, spec, next.name);
  const chosen = { driver: driver.name, datapath: datapathText(wanted, driver.name, passedOver) };
  const { port } = overlay;
  if (port === undefined || driver.name === port.driver) return chosen;
  await remake(parts, overlay, { ...next, ...chosen });
  unwind.add(() => remake(parts, overlay, { ...next, driver: port.driver }));
  return chosen;
}

function remake(parts: DatapathChangeParts, overlay: Overlay, to: OverlayRecord): Promise<void> {
  return parts.whileRemade(to.name, async () => {
    const { port } = overlay;
    if (port === undefined) throw new OverlayError('OVERLAY_NOT_FOUND', `${to.name}: is being deleted`, { details: { overlay: to.name } });
    refuseBusy(parts, overlay, port);
    await reopen(parts, overlay, to, await pastOf(parts, overlay, port));
  });
}

/** A macvlan cannot be put on another link, and goes with the one it stands on. */
function refuseBusy({ kernel }: DatapathChangeParts, { facts: { name } }: Overlay, { linkIndex }: DatapathPort): void {
  const above = kernel.linksAbove(linkIndex);
  if (above.length === 0) return;
  const links = above.map((link) => (link.netns === undefined ? link.name : `${link.name} in ${link.netns}`));
  throw new OverlayError('LINK_BUSY', `datapath: link busy (${links.join(', ')})`, {
    details: { overlay: name, links },
    advice: `Delete first what stands on it: "overlayadm delete-vnic ${above[0]?.name}".`,
  });
}

async function pastOf({ kernel, overlay: { engine } }: DatapathChangeParts, { facts }: Overlay, port: DatapathPort): Promise<RestoreSpec> {
  const mac = kernel.link(facts.name)?.mac;
  const targets = (await exportedTargets(engine, port.id)) ?? [];
  return { targets: Buffer.concat(targets), isMoved: true, ...(mac === undefined ? {} : { mac }) };
}

/** When the new one cannot be had the old one is made again. */
async function reopen(parts: DatapathChangeParts, overlay: Overlay, to: OverlayRecord, restore: RestoreSpec): Promise<void> {
  const before = overlay.port as DatapathPort;
  await before.close();
  const open = async (record: OverlayRecord): Promise<void> => {
    const facts = factsOf(record);
    const port = await driverOf(parts, facts).open(datapathSpec(parts, facts, restore));
    try {
      overlay.replacePort(port);
    } catch (error) {
      await port.close();
      throw error;
    }
    port.keep();
    parts.reopened(overlay, before.id);
  };
  try {
    await open(to);
  } catch (error) {
    if (overlay.port === undefined) throw error;
    await open({ ...to, driver: before.driver }).catch((second: unknown) => {
      overlay.health.degrade('device', `${to.name} has no link, neither the new one nor the old one can be made (${messageOf(second)})`);
    });
    throw error;
  }
}
