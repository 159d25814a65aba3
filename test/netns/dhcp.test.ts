// DHCP through an overlay: a client of Debian on one host gets its lease from a server of Debian on another, by dhcp-proxy.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts } from '../helpers/netns.ts';
import { changes, control, counters, createOverlay, createVnic, mappingFile, onBothDatapaths, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { ping } from '../helpers/netns-traffic.ts';
import type { Result } from '../helpers/process.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const CLIENT = '02:08:20:00:00:01';
const SERVER = '02:08:20:00:00:02';
/** On the host of the server. */
const NEIGHBOUR = '02:08:20:00:00:03';
const SERVER_IP = '10.8.0.2';

/** What udhcpc calls with its lease. The usual script writes the resolv.conf of the machine; this one sets an address, and says which. */
const SCRIPT = `#!/bin/sh
[ "$1" = bound ] || exit 0
ip address flush dev "$interface"
ip address add "$ip/$mask" dev "$interface"
echo "lease $ip from $serverid"
`;

/** Answers on vnic0 only, knows nothing of the machine, writes only into `folder`. */
async function startServer(where: Namespace, folder: string): Promise<void> {
  const options = ['conf-file=/dev/null', 'port=0', 'bind-interfaces', 'interface=vnic0', 'dhcp-authoritative', 'no-ping', 'user=root'];
  // What a client gets is said here, not drawn, so that the test can name it.
  const leases = ['dhcp-range=10.8.0.0,static,255.255.255.0,1h', `dhcp-host=${CLIENT},10.8.0.101`, `dhcp-host=${NEIGHBOUR},10.8.0.103`];
  const files = [`dhcp-leasefile=${join(folder, 'leases')}`, `pid-file=${join(folder, 'pid')}`, 'log-facility=-'];
  const server = where.start(
    'dnsmasq',
    ['keep-in-foreground', ...options, ...leases, ...files].map((option) => `--${option}`),
  );
  await server.printed('DHCP, static leases only', PATIENCE_MS);
}

onBothDatapaths({ commands: ['udhcpc', 'dnsmasq', 'ping'] })('a DHCP client', (datapath) => {
  let server: Host;
  let client: Client;
  let guest: Namespace;
  let neighbour: Namespace;
  let script: string;
  let resolver: string;

  beforeAll(async () => {
    resolver = readFileSync('/etc/resolv.conf', 'utf8');
    const [a, b] = await twoHosts({ v6: false, datapath });
    server = b;
    const mappings = {
      [CLIENT]: { ip: a.v4, arp: '10.8.0.101', 'dhcp-proxy': SERVER },
      [SERVER]: { ip: b.v4, arp: SERVER_IP },
      [NEIGHBOUR]: { ip: b.v4, arp: '10.8.0.103', 'dhcp-proxy': SERVER },
    };
    for (const host of [a, b]) {
      const config = mappingFile(host, 'net.json', mappings);
      const properties = { 'vxlan/listen_ip': host.v4, 'files/config': config };
      await createOverlay(host, { name: 'overlay0', search: 'files', vnetid: 8, properties });
    }
    guest = await createVnic(a, { name: 'vnic0', overlay: 'overlay0', mac: CLIENT, addresses: [], netns: 'client' });
    const serverAt = await createVnic(b, { name: 'vnic0', overlay: 'overlay0', mac: SERVER, addresses: [`${SERVER_IP}/24`], netns: 'server' });
    neighbour = await createVnic(b, { name: 'vnic1', overlay: 'overlay0', mac: NEIGHBOUR, addresses: [], netns: 'neighbour' });
    const folder = temporaryFolder();
    script = join(folder, 'lease.sh');
    writeFileSync(script, SCRIPT);
    chmodSync(script, 0o755);
    await startServer(serverAt, folder);
    client = await control(server);
  });

  /** One lease, or status 1 after some tries; leaves no process. */
  const lease = (where: Namespace, link: string, ...flags: readonly string[]): Promise<Result> =>
    where.run('udhcpc', ['-f', '-q', '-n', '-t', '8', '-T', '1', '-i', link, '-s', script, ...flags]);
  const during = async (work: () => Promise<void>): Promise<Readonly<Record<string, number>>> => {
    const before = await counters(client, 'overlay0');
    await work();
    return changes(before, await counters(client, 'overlay0'));
  };

  test('gets its lease from a server that answers by unicast', async () => {
    const seen = await during(async () => {
      expect((await lease(guest, 'vnic0')).stdout).toContain(`lease 10.8.0.101 from ${SERVER_IP}`);
    });
    expect(seen).not.toHaveProperty('question.redirected');
    expect(await ping(guest, SERVER_IP)).toEqual({ sent: 2, received: 2 });
  });

  test('gets its lease by broadcast when it asks for that: offer and acknowledgement are sent on to it', async () => {
    const seen = await during(async () => {
      expect((await lease(guest, 'vnic0', '-B')).stdout).toContain(`lease 10.8.0.101 from ${SERVER_IP}`);
    });
    expect(seen['question.redirected']).toBeGreaterThanOrEqual(2);
    expect(await ping(guest, SERVER_IP)).toEqual({ sent: 2, received: 2 });
  });

  test('on the host of its server gets its lease too, and nothing is degraded by it', async () => {
    expect((await lease(neighbour, 'vnic1', '-B')).stdout).toContain(`lease 10.8.0.103 from ${SERVER_IP}`);
    expect(await client.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
    expect(await counters(client, 'overlay0')).toMatchObject({ 'lookup.wrong-destination': 0 });
  });

  test('and its server leave the machine as it was', () => {
    expect(readFileSync('/etc/resolv.conf', 'utf8')).toBe(resolver);
  });
});
