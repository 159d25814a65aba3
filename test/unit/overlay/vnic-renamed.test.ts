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
  it('is shown with both names, goes on to be managed, and is not made once more', async () => {
    await host.createVnic('vnic0', 'overlay0', { properties: netns === undefined ? [] : [{ name: 'netns', text: netns }] });
    rename(netns);
    const there = [...host.kernel.linksIn(netns).keys()];
    expect(await host.call('vnic.list', { overlay: null })).toMatchObject([{ vnic: 'vnic0', state: 'up, renamed to eth0' }]);
    expect(await host.call('overlay.up', { name: 'overlay0' })).toMatchObject({ failed: [] });
    await host.restart();
    await host.restored('overlay0');
    expect([...host.kernel.linksIn(netns).keys()]).toEqual(there);
    await host.call('linkprop.set', { link: 'vnic0', properties: [{ name: 'mtu', text: '1300' }], temporary: false });
    expect(host.kernel.link('eth0', netns)?.mtu).toBe(1300);
  });

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
