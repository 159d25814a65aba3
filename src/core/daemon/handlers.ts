// What each method of the control protocol does: one row a method.
import { OverlayError } from '@overlayadm/api';
import type { KernelNetwork } from '../linux/types.ts';
import type { PluginHosts } from '../lookup/types.ts';
import type { ChangeParts } from '../overlay/change.ts';
import type { Overlays } from '../overlay/overlays.ts';
import type { Records } from '../overlay/records.ts';
import type { Vnics } from '../overlay/vnics.ts';
import { PROTOCOL_VERSION } from '../rpc/protocol.ts';
import type { Handlers } from '../rpc/server.ts';
import { type LinkParts, linkHandlers } from './link-handlers.ts';
import { brokenRow, downRow, healthRow, pluginRows, propertyRows, targetPage, vnicRow } from './rows.ts';
import { bringUp } from './up.ts';

export interface HandlerParts extends LinkParts {
  readonly overlays: Overlays;
  readonly vnics: Vnics;
  readonly hosts: PluginHosts;
  readonly kernel: KernelNetwork;
  readonly records: Records;
  readonly change: ChangeParts;
  /** Overlays learn what another version of their lookup plugin says of its properties. Never rejects. */
  refresh(): Promise<void>;
  readonly version: string;
}

export function makeHandlers(parts: HandlerParts): Handlers {
  return { ...overlayHandlers(parts), ...vnicHandlers(parts), ...linkHandlers(parts), ...pluginHandlers(parts) };
}

type Some<P extends string> = Pick<Handlers, Extract<keyof Handlers, `${P}.${string}`>>;

function overlayHandlers({ overlays, records, hosts, kernel, version }: HandlerParts): Some<'overlay' | 'target'> & Pick<Handlers, 'hello'> {
  return {
    hello: async (_params, { mayChange }) => ({
      version,
      protocol: PROTOCOL_VERSION,
      pid: process.pid,
      netns: kernel.networkNamespaceId(),
      mayChange,
    }),
    'overlay.create': async ({ name, encap, search, vnetid, properties, temporary }, { uid, gid, groups }) => {
      const setter = { uid, gid, groups };
      const named = name === undefined ? {} : { name };
      // First: what throws after the overlay is made would report one that is there as refused.
      const { problems } = await hosts.providers();
      const { overlay, warnings } = await overlays.create({ ...named, encap, search, vnetid, properties, setter, temporary });
      return { name: overlay.facts.name, warnings: [...warnings, ...problems] };
    },
    'overlay.delete': async ({ name, temporary }) => {
      await overlays.delete(name, temporary);
      return null;
    },
    'overlay.up': ({ name }) => bringUp({ overlays, records }, name),
    'overlay.names': async ({ saved }) => (saved ? overlays.allNames() : overlays.names()),
    'overlay.properties': async ({ name }) => propertyRows(overlays.get(name), await hosts.providers()),
    'overlay.health': async ({ name }) => {
      if (overlays.isDown(name)) return downRow(name);
      const broken = overlays.has(name) ? undefined : overlays.broken(name);
      return broken === undefined ? healthRow(overlays.get(name)) : brokenRow(name, broken);
    },
    'overlay.targets': ({ name, after }) => targetPage(overlays.get(name), after),
    'overlay.counters': async ({ name }) => {
      const counters = await overlays.get(name).counters();
      return Object.fromEntries(Object.entries(counters).map(([counter, value]) => [counter, String(value)]));
    },
    'target.set': async ({ overlay, mac, destination }) => {
      overlays.get(overlay).setTargetByPerson(mac, destination);
      return null;
    },
    'target.remove': async ({ overlay, mac }) => {
      await overlays.get(overlay).removeTarget(mac);
      return null;
    },
    'target.flush': async ({ overlay }) => {
      await overlays.get(overlay).flushTargets();
      return null;
    },
  };
}

function vnicHandlers({ overlays, vnics }: HandlerParts): Some<'vnic'> {
  return {
    'vnic.create': async ({ name, overlay, mac, vid, properties, temporary }) =>
      vnicRow(await vnics.create({ name, overlay, mac, vid, properties, temporary })),
    'vnic.delete': async ({ name, temporary }) => {
      await vnics.delete(name, temporary).catch((error: unknown) => {
        throw OverlayError.is(error) && error.code === 'VNIC_NOT_FOUND' && overlays.knows(name) ? notVnic(name) : error;
      });
      return null;
    },
    'vnic.list': async ({ overlay }) => {
      if (overlay === null) return (await vnics.listAll()).map(vnicRow);
      overlays.get(overlay);
      return vnics.list(overlay).map(vnicRow);
    },
  };
}

const notVnic = (name: string): OverlayError =>
  new OverlayError('VNIC_NOT_FOUND', `${name} is not a VNIC`, {
    details: { vnic: name },
    advice: `"overlayadm show-vnic" shows the VNICs there are.`,
  });

function pluginHandlers({ hosts, refresh }: HandlerParts): Some<'plugin'> {
  return {
    'plugin.list': async () => pluginRows(await hosts.list()),
    'plugin.reload': async () => {
      const reloaded = await hosts.reload();
      await refresh();
      return reloaded;
    },
  };
}
