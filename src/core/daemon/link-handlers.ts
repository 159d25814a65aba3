// The methods that take any link of ours, an overlay or a VNIC: show-link and the link properties.
import { OverlayError } from '@overlayadm/api';
import type { KernelNetwork, LinkInfo } from '../linux/types.ts';
import type { Setter } from '../lookup/types.ts';
import { type ChangeParts, configuredFor, resetProperties, setProperties } from '../overlay/change.ts';
import type { Overlay } from '../overlay/overlay.ts';
import type { Overlays } from '../overlay/overlays.ts';
import type { Records } from '../overlay/records.ts';
import type { Vnics } from '../overlay/vnics.ts';
import type { LinkRow } from '../rpc/protocol.ts';
import type { Handlers } from '../rpc/server.ts';
import { linkPropertyRows, overlayStatistics, vnicStatistics } from './rows.ts';

export interface LinkParts {
  readonly overlays: Overlays;
  readonly vnics: Vnics;
  readonly kernel: Pick<KernelNetwork, 'link' | 'links'>;
  readonly records: Records;
  readonly change: ChangeParts;
}

type LinkHandlers = Pick<Handlers, 'link.list' | 'link.statistics' | 'linkprop.list' | 'linkprop.set' | 'linkprop.reset'>;

export function linkHandlers(parts: LinkParts): LinkHandlers {
  const { overlays, vnics, records } = parts;
  return {
    'link.list': async () => linkRows(parts),
    'link.statistics': async ({ link }) => {
      const overlay = overlayOrVnic(parts, link);
      return overlay === undefined ? vnicStatistics(link, vnics.statistics(link)) : overlayStatistics(link, await overlay.counters());
    },
    'linkprop.list': async ({ link }) => {
      const overlay = overlayOrVnic(parts, link);
      if (overlay !== undefined) {
        // A configuration that cannot be used is for create-overlay and reset-linkprop to tell of.
        const configured = await configuredFor(parts.change, overlay).catch(() => undefined);
        return linkPropertyRows(overlay, records.get('saved', link), configured);
      }
      return vnics.properties(link).map((row) => ({ link, ...row }));
    },
    'linkprop.set': async ({ link, properties, temporary }, { uid, gid, groups }) => {
      const overlay = overlayOrVnic(parts, link);
      if (overlay === undefined) return { warnings: await vnics.set(link, properties, temporary) };
      const setter: Setter = { uid, gid, groups };
      return { warnings: await changed(overlay, temporary, () => setProperties(parts.change, overlay, properties, setter, temporary)) };
    },
    'linkprop.reset': async ({ link, properties, temporary }) => {
      const overlay = overlayOrVnic(parts, link);
      if (overlay === undefined) return { warnings: await vnics.reset(link, properties, temporary) };
      return { warnings: await changed(overlay, temporary, () => resetProperties(parts.change, overlay, properties, temporary)) };
    },
  };

  async function changed(overlay: Overlay, temporary: boolean, change: () => Promise<readonly string[]>): Promise<readonly string[]> {
    if (!temporary && !records.isSaved(overlay.facts.name)) throw temporaryOnly(overlay.facts.name);
    const warnings = await change();
    overlays.listenAnew(overlay);
    return warnings;
  }
}

/** Undefined for a VNIC. @throws OverlayError LINK_NOT_FOUND, OVERLAY_DOWN */
function overlayOrVnic({ overlays, vnics }: LinkParts, link: string): Overlay | undefined {
  if (overlays.has(link) || overlays.broken(link) !== undefined) return overlays.get(link);
  if (vnics.isKnown(link)) return undefined;
  // After VNICs: in another network namespace one may have a name like this.
  if (overlays.isDown(link)) return overlays.get(link);
  throw new OverlayError('LINK_NOT_FOUND', `${link}: object not found`, {
    details: { link },
    advice: '"overlayadm show-link" shows the overlays and VNICs there are.',
  });
}

/** As illumos: what is not kept cannot have a change that is. */
const temporaryOnly = (name: string): OverlayError =>
  new OverlayError('CHANGE_NOT_PERSISTENT', `${name}: change cannot be persistent, the overlay is temporary`, {
    details: { link: name },
    advice: 'Add -t.',
  });

/** Overlays up to this number are looked at one by one; for more of them all links of the host are listed once. */
const FEW_LINKS = 16;

function linkTable(kernel: LinkParts['kernel']): (name: string) => LinkInfo | undefined {
  const links = new Map(kernel.links().map((link) => [link.name, link]));
  return (name) => links.get(name);
}

async function linkRows({ overlays, vnics, kernel }: LinkParts): Promise<readonly LinkRow[]> {
  const names = overlays.names();
  const find = names.length > FEW_LINKS ? linkTable(kernel) : (name: string) => kernel.link(name);
  const over = names.map((name): LinkRow => {
    const link = find(name);
    const state = link === undefined ? 'deleted by somebody' : link.up && link.carrier ? 'up' : 'down';
    return { link: name, class: 'overlay', mtu: link?.mtu ?? overlays.get(name).facts.mtu, state, over: null, netns: null };
  });
  const above = (await vnics.listAll()).map(
    ({ name, mtu, state, overlay, netns }): LinkRow => ({ link: name, class: 'vnic', mtu, state, over: overlay, netns: netns ?? null }),
  );
  return [...over, ...above];
}
