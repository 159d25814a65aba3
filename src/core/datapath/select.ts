// Which driver serves an overlay: the one that is asked for, or with `auto` the first that does not refuse.
import { OverlayError } from '@overlayadm/api';
import type { DatapathDriver, DatapathSpec } from './driver.ts';

export interface Selection {
  readonly driver: DatapathDriver;
  /** Why the ones before it were passed over, one each; what show-overlay says behind `auto`. */
  readonly passedOver: readonly string[];
}

/** `except`: an overlay that leaves its own data path for this one. @throws OverlayError DATAPATH_REFUSED with every driver's reason. */
export function selectDriver(
  drivers: readonly DatapathDriver[],
  wanted: string,
  spec: Pick<DatapathSpec, 'format' | 'socket'>,
  except?: string,
): Selection {
  const passedOver: string[] = [];
  for (const driver of drivers) {
    if (wanted !== 'auto' && driver.name !== wanted) continue;
    const reason = driver.refuse(spec, except);
    if (reason === undefined) return { driver, passedOver };
    passedOver.push(`${driver.name}: ${reason}`);
  }
  throw new OverlayError('DATAPATH_REFUSED', `datapath: ${wanted} cannot serve this overlay (${passedOver.join('; ') || 'no such driver'})`, {
    details: { datapath: wanted, reasons: passedOver },
    advice: `Choose another datapath (auto, ${drivers.map(({ name }) => name).join(', ')}) or another port with -p ENCAP/listen_port.`,
  });
}
