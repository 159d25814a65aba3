// An overlay that a person has taken down and not deleted, and names of the wrong class: what is said of them, and where they count.
import direct from '@overlayadm/plugin-direct';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STATUS_MS } from '../../../src/core/util/limits.ts';
import { SimHost } from '../../helpers/sim-host.ts';
import { SimUnderlay } from '../../helpers/sim-io.ts';

let host: SimHost;
const properties = { 'vxlan/listen_ip': '192.0.2.1', 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

beforeEach(async () => {
  host = new SimHost(new SimUnderlay(), ['192.0.2.1'], [vxlan, direct]);
  await host.start();
  await host.create('overlay0', 'direct', 7, properties);
});
afterEach(() => host.destroy());

const down = (name = 'overlay0', temporary = true) => host.call('overlay.delete', { name, temporary });
const health = (name: string) => host.call('overlay.health', { name });

describe('an overlay that is only saved', () => {
  it('is listed with the others that are not there, says so, and comes back', async () => {
    await down();
    expect([await host.names(), await host.call('overlay.names', { saved: true })]).toEqual([[], ['overlay0']]);
    const row = { overlay: 'overlay0', status: 'DOWN', details: 'saved, not up', since: null, advice: 'overlayadm up-overlay overlay0' };
    expect(await health('overlay0')).toEqual(row);
    await host.restart();
    expect(await health('overlay0')).toEqual(row);
    expect(await host.call('overlay.up', { name: 'overlay0' })).toMatchObject({ up: ['overlay0'] });
    expect(await health('overlay0')).toMatchObject({ status: 'ONLINE' });
  });

  it('is refused by name, with what to do', async () => {
    await down();
    const refused = { code: 'OVERLAY_DOWN', message: 'overlay0: saved, but not up', advice: expect.stringContaining('up-overlay overlay0') };
    await expect(host.call('overlay.properties', { name: 'overlay0' })).rejects.toMatchObject(refused);
    await expect(host.call('target.flush', { overlay: 'overlay0' })).rejects.toMatchObject(refused);
    await expect(host.call('linkprop.list', { link: 'overlay0' })).rejects.toMatchObject(refused);
    await expect(host.call('link.statistics', { link: 'overlay0' })).rejects.toMatchObject(refused);
    await expect(host.call('vnic.list', { overlay: 'overlay0' })).rejects.toMatchObject(refused);
    await expect(host.createVnic('vnic0', 'overlay0')).rejects.toMatchObject(refused);
    await expect(down()).rejects.toMatchObject(refused);
    await down('overlay0', false);
    expect(await host.call('overlay.names', { saved: true })).toEqual([]);
    await expect(down()).rejects.toMatchObject({ code: 'OVERLAY_NOT_FOUND' });
  });

  it('is not counted in what the service manager is told', async () => {
    await host.create('overlay1', 'direct', 8, properties);
    await host.pass(STATUS_MS, STATUS_MS);
    await down();
    await host.pass(STATUS_MS, STATUS_MS);
    expect(host.store.told.slice(-2)).toEqual(['STATUS=2 overlays', 'STATUS=1 overlay']);
  });
});

describe('the name of', () => {
  it('a VNIC is no overlay, in whatever namespace the VNIC is', async () => {
    host.kernel.addNamespace('blue');
    await host.createVnic('vnic0', 'overlay0');
    await host.createVnic('vnic1', 'overlay0', { properties: [{ name: 'netns', text: 'blue' }] });
    for (const name of ['vnic0', 'vnic1']) {
      const refused = { code: 'OVERLAY_NOT_FOUND', message: `${name} is not an overlay` };
      await expect(health(name)).rejects.toMatchObject(refused);
      await expect(down(name, false)).rejects.toMatchObject(refused);
      await expect(host.createVnic('vnic9', name)).rejects.toMatchObject(refused);
      expect(await host.call('overlay.up', { name })).toMatchObject({ failed: [refused] });
    }
  });

  it('an overlay is no VNIC, up or down', async () => {
    const remove = () => host.call('vnic.delete', { name: 'overlay0', temporary: false });
    const refused = { code: 'VNIC_NOT_FOUND', message: 'overlay0 is not a VNIC' };
    await expect(remove()).rejects.toMatchObject(refused);
    await down();
    await expect(remove()).rejects.toMatchObject(refused);
    await expect(host.call('vnic.delete', { name: 'nope', temporary: false })).rejects.toMatchObject({
      message: expect.stringContaining('not found'),
    });
  });
});
