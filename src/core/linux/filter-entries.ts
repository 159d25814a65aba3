// What the filter has for an overlay: the elements that its link, port, VNI and listen addresses come to.
import { type IpAddress, type IpFamily, ipScope, ipToBytes } from '@overlayadm/api';
import { type Element, elementOf } from './filter-layout.ts';
import { be16, concat } from './netlink/message.ts';
import { nameKey } from './netlink/nfnetlink.ts';

export interface FilterEntry {
  /** Of its link. */
  readonly name: string;
  readonly family: IpFamily;
  readonly port: number;
  readonly vnetid: number;
  /** Where its datagrams may come to; with an unspecified one among them, every address of its family. */
  readonly ips: readonly IpAddress[];
}

/** Port and VNI in network order, in words of their own. */
const portAndVni = ({ port, vnetid }: FilterEntry): Uint8Array =>
  concat([be16(port), Uint8Array.of(0, 0), Uint8Array.of(vnetid >>> 16, vnetid >>> 8, vnetid, 0)]);

export function elementsOf(entry: FilterEntry): Element[] {
  const isolated = elementOf('isolated', nameKey(entry.name));
  if (entry.ips.some((ip) => ipScope(ip) === 'unspecified')) return [isolated];
  const pair = portAndVni(entry);
  const at = entry.ips.map((ip) => elementOf(`at${entry.family}`, concat([pair, ipToBytes(ip)])));
  return [isolated, elementOf(`ours${entry.family}`, pair), ...at];
}

/** Is an element about this overlay, though perhaps with an address that it had earlier? */
export function concerning(entry: FilterEntry): (element: Element) => boolean {
  const pair = portAndVni(entry);
  const starts = [elementOf('isolated', nameKey(entry.name)), ...['ours', 'at'].map((set) => elementOf(`${set}${entry.family}`, pair))];
  return (element) => starts.some((start) => element.startsWith(start));
}
