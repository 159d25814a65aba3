// What a plugin host of a real overlayd may do: read its folder and nothing else, without a capability, and no longer than overlayd lives.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { readServiceUser } from '../../src/core/lookup/rights.ts';
import { isAlive } from '../../tools/sweep.mjs';
import { type Host, twoHosts, waitFor } from '../helpers/netns.ts';
import { childrenOf, createOverlay, createVnic, linkPlugin, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import type { Running } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

/** The fixture tells what it may do when it is asked for this one. */
const PROBE = '02:00:00:00:00:99';
const REFUSED = 'ERR_ACCESS_DENIED';

/** Runs overlayd from this checkout, seen through `folder`, which only its owner may enter; only overlayd sees it there. */
async function startPrivately(host: Host, folder: string): Promise<Running> {
  const inside = join(folder, 'checkout');
  mkdirSync(inside);
  const script = 'mount --bind "$1" "$2" && exec "$2/bin/overlayd"';
  const daemon = host.start('unshare', ['--mount', 'sh', '-c', script, 'sh', resolve('.'), inside], { env: host.env });
  await waitFor(() => existsSync(join(host.dirs.run, 'overlayd.sock')), PATIENCE_MS, 'the socket of overlayd');
  return daemon;
}

const statusOf = (pid: number): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(`/proc/${pid}/status`, 'utf8')
      .split('\n')
      .map((line) => line.split(/:\s*/) as [string, string]),
  );

/** The plugin hosts that there are; the process that lists plugins is none. */
function hostsOf(host: Host): readonly number[] {
  return childrenOf(host.daemonPid() ?? 0).filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--max-old-space-size'));
}

/** Makes an overlay whose plugin is asked what it may do; gives its answer. */
async function probe(host: Host, daemon: Running): Promise<Readonly<Record<string, unknown>>> {
  const outside = join(host.dirs.config, 'secret');
  await createOverlay(host, {
    name: 'overlay0',
    search: 'evil',
    vnetid: 31,
    properties: { 'vxlan/listen_ip': host.v4, 'evil/outside': outside, 'evil/dest_port': 4789 },
  });
  await createVnic(host, { name: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:31:01', addresses: ['10.31.0.1/24'] });
  await host.must('ip', ['neigh', 'replace', '10.31.0.2', 'lladdr', PROBE, 'nud', 'permanent', 'dev', 'vnic0']);
  await host.run('ping', ['-n', '-q', '-c', '1', '-W', '1', '10.31.0.2']);
  const line = await waitFor(() => (daemon.stdout + daemon.stderr).split('\n').find((text) => text.includes('probe {')), PATIENCE_MS, 'the probe');
  const text = JSON.parse(line).msg as string;
  return JSON.parse(text.slice(text.indexOf('{')));
}

const NOTHING = { passwd: REFUSED, outside: REFUSED, status: REFUSED, write: REFUSED, run: REFUSED, cwd: '/', environment: [] };

/** No capability in any set, and none to be had. */
function expectNoPowers(pid: number): void {
  const status = statusOf(pid);
  const zero = '0000000000000000';
  expect(['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs'].map((name) => status.get(name))).toEqual([
    zero,
    zero,
    zero,
    zero,
    zero,
    '1',
  ]);
}

skipUnless({ root: true, tun: true, commands: ['ping', 'unshare', 'mount'] })('a plugin host of overlayd', () => {
  test('is nobody, reads its folder and nothing else, has no capability, and dies with an overlayd that is killed', async () => {
    const [host] = await twoHosts();
    linkPlugin(host, 'evil');
    const daemon = await host.startDaemon();
    const { uid, gid } = readServiceUser();
    expect(await probe(host, daemon)).toMatchObject({ ...NOTHING, uid, gid });
    const pids = hostsOf(host);
    expect(pids.length).toBeGreaterThan(0);
    for (const pid of pids) {
      expectNoPowers(pid);
      const status = statusOf(pid);
      expect([status.get('Uid')?.split('\t'), status.get('Groups')?.trim()]).toEqual([new Array(4).fill(String(uid)), '']);
    }
    expect(daemon.stdout + daemon.stderr).not.toContain("keeps overlayd's user");
    process.kill(host.daemonPid() ?? 0, 'SIGKILL');
    await waitFor(() => pids.every((pid) => !isAlive(pid)), PATIENCE_MS, 'the end of the plugin hosts');
  });

  test('from a checkout in a private folder keeps the user and nothing else, and the log names the folder', async () => {
    const [host] = await twoHosts();
    linkPlugin(host, 'evil');
    const folder = temporaryFolder();
    const daemon = await startPrivately(host, folder);
    expect(await probe(host, daemon)).toMatchObject({ ...NOTHING, uid: 0, gid: 0 });
    const pids = hostsOf(host);
    expect(pids.length).toBeGreaterThan(0);
    for (const pid of pids) expectNoPowers(pid);
    const says = `its host keeps overlayd's user, without capabilities, because uid ${readServiceUser().uid} cannot read ${folder}`;
    expect(daemon.stdout + daemon.stderr).toContain(`plugin overlayadm-test-evil: ${says}`);
  });
});
