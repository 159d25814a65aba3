// Creating an overlay when something is in the way: a plugin that does not fit, a kernel that throws, an overlayd that stops.
import { defineProperties, type EncapPlugin, type LookupPlugin } from '@overlayadm/api';
import direct from '@overlayadm/plugin-direct';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, describe, expect, it } from 'vitest';
import { SimHost } from '../../helpers/sim-host.ts';
import { SimUnderlay } from '../../helpers/sim-io.ts';

/** Shaped right, but its destinations have no port, and datagrams cannot do without. */
const portless: EncapPlugin = { ...vxlan, name: 'portless', needs: ['ip'] };

/** Starts when the test lets it. */
class Slow {
  readonly starting = Promise.withResolvers<void>();
  readonly mayStart = Promise.withResolvers<void>();
  stopped = 0;
  readonly plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'slow',
    properties: defineProperties([]),
    create: () => ({
      mode: 'dynamic',
      start: async () => {
        this.starting.resolve();
        await this.mayStart.promise;
      },
      stop: async () => {
        this.stopped++;
      },
      lookup: async () => ({ kind: 'drop', reason: 'nobody is here' }),
    }),
  };
}

const running: SimHost[] = [];
const good = { 'vxlan/listen_ip': '192.0.2.1', 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

async function start(slow = new Slow()): Promise<SimHost> {
  const host = new SimHost(new SimUnderlay(), ['192.0.2.1'], [vxlan, direct, portless, slow.plugin]);
  running.push(host);
  await host.start();
  return host;
}

afterEach(async () => {
  for (const host of running.splice(0)) await host.destroy();
});

const left = (host: SimHost) => ({ links: [...host.kernel.known.keys()], descriptors: host.io.open });

describe('create', () => {
  it('refuses an encapsulation over UDP that needs no port: its first frame would end the engine', async () => {
    const host = await start();
    const before = left(host);
    const properties = { 'portless/listen_ip': '192.0.2.1', 'direct/dest_ip': '192.0.2.2' };
    const list = Object.entries(properties).map(([name, text]) => ({ name, text }));
    const refused = host.call('overlay.create', {
      name: 'overlay0',
      encap: 'portless',
      search: 'direct',
      vnetid: 1,
      properties: list,
      temporary: false,
    });
    await expect(refused).rejects.toMatchObject({ code: 'PLUGIN_FAILED', message: expect.stringContaining('needs lack port') });
    expect(left(host)).toEqual(before);
  });

  it('leaves nothing behind when what comes last throws', async () => {
    const host = await start();
    const before = left(host);
    const { routeMtu } = host.kernel;
    host.kernel.routeMtu = () => {
      throw new Error('the kernel says no');
    };
    await expect(host.create('overlay0', 'direct', 1, good)).rejects.toMatchObject({ message: expect.stringContaining('(underlay)') });
    expect(left(host)).toEqual(before);
    host.kernel.routeMtu = routeMtu;
    expect(await host.create('overlay0', 'direct', 1, good)).toMatchObject({ name: 'overlay0' });
  });

  it('has one winner when two ask for one name, one vnetid or one socket at once', async () => {
    const host = await start();
    const both = await Promise.allSettled([host.create('overlay0', 'direct', 1, good), host.create('overlay0', 'direct', 2, good)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const same = await Promise.allSettled([host.create('overlay1', 'direct', 7, good), host.create('overlay2', 'direct', 7, good)]);
    expect(same.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const reason = same.find((each) => each.status === 'rejected')?.reason;
    expect(reason).toMatchObject({ code: 'VNETID_IN_USE', advice: expect.stringContaining('another -v') });
    expect((await host.call('overlay.names', { saved: false })).length).toBe(2);
  });

  it('without a name gives two that ask at once two names', async () => {
    const host = await start();
    const list = Object.entries(good).map(([name, text]) => ({ name, text }));
    const create = (vnetid: number) => host.call('overlay.create', { encap: 'vxlan', search: 'direct', vnetid, properties: list, temporary: false });
    const names = (await Promise.all([create(1), create(2), create(3)])).map(({ name }) => name);
    expect(names.toSorted()).toEqual(['overlay0', 'overlay1', 'overlay2']);
  });

  it('is not seen, and keeps its name, until it is complete', async () => {
    const slow = new Slow();
    const host = await start(slow);
    const creating = host.create('overlay0', 'slow', 1, { 'vxlan/listen_ip': '192.0.2.1' });
    await slow.starting.promise;
    expect(await host.call('overlay.names', { saved: false })).toEqual([]);
    await expect(host.call('overlay.delete', { name: 'overlay0', temporary: false })).rejects.toMatchObject({ code: 'OVERLAY_NOT_FOUND' });
    await expect(host.create('overlay0', 'direct', 2, good)).rejects.toMatchObject({ code: 'OVERLAY_EXISTS' });
    slow.mayStart.resolve();
    expect(await creating).toMatchObject({ name: 'overlay0' });
    expect(await host.call('overlay.names', { saved: false })).toEqual(['overlay0']);
  });

  it('under way when overlayd stops leaves nothing behind', async () => {
    const slow = new Slow();
    const host = await start(slow);
    const creating = host.create('overlay0', 'slow', 1, { 'vxlan/listen_ip': '192.0.2.1' });
    creating.catch(() => undefined);
    await slow.starting.promise;
    await host.stop();
    slow.mayStart.resolve();
    await host.turns();
    expect(host.io.open).toBe(1); // the poll descriptor ends with the engine's thread
    expect([...host.kernel.known.keys()]).toEqual([]);
    await expect(creating).rejects.toMatchObject({ message: expect.stringMatching(/./) });
  });
});

describe('delete', () => {
  it('has one winner when two ask for it at once', async () => {
    const host = await start();
    await host.create('overlay0', 'direct', 1, good);
    const both = await Promise.allSettled([1, 2].map(() => host.call('overlay.delete', { name: 'overlay0', temporary: false })));
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect([...host.kernel.known.keys()]).toEqual([]);
  });

  it('and create again with the same socket, sooner or later, finds it in use by the overlay that goes, or free', async () => {
    const host = await start();
    const seen = new Set<string>();
    await host.create('overlay0', 'direct', 1, good);
    // How many turns a deletion takes depends on how fast the disk is.
    for (let turns = 0, name = 0; seen.size < 2 && turns < 2_000; turns = 2 * turns + 4) {
      const deleted = host.call('overlay.delete', { name: `overlay${name}`, temporary: false });
      await host.turns(turns);
      const code = await host.create(`overlay${name + 1}`, 'direct', 1, good).then(
        () => 'free',
        (error) => error.code,
      );
      expect(['VNETID_IN_USE', 'free']).toContain(code);
      seen.add(code);
      await deleted;
      if (code !== 'free') await host.create(`overlay${name + 1}`, 'direct', 1, good);
      name++;
    }
    // Which comes first is the disk's matter: a creation that itself waits may find the socket free at once. Free it has to get.
    expect(seen).toContain('free');
  });
});
