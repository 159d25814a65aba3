// A lookup plugin follows what the VNICs of its overlay are called: from the kernel through the daemon to the plugin, and no others.
import { defineProperties, type LocalAddress, type LookupHost, type LookupPlugin } from '@overlayadm/api';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, expect, it } from 'vitest';
import { LOCAL_ADDRESS_POLL_MS } from '../../src/core/util/limits.ts';
import { ipOf, mac } from '../helpers/frames.ts';
import { SimHost } from '../helpers/sim-host.ts';
import { SimUnderlay } from '../helpers/sim-io.ts';

/** Keeps every list that it is told, of each overlay by its vnetid. */
class Registrar {
  readonly told = new Map<number, (readonly LocalAddress[])[]>();
  readonly plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'registrar',
    properties: defineProperties([]),
    create: (_needs, _values, host) => ({
      mode: 'dynamic',
      start: async () => void this.#follow(host),
      stop: async () => undefined,
      lookup: async () => ({ kind: 'drop', reason: 'registrar.none' }),
    }),
  };

  async #follow(host: LookupHost): Promise<void> {
    const lists: (readonly LocalAddress[])[] = [];
    this.told.set(host.vnetid, lists);
    for await (const list of host.localAddresses()) lists.push(list);
    this.told.delete(host.vnetid);
  }
}

let host: SimHost | undefined;
afterEach(() => host?.stop());

it('a plugin is told of the VNICs of its overlay and their addresses, until the overlay is deleted', async () => {
  const registrar = new Registrar();
  host = new SimHost(new SimUnderlay(), ['192.0.2.1'], [vxlan, registrar.plugin]);
  await host.start();
  await host.create('overlay0', 'registrar', 7, { 'vxlan/listen_ip': '192.0.2.1' });
  await host.create('overlay1', 'registrar', 8, { 'vxlan/listen_ip': '192.0.2.1' });
  await host.clock.advance(LOCAL_ADDRESS_POLL_MS);
  expect(registrar.told.get(7)).toEqual([[]]);

  for (const [name, overlay, last] of [
    ['vnic1', 'overlay0', 1],
    ['vnic2', 'overlay0', 2],
    ['vnic9', 'overlay1', 9],
  ] as const)
    await host.call('vnic.create', { name, overlay, mac: mac(last), properties: [], temporary: false });
  host.kernel.ips.set(host.kernel.link('vnic2')?.index ?? 0, [ipOf('10.0.0.2'), ipOf('fd00::2')]);
  await host.clock.advance(LOCAL_ADDRESS_POLL_MS);
  const both = [
    { mac: mac(1), ips: [] },
    { mac: mac(2), ips: ['10.0.0.2', 'fd00::2'] },
  ];
  expect(registrar.told.get(7)?.slice(1)).toEqual([both]);
  expect(registrar.told.get(8)?.at(-1)).toEqual([{ mac: mac(9), ips: [] }]);

  await host.clock.advance(5 * LOCAL_ADDRESS_POLL_MS);
  await host.call('vnic.delete', { name: 'vnic1', temporary: false });
  await host.clock.advance(LOCAL_ADDRESS_POLL_MS);
  expect(registrar.told.get(7)?.slice(2)).toEqual([[both[1]]]);

  await host.call('vnic.delete', { name: 'vnic2', temporary: false });
  await host.call('overlay.delete', { name: 'overlay0', temporary: false });
  await host.turns();
  expect([...registrar.told.keys()]).toEqual([8]);
});
