// Steps that drivers have in common: what the engine is told of an overlay, and what was left of its link.
import type { KernelNetwork, LinkInfo } from '../linux/types.ts';
import type { DatapathSpec } from './driver.ts';

/** What the engine is told of an overlay, but for where it is. */
export function portTraits({ vnetid, mtu, header, carriesVlanTag, group, resolves, servesDhcp, point, restore }: DatapathSpec) {
  const traits = { vnetid, mtu, header, carriesVlanTag, group, resolves, servesDhcp };
  return {
    ...traits,
    ...(point === undefined ? {} : { point }),
    ...(restore === undefined ? {} : { targets: restore.targets, areUnwritten: restore.isMoved === true }),
  };
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
