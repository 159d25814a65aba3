// up-overlay when something is in the way: what cannot be brought up at boot is shown, kept, tried again, and let go of on demand.
import direct from '@overlayadm/plugin-direct';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RESTORE_RETRY_MS } from '../../../src/core/util/limits.ts';
import { SimHost } from '../../helpers/sim-host.ts';
import { SimUnderlay } from '../../helpers/sim-io.ts';

let host: SimHost;
const properties = { 'vxlan/listen_ip': '192.0.2.1', 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

beforeEach(async () => {
  host = new SimHost(new SimUnderlay(), ['192.0.2.1'], [vxlan, direct]);
  await host.start();
  await host.create('overlay0', 'direct', 7, properties);
  await host.createVnic('vnic0', 'overlay0');
});

afterEach(async () => {
  await host.destroy();
  expect([[...host.kernel.known.keys()], host.store.names, host.io.open]).toEqual([[], [], 1]);
});

/** The kernel refuses the device, as long as this lasts. */
const blocked = (): void => {
  host.kernel.failing = 'prepareOverlayLink';
};
const free = (): void => {
  host.kernel.failing = undefined;
};
const up = () => host.call('overlay.up', { name: null });
const retry = () => host.pass(RESTORE_RETRY_MS, RESTORE_RETRY_MS);

describe('an overlay that cannot be brought up at boot', () => {
  it('is degraded with the reason, and there with its VNICs when the reason has gone', async () => {
    await host.reboot(blocked);
    expect(await up()).toMatchObject({ up: [], failed: [{ name: 'overlay0' }] });
    expect(await host.call('overlay.names', { saved: true })).toEqual(['overlay0']);
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'DEGRADED', details: 'the kernel says no' });
    await retry();
    expect(await host.names()).toEqual([]);
    free();
    await host.restored('overlay0');
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
    expect(await host.call('vnic.list', { overlay: 'overlay0' })).toMatchObject([{ vnic: 'vnic0', state: 'up', persistent: true }]);
  });

  it('is tried again by an overlayd that was started again meanwhile', async () => {
    await host.reboot(blocked);
    await up();
    await host.restart();
    free();
    await host.restored('overlay0');
  });

  it('is given up by delete-overlay -t, and stays saved', async () => {
    await host.reboot(blocked);
    await up();
    await host.call('overlay.delete', { name: 'overlay0', temporary: true });
    free();
    await retry();
    await host.turns();
    expect([await host.names(), await host.call('overlay.names', { saved: true })]).toEqual([[], ['overlay0']]);
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'DOWN' });
    expect(await up()).toMatchObject({ up: ['overlay0'], failed: [] });
  });
});

describe('an overlay that cannot be restored', () => {
  it('and is deleted leaves no socket behind, neither here nor at the holder', async () => {
    await host.stop();
    blocked();
    await host.start();
    expect(await host.names()).toEqual([]);
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    await host.turns();
    expect([[...host.kernel.known.keys()], host.store.names]).toEqual([[], []]);
    free();
  });
});

describe('an overlay whose device somebody has deleted', () => {
  it('is made anew by up-overlay, with its VNICs', async () => {
    host.io.deleteTap('overlay0');
    await host.turns();
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'DEGRADED' });
    expect(await up()).toMatchObject({ up: ['overlay0'], failed: [] });
    expect(host.kernel.link('overlay0')).toBeDefined();
    expect(await host.call('vnic.list', { overlay: null })).toMatchObject([{ vnic: 'vnic0', state: 'up' }]);
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
  });
});
