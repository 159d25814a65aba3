// VNICs whose link has another name now: containers call theirs eth0.
import direct from '@overlayadm/plugin-direct';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimHost } from '../../helpers/sim-host.ts';
import { SimUnderlay } from '../../helpers/sim-io.ts';

let host: SimHost;

beforeEach(async () => {
  host = new SimHost(new SimUnderlay(), ['192.0.2.1'], [vxlan, direct]);
  await host.start();
  await host.create('overlay0', 'direct', 7, { 'vxlan/listen_ip': '192.0.2.1', 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' });
  host.kernel.addNamespace('blue');
});
afterEach(() => host.destroy());

/** As "ip link set vnic0 name eth0" does in the namespace: the mark stays. */
function rename(netns: string | undefined): void {
  const links = host.kernel.linksIn(netns);
  const link = links.get('vnic0');
  if (link === undefined) throw new Error('there is no vnic0');
  links.delete('vnic0');
  links.set('eth0', { ...link, name: 'eth0' });
}

describe.each([undefined, 'blue'])('a VNIC whose link was renamed (namespace %s)', (netns) => {
  it('is off the overlay when it is deleted', async () => {
    await host.createVnic('vnic0', 'overlay0', { properties: netns === undefined ? [] : [{ name: 'netns', text: netns }] });
    rename(netns);
    await host.call('vnic.delete', { name: 'vnic0', temporary: false });
    expect([...host.kernel.linksIn(netns).keys()].filter((name) => name !== 'overlay0')).toEqual([]);
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect([...host.kernel.known.keys()]).toEqual([]);
  });
});

it('another VNIC of the same overlay stays', async () => {
  await host.createVnic('vnic0', 'overlay0');
  await host.createVnic('vnic1', 'overlay0');
  rename(undefined);
  await host.call('vnic.delete', { name: 'vnic0', temporary: false });
  expect([...host.kernel.known.keys()]).toEqual(['overlay0', 'vnic1']);
});
