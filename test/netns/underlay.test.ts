// A listen address that goes away and comes back, alone or with its link: degraded meanwhile, then healed by itself.
import { beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { addAddress, control, counters, createOverlay, createVnic, onBothDatapaths, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { ping } from '../helpers/netns-traffic.ts';
import { must } from '../helpers/process.ts';

const FAMILIES = [
  { family: 'v4', overlay: 'overlay0', to: '10.8.0.2', bits: 24 },
  { family: 'v6', overlay: 'overlay1', to: '10.8.1.2', bits: 64 },
] as const;

onBothDatapaths({ commands: ['ping'] })('the listen address', (datapath) => {
  let a: Host;
  let b: Host;
  let blue: Namespace;
  let red: Namespace;
  const clients = new Map<Host, Client>();

  const reason = async (host: Host, overlay: string): Promise<string | null | undefined> =>
    (await clients.get(host)?.call('overlay.health', { name: overlay }))?.details;
  const until = (host: Host, overlay: string, details: string | null): Promise<unknown> =>
    waitFor(async () => (await reason(host, overlay)) === details, PATIENCE_MS, `${overlay} to say ${details}`);
  const gone = (host: Host, family: 'v4' | 'v6'): string => `${host[family]} is no longer an address of this host`;

  /** Nobody has been told anything: the neighbours on the underlay may have to be found again, so the first may take its time. */
  async function works(): Promise<void> {
    for (const { to } of FAMILIES) {
      expect(await ping(blue, to, { count: 3 })).toEqual({ sent: 3, received: 3 });
      expect(await ping(red, to.replace(/2$/, '1'), { count: 3 })).toEqual({ sent: 3, received: 3 });
    }
  }

  beforeAll(async () => {
    [a, b] = await twoHosts({ datapath });
    const make = async (host: Host, other: Host, last: number): Promise<Namespace> => {
      let where: Namespace = host;
      for (const [index, { family, overlay, to }] of FAMILIES.entries()) {
        const direct = { 'direct/dest_ip': other[family], 'direct/dest_port': 4789 };
        await createOverlay(host, { name: overlay, search: 'direct', vnetid: 7, properties: { 'vxlan/listen_ip': host[family], ...direct } });
        const addresses = [`${to.replace(/2$/, String(last))}/24`];
        where = await createVnic(host, { name: `vnic${index}`, overlay, mac: `02:08:20:00:0${index}:0${last}`, addresses, netns: 'vnics' });
      }
      clients.set(host, await control(host));
      return where;
    };
    blue = await make(a, b, 1);
    red = await make(b, a, 2);
    await works();
  });

  describe.each(FAMILIES)('($family)', ({ family, overlay, to, bits }) => {
    test('that is taken away degrades the overlay, and nothing else; frames are counted, and nothing is sent', async () => {
      await a.must('ip', ['addr', 'del', `${a[family]}/${bits}`, 'dev', 'under0']);
      await until(a, overlay, gone(a, family));
      expect((await a.mustOverlayadm('show-overlay', '-f', overlay)).stdout).toMatch(new RegExp(`${overlay} +DEGRADED +${gone(a, family)}`));
      const other = FAMILIES.find((each) => each.family !== family);
      expect(await reason(a, other?.overlay ?? '')).toBeNull();
      const client = clients.get(a);
      if (client === undefined) throw new Error('not connected');
      const before = await counters(client, overlay);
      expect(await ping(blue, to, { count: 2, waitSeconds: 1 })).toEqual({ sent: 2, received: 0 });
      expect((await counters(client, overlay))['send.failed']).toBeGreaterThan(before['send.failed'] ?? 0);
    });

    test('that is back, without a hint to us, heals it: both directions work, on the sockets there were', async () => {
      // IPv6 with duplicate address detection: until that has passed the address cannot be used.
      await a.must('ip', ['addr', 'add', `${a[family]}/${bits}`, 'dev', 'under0']);
      await until(a, overlay, null);
      expect(await ping(blue, to, { count: 3 })).toEqual({ sent: 3, received: 3 });
      await works();
    });
  });

  test('that goes with its link, and comes back with another of the same name, heals on both hosts', async () => {
    const sockets = async (): Promise<string> => (await a.must('ss', ['-Huna'])).stdout;
    const before = await sockets();
    await a.must('ip', ['link', 'del', 'under0']);
    for (const host of [a, b]) for (const { family, overlay } of FAMILIES) await until(host, overlay, gone(host, family));
    await must('ip', ['link', 'add', 'under0', 'netns', a.name, 'type', 'veth', 'peer', 'name', 'under0', 'netns', b.name]);
    for (const host of [a, b]) {
      for (const { family, bits } of FAMILIES) await addAddress(host, 'under0', `${host[family]}/${bits}`);
      await host.must('ip', ['link', 'set', 'under0', 'up']);
    }
    for (const host of [a, b]) for (const { overlay } of FAMILIES) await until(host, overlay, null);
    for (const host of [a, b]) {
      const isUp = async (): Promise<boolean> => (await host.must('ip', ['-o', 'link', 'show', 'dev', 'under0'])).stdout.includes('state UP');
      await waitFor(isUp, PATIENCE_MS, 'the link');
    }
    for (const [from, last] of [[blue, 2] as const, [red, 1] as const]) {
      const reaches = async (): Promise<boolean> => (await ping(from, `10.8.1.${last}`, { count: 1, waitSeconds: 1 })).received === 1;
      await waitFor(reaches, PATIENCE_MS, 'IPv6 on the underlay');
    }
    await works();
    expect(await sockets()).toBe(before);
  });
});
