// Steps that drivers have in common: who has the port, what the engine is told of an overlay, and what was left of its link.
import type { KernelNetwork, LinkInfo } from '../linux/types.ts';
import type { Unwind } from '../util/unwind.ts';
import type { DatapathSpec, DriverName } from './driver.ts';
import type { MuxSockets, OpenMux } from './mux-sockets.ts';
import type { PortClaims } from './port-claims.ts';

/** What the engine is told of an overlay, but for where it is. */
export function portTraits({ vnetid, mtu, header, carriesVlanTag, group, resolves, servesDhcp, point, restore }: DatapathSpec) {
  const traits = { vnetid, mtu, header, carriesVlanTag, group, resolves, servesDhcp };
  return {
    ...traits,
    ...(point === undefined ? {} : { point }),
    ...(restore === undefined ? {} : { targets: restore.targets, areUnwritten: restore.isMoved === true }),
  };
}

/** The first steps of every open(): the port is the driver's, and the overlay is on its mux. `unwind` gets what undoes them. */
export async function joinUnderlay(
  { claims, muxes }: { readonly claims: PortClaims; readonly muxes: MuxSockets },
  driver: DriverName,
  spec: DatapathSpec,
  unwind: Unwind,
): Promise<OpenMux> {
  claims.claim(driver, spec.encap, spec.socket, spec.name);
  unwind.add(() => claims.release(spec.socket, spec.name));
  const mux = await muxes.join(spec);
  unwind.add(() => muxes.withdraw(mux, spec.vnetid));
  return mux;
}

const OTHER = { tun: 'vxlan', vxlan: 'tun' } as const;

/**
 * The link of an overlay that is restored. One of ours of the other kind is what is left of a change of its data path in the middle of
 * which overlayd ended: nothing stands on it, and it goes.
 */
export function linkBefore(
  kernel: Pick<KernelNetwork, 'link' | 'linksAbove' | 'deleteOverlayLink'>,
  name: string,
  kind: 'tun' | 'vxlan',
): LinkInfo | undefined {
  const link = kernel.link(name);
  if (link === undefined || !link.ours || link.mark?.name !== name || link.kind !== OTHER[kind]) return link;
  if (kernel.linksAbove(link.index).length > 0) return link;
  kernel.deleteOverlayLink(name);
  return undefined;
}
