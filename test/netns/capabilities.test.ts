// overlayd with the capabilities and the group that systemd/overlayd.service gives it, and no others: everything it does still works.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type Host, twoHosts, waitFor } from '../helpers/netns.ts';
import { childrenOf, createOverlay, createVnic, linkPlugin, mappingFile, onBothDatapaths, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import type { Running } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { unitCapabilities } from '../helpers/unit-file.ts';

const CAPABILITIES = unitCapabilities('systemd/overlayd.service');
/** Numbers that no account of the machine has; what they are called only overlayd sees. */
const READERS_GID = 64201;
const HOST_UID = 64202;
const HOST_GID = 64203;

/** Files in place of /etc/passwd and /etc/group, with the account and the groups of systemd/overlayadm.sysusers.conf. */
function accounts(host: Host): readonly [string, string] {
  const [passwd, group] = [join(host.dirs.config, 'passwd'), join(host.dirs.config, 'group')];
  writeFileSync(passwd, `${readFileSync('/etc/passwd', 'utf8')}overlayadm:x:${HOST_UID}:${HOST_GID}::/:/bin/false\n`);
  writeFileSync(group, `${readFileSync('/etc/group', 'utf8')}overlayadm:x:${READERS_GID}:\n`);
  return [passwd, group];
}

async function startLimited(host: Host): Promise<Running> {
  const bounds = ['-all', ...CAPABILITIES.map((name) => `+${name}`)].join(',');
  const limits = [`--regid=${READERS_GID}`, '--clear-groups', '--inh-caps=-all', `--bounding-set=${bounds}`, '--no-new-privs'];
  const script = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec setpriv "$@"';
  const command = [...limits, resolve('bin/overlayd'), '--no-keeper'];
  // ip-netns gives each program a mount namespace of its own, so nobody else sees the two files.
  const daemon = host.start('sh', ['-c', script, 'sh', ...accounts(host), ...command], { env: host.env });
  await waitFor(() => existsSync(join(host.dirs.run, 'overlayd.sock')), PATIENCE_MS, 'the socket of overlayd').catch((cause) => {
    throw new Error(`no socket: ${daemon.stderr}`, { cause });
  });
  return daemon;
}

const statusOf = (pid: number, name: string): string =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
const pluginHosts = (host: Host): readonly number[] =>
  childrenOf(host.daemonPid() ?? 0).filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--max-old-space-size'));

onBothDatapaths({ commands: ['ping', 'mount'] })('overlayd with the rights of its unit', (datapath) => {
  test('has those capabilities, and makes overlays, VNICs elsewhere with and without tags, and plugin hosts of another user', async () => {
    const [a, b] = await twoHosts({ datapath });
    const daemon = await startLimited(a);
    const pid = a.daemonPid() ?? 0;
    expect(Buffer.from(statusOf(pid, 'CapEff'), 'hex').reduce((count, byte) => count + byte.toString(2).replaceAll('0', '').length, 0)).toBe(
      CAPABILITIES.length,
    );
    expect([statusOf(pid, 'CapEff'), statusOf(pid, 'CapBnd')]).toEqual([statusOf(pid, 'CapPrm'), statusOf(pid, 'CapPrm')]);
    expect([statusOf(pid, 'NoNewPrivs'), statSync(a.dirs.run).gid, statSync(join(a.dirs.run, 'overlayd.sock')).gid]).toEqual([
      '1',
      READERS_GID,
      READERS_GID,
    ]);
    await b.startDaemon();
    const [macA, macB] = ['02:08:20:00:41:01', '02:08:20:00:41:02'];
    const mapping = { [macA]: { ip: a.v4, port: 4789 }, [macB]: { ip: b.v4, port: 4789 } };
    for (const host of [a, b]) {
      const config = mappingFile(host, 'map.json', mapping);
      await createOverlay(host, {
        name: 'overlay0',
        search: 'files',
        vnetid: 41,
        properties: { 'vxlan/listen_ip': host.v4, 'files/config': config },
      });
    }
    const blue = await createVnic(a, { name: 'vnic0', overlay: 'overlay0', mac: macA, addresses: ['10.41.0.1/24'], netns: 'blue' });
    await createVnic(b, { name: 'vnic0', overlay: 'overlay0', mac: macB, addresses: ['10.41.0.2/24'] });
    await blue.must('ip', ['neigh', 'replace', '10.41.0.2', 'lladdr', macB, 'nud', 'permanent', 'dev', 'vnic0']);
    await b.must('ip', ['neigh', 'replace', '10.41.0.1', 'lladdr', macA, 'nud', 'permanent', 'dev', 'vnic0']);
    await blue.must('ping', ['-n', '-q', '-c', '3', '-W', '5', '10.41.0.2']);

    // eBPF, here and in the other namespace.
    await a.mustOverlayadm('create-vnic', '-l', 'overlay0', '-v', '7', 'vnic7');
    await a.mustOverlayadm('create-vnic', '-l', 'overlay0', '-v', '8', '-p', `netns=${blue.name}`, 'vnic8');
    const hosts = pluginHosts(a);
    expect(hosts.length).toBeGreaterThan(0);
    for (const each of hosts) expect([statusOf(each, 'Uid').split('\t')[0], statusOf(each, 'CapBnd')]).toEqual([String(HOST_UID), '0'.repeat(16)]);

    for (const name of ['vnic8', 'vnic7', 'vnic0']) await a.mustOverlayadm('delete-vnic', name);
    await a.mustOverlayadm('delete-overlay', 'overlay0');
    await waitFor(() => pluginHosts(a).length === 0, PATIENCE_MS, 'the end of the plugin host');
    expect(daemon.stderr).not.toMatch(/EPERM|EACCES|"level":50/);
  });

  test('marks links so that systemd/70-overlayadm.rules knows overlays from VNICs', async () => {
    const [a] = await twoHosts({ datapath });
    await startLimited(a);
    await createOverlay(a, {
      name: 'net23',
      search: 'direct',
      vnetid: 43,
      properties: { 'vxlan/listen_ip': a.v4, 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': 4789 },
    });
    await createVnic(a, { name: 'vnic0', overlay: 'net23', mac: '02:08:20:00:43:01', addresses: [] });
    const known = 'cd /sys/class/net; cat net23/ifalias vnic0/ifalias; for link in net23 vnic0; do ls -d $link/tun_flags; cat $link/uevent; done';
    const { stdout } = await a.run('sh', ['-c', known]);
    const [aliases, overlay, vnic] = stdout.split(/(?<=:vnic0\n)|(?<=INTERFACE=net23\nIFINDEX=\d+\n)/);
    expect(aliases).toMatch(/^overlayadm:[0-9a-f]{12}:net23\noverlayadm:[0-9a-f]{12}:vnic0\n$/);
    // One of the two that the rules know an overlay by, and neither of a VNIC.
    const marks = (text: string | undefined): string[] => text?.match(/tun_flags|DEVTYPE=vxlan/g) ?? [];
    expect([marks(overlay), marks(vnic)]).toEqual([[datapath === 'tap' ? 'tun_flags' : 'DEVTYPE=vxlan'], []]);
  });
});

skipUnless({ root: true, tun: true, commands: ['mount'] })('overlayd with the rights of its unit', () => {
  test('ends a plugin host that hangs, which is another user', async () => {
    const [a] = await twoHosts();
    await startLimited(a);
    linkPlugin(a, 'evil');
    await createOverlay(a, {
      name: 'overlay0',
      search: 'evil',
      vnetid: 42,
      properties: { 'vxlan/listen_ip': a.v4, 'evil/outside': '/nowhere', 'evil/dest_port': 4789 },
    });
    const [victim = 0] = pluginHosts(a);
    // It no longer answers to heartbeats, and cannot end of itself.
    process.kill(victim, 'SIGSTOP');
    await waitFor(() => !existsSync(`/proc/${victim}`) || statusOf(victim, 'State').startsWith('Z'), PATIENCE_MS, 'the end of the stopped host');
  });
});
