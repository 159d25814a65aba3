// What each method of the control protocol does: one row a method.
import type { KernelNetwork } from '../linux/types.ts';
import type { PluginHosts } from '../lookup/types.ts';
import type { Overlays } from '../overlay/overlays.ts';
import type { Vnics } from '../overlay/vnics.ts';
import { PROTOCOL_VERSION } from '../rpc/protocol.ts';
import type { Handlers } from '../rpc/server.ts';
import { healthRow, propertyRows, targetPage, vnicRow } from './rows.ts';

export interface HandlerParts {
  readonly overlays: Overlays;
  readonly vnics: Vnics;
  readonly hosts: PluginHosts;
  readonly kernel: Pick<KernelNetwork, 'networkNamespaceId'>;
  readonly version: string;
}

export function makeHandlers({ overlays, vnics, hosts, kernel, version }: HandlerParts): Handlers {
  return {
    hello: async (_params, { mayChange }) => ({
      version,
      protocol: PROTOCOL_VERSION,
      pid: process.pid,
      netns: kernel.networkNamespaceId(),
      mayChange,
    }),
    'overlay.create': async ({ name, encap, search, vnetid, properties }, { uid, gid, groups }) => {
      const setter = { uid, gid, groups };
      const named = name === undefined ? {} : { name };
      // First: what throws after the overlay is made would report one that is there as refused.
      const { problems } = await hosts.providers();
      const { overlay, warnings } = await overlays.create({ ...named, encap, search, vnetid, properties, setter });
      return { name: overlay.facts.name, warnings: [...warnings, ...problems] };
    },
    'overlay.delete': async ({ name }) => {
      await overlays.delete(name);
      return null;
    },
    'overlay.names': async () => overlays.names(),
    'overlay.properties': async ({ name }) => propertyRows(overlays.get(name), await hosts.providers()),
    'overlay.health': async ({ name }) => healthRow(overlays.get(name)),
    'overlay.targets': ({ name, after }) => targetPage(overlays.get(name), after),
    'overlay.counters': async ({ name }) => {
      const counters = await overlays.get(name).counters();
      return Object.fromEntries(Object.entries(counters).map(([counter, value]) => [counter, String(value)]));
    },
    'vnic.create': async ({ name, overlay, mac, properties }) => vnicRow(vnics.create({ name, overlay, mac, properties })),
    'vnic.delete': async ({ name }) => {
      vnics.delete(name);
      return null;
    },
    'vnic.list': async ({ overlay }) => {
      if (overlay !== null) overlays.get(overlay);
      return vnics.list(overlay ?? undefined).map(vnicRow);
    },
  };
}
