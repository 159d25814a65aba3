// Many overlays, many targets and many lookups in one overlayd: nobody waits for another. Figures are in `npm run bench`.
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { TARGET_RECORD_BYTES } from '../../src/core/engine/snapshot.ts';
import type { Client } from '../../src/core/rpc/client.ts';
import { SPARE_DESCRIPTORS } from '../../src/core/util/limits.ts';
import { macToKey } from '../../src/core/util/mac-key.ts';
import { mac } from '../helpers/frames.ts';
import { type Host, twoHosts, waitFor } from '../helpers/netns.ts';
import { control, controlAfter, counters, mappingFile, onBothDatapaths, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { askForMany, costOf, createMany, linkPlugins, setTargets, waitsDuring } from '../helpers/netns-scale.ts';

/** The benchmark has 1000; so many take some seconds. */
const OVERLAYS = 200;
const TARGETS = 100_000;
const LOOKUPS = 10_000;
const MIB = 2 ** 20;
/** What show-overlay -t may need more for many targets than for none: a heap that is collected late. */
const MOST_MORE_BYTES = 64 * MIB;
const TARGETED = 'overlay1000';
const OVERLAYADM = resolve('bin/overlayadm');
const LISTEN_PORT = 4789;

const direct = (ours: Host, other: Host) => ({
  search: 'direct',
  properties: { datapath: ours.datapath ?? 'auto', 'vxlan/listen_ip': ours.v4, 'direct/dest_ip': other.v4, 'direct/dest_port': String(LISTEN_PORT) },
});
const lines = (text: string): string[] => text.split('\n').filter(Boolean);

onBothDatapaths({ commands: ['prlimit', 'python3'] })('one overlayd', (datapath) => {
  let ours: Host;
  let other: Host;
  let client: Client;
  /** Who must not have to wait. */
  let bystander: Client;

  beforeAll(async () => {
    [ours, other] = await twoHosts({ v6: false, datapath });
    linkPlugins(ours, ['silent', 'spinning']);
    await ours.startDaemon();
    client = await control(ours);
    bystander = await control(ours);
    // The first one waits for the list of plugins and for their hosts.
    await createMany(client, { count: 1, ...direct(ours, other) });
  });

  describe(`with ${OVERLAYS} overlays`, () => {
    test('answers while they are made', async () => {
      const waits = await waitsDuring(bystander, () => createMany(client, { count: OVERLAYS - 1, from: 1, ...direct(ours, other) }));
      expect(waits).toMatchObject({ late: 0, samples: expect.toSatisfy((samples: number) => samples > 3) });
      expect((await client.call('overlay.names', { saved: true })).length).toBe(OVERLAYS);
    });

    test('has given none of their links the queues that would take 25 MB each', async () => {
      const { stdout } = await ours.must('ip', ['-j', 'link', 'show', 'type', datapath === 'tap' ? 'tun' : 'vxlan']);
      const links: readonly { readonly qdisc: string; readonly txqlen: number }[] = JSON.parse(stdout);
      expect(links.length).toBe(OVERLAYS);
      expect(new Set(links.map(({ qdisc }) => qdisc))).toEqual(new Set(['noqueue']));
      // Frames wait in a TAP; a link of the kernel sends them at once.
      if (datapath === 'tap') expect(new Set(links.map(({ txqlen }) => txqlen))).toEqual(new Set([4096]));
    });

    test.each([
      ['show-overlay', '-p'],
      ['show-link', '-p'],
      ['show-linkprop', '-c'],
    ])('%s shows all of them', async (...words) => {
      const { stdout } = await ours.mustOverlayadm(...words, '-o', 'link');
      expect(new Set(lines(stdout)).size).toBe(OVERLAYS);
    });
  });

  describe(`with ${TARGETS} targets`, () => {
    beforeAll(async () => {
      const properties = [
        { name: 'datapath', text: datapath },
        { name: 'vxlan/listen_ip', text: ours.v4 },
        { name: 'files/config', text: mappingFile(ours, 'none.json', {}) },
      ];
      await client.call('overlay.create', { name: TARGETED, encap: 'vxlan', search: 'files', vnetid: 1_000_001, properties, temporary: false });
    });

    test('answers while they are set, and while they are written down', async () => {
      const snapshot = join(ours.dirs.run, 'targets', TARGETED);
      const waits = await waitsDuring(bystander, async () => {
        await setTargets(client, TARGETED, TARGETS, other.v4);
        await waitFor(() => statSync(snapshot).size > TARGET_RECORD_BYTES * TARGETS, PATIENCE_MS, 'the snapshot of the targets');
      });
      expect(waits.late).toBe(0);
    });

    test('show-overlay -t prints the first ones before it has read the last', async () => {
      const command = ours.start(OVERLAYADM, ['show-overlay', '-t', '-p', '-o', 'target', TARGETED], { env: ours.env });
      await waitFor(() => command.stdout !== '', PATIENCE_MS, 'the first targets');
      // From here on nothing more can come of overlayd.
      const pid = ours.daemonPid() as number;
      process.kill(pid, 'SIGSTOP');
      await sleep(200);
      const early = lines(command.stdout).length;
      process.kill(pid, 'SIGCONT');
      command.killGroup();
      await command.end();
      expect(early).toBeGreaterThan(0);
      expect(early).toBeLessThan(TARGETS);
    });

    test('show-overlay -t prints all of them, and needs no more memory for it', async () => {
      const few = await costOf(ours, OVERLAYADM, ['show-overlay', '-t', '-p', '-o', 'target', 'overlay0']);
      const many = await costOf(ours, OVERLAYADM, ['show-overlay', '-t', '-p', '-o', 'target', TARGETED]);
      expect([few, many]).toMatchObject([
        { status: 0, rows: 1 },
        { status: 0, rows: TARGETS },
      ]);
      expect(many.peakBytes - few.peakBytes).toBeLessThan(MOST_MORE_BYTES);
    });

    test('show-overlay -t ends quietly when nobody reads on', async () => {
      const script = `${OVERLAYADM} show-overlay -t ${TARGETED} | head -n 3`;
      const { status, stdout, stderr } = await ours.run('sh', ['-c', script], { env: ours.env });
      expect({ status, stderr, rows: lines(stdout).length }).toEqual({ status: 0, stderr: '', rows: 3 });
    });
  });

  test('that is killed has all of it again', async () => {
    const pid = ours.daemonPid() as number;
    process.kill(pid, 'SIGKILL');
    client = await controlAfter(ours, pid);
    bystander = await control(ours);
    const names = await client.call('overlay.names', { saved: false });
    expect(names.length).toBe(OVERLAYS + 1);
    const waits = await waitsDuring(bystander, () =>
      waitFor(
        async () => {
          const rows = await Promise.all(names.map((name) => client.call('overlay.health', { name })));
          return rows.every(({ status }) => status === 'ONLINE');
        },
        PATIENCE_MS,
        'all overlays to be online',
      ),
    );
    expect(waits.late).toBe(0);
    const { rows } = await client.call('overlay.targets', { name: TARGETED, after: String(macToKey(mac(TARGETS - 4))) });
    expect(rows.map(({ destination }) => destination)).toEqual(new Array(3).fill(`${other.v4}:${LISTEN_PORT}`));
  });

  test(`answers while ${LOOKUPS} lookups wait for one plugin and another one hangs`, async () => {
    const listen = [
      { name: 'datapath', text: datapath },
      { name: 'vxlan/listen_ip', text: ours.v4 },
    ];
    for (const [at, search] of ['silent', 'spinning'].entries()) {
      const name = `${search}0`;
      await client.call('overlay.create', { name, encap: 'vxlan', search, vnetid: 2_000_000 + at, properties: listen, temporary: true });
      const vnic = { where: ours, name: `vnic${at}`, mac: mac(900 + at) };
      await client.call('vnic.create', { name: vnic.name, overlay: name, mac: vnic.mac, properties: [], temporary: true });
      await askForMany(client, name, vnic, search === 'silent' ? LOOKUPS : 100);
    }
    const commands = [
      ['show-overlay'],
      ['show-overlay', '-f'],
      ['show-overlay', '-t', 'silent0'],
      ['show-link', '-s'],
      ['show-linkprop', 'spinning0'],
    ];
    const waits = await waitsDuring(bystander, async () => {
      for (const words of commands) expect(await ours.overlayadm(...words)).toMatchObject({ status: 0, stderr: '' });
      await createMany(client, { count: 1, from: OVERLAYS, ...direct(ours, other) });
    });
    expect(waits.late).toBe(0);
    // None of them has been answered yet: it was while they waited.
    expect(await counters(client, 'silent0')).toMatchObject({ 'lookup.asked': LOOKUPS, 'lookup.refused': 0, 'tx.frames': 0 });
    expect(await counters(client, 'spinning0')).toMatchObject({ 'lookup.asked': 100, 'lookup.refused': 0, 'tx.frames': 0 });
    await client.call('vnic.delete', { name: 'vnic1', temporary: true });
    const deleted = await waitsDuring(bystander, () => client.call('overlay.delete', { name: 'spinning0', temporary: true }));
    expect(deleted.late).toBe(0);
  });

  // An overlay on a link of the kernel has no descriptor of its own.
  test.runIf(datapath === 'tap')('that may open few files refuses an overlay too many with what to do, and goes on', async () => {
    const most = 140;
    const daemon = other.start('prlimit', [`--nofile=${most}:${most}`, resolve('bin/overlayd')], { env: other.env });
    await daemon.printed('overlayd serves', PATIENCE_MS);
    const there = await control(other);
    const create = async (from: number) => createMany(there, { count: 1, from, ...direct(other, ours) });
    let made = 0;
    const refused = await (async () => {
      for (; made < most; made++) await create(made);
    })().catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'DESCRIPTORS_USED', advice: expect.stringContaining('LimitNOFILE') });
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(most - SPARE_DESCRIPTORS);
    const inside = await other.vnicNamespace('few');
    const properties = [{ name: 'netns', text: inside.name }];
    expect(await there.call('vnic.create', { name: 'vnic0', overlay: 'overlay0', properties, temporary: true })).toMatchObject({ state: 'up' });
    await there.call('overlay.delete', { name: 'overlay1', temporary: false });
    await create(1);
    await expect(create(made)).rejects.toMatchObject({ code: 'DESCRIPTORS_USED' });
    const pid = other.daemonPid() as number;
    process.kill(pid, 'SIGKILL');
    expect((await (await controlAfter(other, pid)).call('overlay.names', { saved: false })).length).toBe(made);
  });
});
