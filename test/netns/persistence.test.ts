// What is saved outlives a reboot, what is temporary does not; what is changed while it lives is saved too; what cannot be saved is refused.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deleteNamespace } from '../../tools/sweep.mjs';
import { type Host, type Namespace, namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { addAddress, clearHost, control, createVnic, kernelPeer, mappingFile, onBothDatapaths, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { traces } from '../helpers/netns-traces.ts';
import { ping } from '../helpers/netns-traffic.ts';
import { must } from '../helpers/process.ts';

const NEAR = '02:08:20:00:00:01';
const FAR = '02:08:20:00:00:02';
const SECOND = '192.0.2.51';

interface Link {
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
}

onBothDatapaths({ commands: ['nft', 'ss', 'ping', 'nsenter', 'mount', 'unshare'] })('what is remembered of overlays', (datapath) => {
  let ours: Host;
  let other: Host;
  let untouched: readonly string[];

  beforeAll(async () => {
    [ours, other] = await twoHosts({ datapath });
    untouched = await traces(ours);
  });

  const show = async (...args: string[]): Promise<string> => (await ours.mustOverlayadm(...args)).stdout;
  const linksOf = async (where: Namespace): Promise<readonly Link[]> => JSON.parse((await where.must('ip', ['-j', 'link', 'show'])).stdout);
  const macOf = async (where: Namespace, name: string): Promise<string | undefined> =>
    (await linksOf(where)).find(({ ifname }) => ifname === name)?.address;
  /** Until a command says so; what it said last stands in the error. */
  async function until(says: RegExp, ...args: string[]): Promise<void> {
    let last = '';
    const isSo = async (): Promise<boolean> => {
      last = await show(...args);
      return says.test(last);
    };
    await waitFor(isSo, PATIENCE_MS).catch((cause) => {
      throw new Error(`never said ${says}, but: ${last}`, { cause });
    });
  }

  async function recreate({ name }: Namespace): Promise<void> {
    deleteNamespace(name);
    await must('ip', ['netns', 'add', name]);
  }

  /** Everything that is only in memory is gone: processes, links, the run directory; the namespaces are new ones. */
  async function reboot(...spaces: readonly Namespace[]): Promise<void> {
    await ours.killDaemon();
    // VNICs go with what they stand on.
    const kind = datapath === 'tap' ? 'tun' : 'vxlan';
    const overlays: readonly Link[] = JSON.parse((await ours.must('ip', ['-j', 'link', 'show', 'type', kind])).stdout);
    for (const { ifname } of overlays) await ours.must('ip', ['link', 'del', ifname]);
    // The filter of a link that forwards without overlayd outlives it.
    await ours.must('nft', ['flush', 'ruleset']);
    for (const space of spaces) await recreate(space);
    for (const name of readdirSync(ours.dirs.run)) rmSync(join(ours.dirs.run, name), { recursive: true });
    expect(await traces(ours)).toEqual(untouched);
  }

  const config = (host: Host, defaults: Readonly<Record<string, string>>): void =>
    writeFileSync(
      join(host.dirs.config, 'config.yaml'),
      `defaults:\n${Object.entries(defaults)
        .map(([name, value]) => `  ${name}: ${value}\n`)
        .join('')}`,
    );

  describe('over a reboot', () => {
    let blue: Namespace;

    beforeAll(async () => {
      const map = mappingFile(ours, 'map.json', { [NEAR]: { ip: ours.v4, arp: '10.0.0.1' }, [FAR]: { ip: other.v4, arp: '10.0.0.2' } });
      config(ours, { 'vxlan/listen_ip': ours.v4, 'files/config': map, datapath });
      const peer = { name: 'vx0', vnetid: 100, mac: FAR, addresses: ['10.0.0.2/24'], local: other.v4, remote: ours.v4 };
      await kernelPeer(other, peer);
      expect(await show('create-overlay', '-e', 'vxlan', '-s', 'files', '-v', '100')).toBe('overlay0\n');
      blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: NEAR, addresses: ['10.0.0.1/24'], netns: 'blue' });
      expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
    });
    afterAll(() => clearHost(ours));

    const point = (vnetid: number): string[] => [
      ...['create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', String(vnetid)],
      ...['-p', `direct/dest_ip=${other.v4}`, '-p', 'direct/dest_port=4789'],
    ];

    test('up-overlay makes overlays and VNICs again, with the same MACs, in their namespaces; temporary ones are gone', async () => {
      await show(...point(101), 'lasting1');
      await show(...point(102), '-t', 'fleeting2');
      await show('create-vnic', '-l', 'lasting1', 'drawn1');
      await show('create-vnic', '-l', 'lasting1', '-v', '5', '-p', `netns=${blue.name}`, 'tagged5');
      await show('create-vnic', '-t', '-l', 'lasting1', '-p', 'mtu=1300', 'fleeting1');
      await show('create-vnic', '-t', '-l', 'fleeting2', 'fleeting3');
      expect(await ours.overlayadm('create-vnic', '-l', 'fleeting2', 'vnic9')).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('temporary'),
      });
      const listed = async (): Promise<string[]> => (await show('show-vnic')).split('\n').filter((line) => !line.startsWith('fleeting'));
      const before = { vnics: await listed(), overlays: await show('show-overlay', 'overlay0'), drawn: await macOf(ours, 'drawn1') };
      expect(before.vnics.slice(1, -1).every((line) => line.endsWith(' up') || /up\s*$/.test(line))).toBe(true);
      await reboot(blue);
      expect(await show('show-overlay', '-f')).toMatch(/^overlay0 +DOWN +saved, not up/m);
      await show('up-overlay');
      expect(await show('show-overlay', '-f')).not.toContain('fleeting');
      expect(await show('show-vnic')).not.toContain('fleeting');
      expect(await listed()).toEqual(before.vnics);
      expect(await show('show-overlay', 'overlay0')).toBe(before.overlays);
      expect(await macOf(ours, 'drawn1')).toBe(before.drawn);
      expect(await macOf(blue, 'vnic0')).toBe(NEAR);
      expect((await linksOf(blue)).map(({ ifname }) => ifname).toSorted()).toEqual(['lo', 'tagged5', 'vnic0']);
      await addAddress(blue, 'vnic0', '10.0.0.1/24');
      expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
      await until(/overlay0 +ONLINE/, 'show-overlay', '-f', 'overlay0');
      // Once more changes nothing.
      await show('up-overlay');
      expect(await listed()).toEqual(before.vnics);
      for (const name of ['drawn1', 'tagged5']) await show('delete-vnic', name);
      await show('delete-overlay', 'lasting1');
      await reboot(blue);
      await show('up-overlay');
      expect(await show('show-overlay', '-f')).not.toContain('lasting1');
      await addAddress(blue, 'vnic0', '10.0.0.1/24');
    });

    test('a VNIC waits for its namespace, and is made when it appears, and again when it has been another one', async () => {
      const green = await namespace('green');
      await show('create-vnic', '-l', 'overlay0', '-p', `netns=${green.name}`, 'waiting0');
      const mac = await macOf(green, 'waiting0');
      await reboot(blue);
      deleteNamespace(green.name);
      await show('up-overlay');
      expect(await show('show-vnic')).toMatch(new RegExp(`waiting0 .*waiting for namespace ${green.name}`));
      for (let round = 0; round < 2; round++) {
        await must('ip', ['netns', 'add', green.name]);
        await waitFor(() => macOf(green, 'waiting0'), PATIENCE_MS, 'the VNIC to be made');
        expect(await macOf(green, 'waiting0')).toBe(mac);
        await until(/waiting0 .* up/, 'show-vnic');
        if (round === 1) break;
        await must('ip', ['netns', 'delete', green.name]);
        await until(new RegExp(`waiting0 .*waiting for namespace ${green.name}`), 'show-vnic');
      }
      await show('delete-vnic', 'waiting0');
      expect(await linksOf(green)).toHaveLength(1);
      await addAddress(blue, 'vnic0', '10.0.0.1/24');
    });

    test('delete -t takes away what is there, and up-overlay brings it back', async () => {
      expect(await ours.overlayadm('delete-overlay', '-t', 'overlay0')).toMatchObject({ status: 1, stderr: expect.stringContaining('vnic0') });
      await show('delete-vnic', '-t', 'vnic0');
      expect(await macOf(blue, 'vnic0')).toBeUndefined();
      await show('up-overlay', 'overlay0');
      expect(await macOf(blue, 'vnic0')).toBe(NEAR);
      await show('delete-vnic', '-t', 'vnic0');
      await show('delete-overlay', '-t', 'overlay0');
      expect(await macOf(ours, 'overlay0')).toBeUndefined();
      expect(await ours.overlayadm(...point(102), 'overlay0')).toMatchObject({ status: 1, stderr: expect.stringContaining('up-overlay overlay0') });
      await show('up-overlay', 'overlay0');
      await addAddress(blue, 'vnic0', '10.0.0.1/24');
      expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
    });

    test('set-linkprop is kept, with -t it is not', async () => {
      const mtus = async (): Promise<readonly (number | undefined)[]> => [
        (await linksOf(ours)).find(({ ifname }) => ifname === 'overlay0')?.mtu,
        (await linksOf(blue)).find(({ ifname }) => ifname === 'vnic0')?.mtu,
      ];
      await show('set-linkprop', '-p', 'mtu=1300', 'vnic0');
      await show('set-linkprop', '-p', 'mtu=1350', 'overlay0');
      await show('set-linkprop', '-t', '-p', 'mtu=1200', 'vnic0');
      await show('set-linkprop', '-t', '-p', 'mtu=1320', 'overlay0');
      expect(await mtus()).toEqual([1320, 1200]);
      // Over a restart the change that is temporary holds.
      await ours.killDaemon();
      const shownMtu = (...options: string[]) => show('show-linkprop', ...options, '-c', '-o', 'value', '-p', 'mtu', 'overlay0');
      expect([await shownMtu(), await shownMtu('-P')]).toEqual(['1320\n', '1350\n']);
      expect(await mtus()).toEqual([1320, 1200]);
      await reboot(blue);
      await show('up-overlay');
      expect(await mtus()).toEqual([1350, 1300]);
      await show('reset-linkprop', '-p', 'mtu', 'overlay0');
      await show('reset-linkprop', '-p', 'mtu', 'vnic0');
      expect(await mtus()).toEqual([1400, 1400]);
    });

    test('records that are half there, unreadable or newer are kept and shown with the reason, and nothing else suffers', async () => {
      const folder = join(ours.dirs.state, 'overlays');
      const good = readFileSync(join(folder, 'overlay0.json'), 'utf8');
      writeFileSync(join(folder, 'half1.json'), good.slice(0, good.length / 2));
      mkdirSync(join(folder, 'folder1.json'));
      writeFileSync(join(folder, 'newer1.json'), good.replace('"version": 1', '"version": 2').replace('"overlay0"', '"newer1"'));
      writeFileSync(join(folder, '.new-rest1'), good);
      await reboot(blue);
      const up = await ours.overlayadm('up-overlay');
      expect(up.status).toBe(1);
      for (const name of ['half1', 'folder1', 'newer1']) expect(up.stderr).toContain(name);
      const shown = await show('show-overlay', '-f');
      expect(shown).toMatch(/half1 +DEGRADED/);
      expect(shown).toMatch(/folder1 +DEGRADED/);
      expect(shown).toMatch(/newer1 +DEGRADED.*newer/);
      await addAddress(blue, 'vnic0', '10.0.0.1/24');
      expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
      await until(/overlay0 +ONLINE/, 'show-overlay', '-f');
      expect(existsSync(join(folder, '.new-rest1'))).toBe(false);
      expect(await ours.overlayadm(...point(103), 'half1')).toMatchObject({ status: 1, stdout: '' });
      expect(readFileSync(join(folder, 'half1.json'), 'utf8')).toBe(good.slice(0, good.length / 2));
      // Mended by hand it is used again; what is not wanted is deleted.
      writeFileSync(
        join(folder, 'half1.json'),
        good
          .replace('"overlay0"', '"half1"')
          .replace('"vnetid": 100', '"vnetid": 104')
          .replace(/"vnics": \[[^\]]*\]/, '"vnics": []'),
      );
      await show('up-overlay', 'half1');
      await until(/half1 +ONLINE/, 'show-overlay', '-f');
      await show('delete-overlay', 'half1', 'newer1');
      rmSync(join(folder, 'folder1.json'), { recursive: true });
      await show('up-overlay');
      expect(readdirSync(folder)).toEqual(['overlay0.json']);
      expect(await show('show-overlay', '-f')).not.toMatch(/half1|newer1|folder1/);
    });

    test('another mapping file while it lives: its answers are used; one that cannot be read is refused and the old one stays', async () => {
      const first = join(ours.dirs.config, 'map.json');
      const second = mappingFile(ours, 'second.json', {
        [NEAR]: { ip: ours.v4, arp: '10.0.0.1' },
        [FAR]: { ip: other.v4, arp: '10.0.0.2' },
        '02:08:20:00:00:03': { ip: other.v4, arp: '10.0.0.3' },
      });
      await other.must('ip', ['link', 'add', 'more0', 'link', 'vx0', 'address', '02:08:20:00:00:03', 'type', 'macvlan', 'mode', 'bridge']);
      await other.must('ip', ['link', 'set', 'more0', 'up']);
      await addAddress(other, 'more0', '10.0.0.3/32');
      const refused = await ours.overlayadm('set-linkprop', '-p', 'files/config=/nowhere/map.json', 'overlay0');
      expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('/nowhere/map.json') });
      expect(await show('show-linkprop', '-p', 'files/config', 'overlay0')).toContain(first);
      expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
      expect(await ping(blue, '10.0.0.3', { waitSeconds: 1 })).toMatchObject({ received: 0 });
      await show('set-linkprop', '-p', `files/config=${second}`, 'overlay0');
      expect(await show('show-linkprop', '-p', 'files/config', 'overlay0')).toContain(second);
      await blue.must('ip', ['neigh', 'flush', 'dev', 'vnic0']);
      await waitFor(async () => (await ping(blue, '10.0.0.3', { waitSeconds: 1 })).received === 2, PATIENCE_MS, 'the new answer');
      // Kept over a restart and a reboot.
      await ours.killDaemon();
      expect(await show('show-linkprop', '-p', 'files/config', 'overlay0')).toContain(second);
      await show('set-linkprop', '-t', '-p', `files/config=${first}`, 'overlay0');
      await reboot(blue);
      await show('up-overlay');
      expect(await show('show-linkprop', '-p', 'files/config', 'overlay0')).toContain(second);
      await addAddress(blue, 'vnic0', '10.0.0.1/24');
      expect(await ping(blue, '10.0.0.3')).toEqual({ sent: 2, received: 2 });
    });

    test('another listen address while it lives, and back', async () => {
      await addAddress(ours, 'under0', `${SECOND}/24`);
      const remote = (ip: string): Promise<unknown> => other.must('ip', ['link', 'set', 'vx0', 'type', 'vxlan', 'id', '100', 'remote', ip]);
      for (const ip of [SECOND, ours.v4]) {
        await show('set-linkprop', '-p', `vxlan/listen_ip=${ip}`, 'overlay0');
        await remote(ip);
        // The kernel listens on all addresses, whatever the link's own one is, and its filter lets nothing else in.
        const at = datapath === 'tap' ? ip : '0.0.0.0';
        expect((await ours.must('ss', ['-Hulna', 'sport', '=', '4789'])).stdout).toMatch(new RegExp(`^UNCONN.* ${at}:4789 [^\\n]*\\n$`));
        if (datapath === 'kernel') {
          expect((await ours.must('ip', ['-d', 'link', 'show', 'dev', 'overlay0'])).stdout).toContain(` local ${ip} `);
          expect((await ours.must('nft', ['list', 'ruleset'])).stdout).toContain(`4789 . 0x64 . ${ip} }`);
        }
        expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
        const before = ours.daemonPid() ?? 0;
        process.kill(before, 'SIGKILL');
        await waitFor(() => (ours.daemonPid() ?? before) !== before, PATIENCE_MS, 'the next overlayd');
        expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
      }
      const refused = await ours.overlayadm('set-linkprop', '-p', 'vxlan/listen_ip=198.51.100.1', 'overlay0');
      expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('198.51.100.1 is not an address of this host') });
      expect(await ping(blue, '10.0.0.2')).toEqual({ sent: 2, received: 2 });
    });

    test('VNICs of a VLAN keep their tags over a restart', async () => {
      const both = await Promise.all(['five', 'six'].map((name) => namespace(name)));
      for (const [at, { name }] of both.entries()) {
        await show('create-vnic', '-l', 'overlay0', '-v', '5', '-p', `netns=${name}`, `five${at}`);
        await addAddress(both[at] as Namespace, `five${at}`, `10.5.0.${at + 1}/24`);
      }
      const [five, six] = both as [Namespace, Namespace];
      expect(await ping(five, '10.5.0.2')).toEqual({ sent: 2, received: 2 });
      for (const kill of [() => process.kill(ours.daemonPid() ?? 0, 'SIGKILL'), () => ours.killDaemon()]) {
        const before = ours.daemonPid();
        await kill();
        await waitFor(() => ours.daemonPid() !== before, PATIENCE_MS, 'overlayd to be gone');
        await until(/five0 +overlay0 +\S+ +\d+ +5 .* up/, 'show-vnic');
        await until(/five1 +overlay0 +\S+ +\d+ +5 .* up/, 'show-vnic');
        expect(await ping(five, '10.5.0.2')).toEqual({ sent: 2, received: 2 });
      }
      await reboot(blue, five, six);
      await show('up-overlay');
      expect(await show('show-vnic')).toMatch(/five0 +overlay0 +\S+ +\d+ +5 .* up/);
      for (const [at, space] of both.entries()) await addAddress(space, `five${at}`, `10.5.0.${at + 1}/24`);
      await waitFor(async () => (await ping(five, '10.5.0.2')).received === 2, PATIENCE_MS, 'an answer');
    });
  });

  describe('when the disk is full', () => {
    test('an overlay, a VNIC and a change are refused, and nothing is left of the attempt', async () => {
      // A file system of overlayd's own: "ip netns exec" has mounts of its own.
      const script = 'mount -t tmpfs -o size=256k,mode=755 none "$OVERLAYADM_STATE_DIR" && exec bin/overlayd';
      const daemon = ours.start('sh', ['-c', script], { env: ours.env });
      await daemon.printed('overlayd serves', PATIENCE_MS);
      const inside = (text: string): Promise<unknown> =>
        must('nsenter', ['-m', '-t', String(ours.daemonPid()), 'sh', '-c', text, 'sh', ours.dirs.state]);
      const properties = [
        '-p',
        `datapath=${datapath}`,
        '-p',
        `vxlan/listen_ip=${ours.v4}`,
        '-p',
        `direct/dest_ip=${other.v4}`,
        '-p',
        'direct/dest_port=4789',
      ];
      const create = (name: string, vnetid: number) =>
        ours.overlayadm('create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', String(vnetid), ...properties, name);
      const upRecords = (): string[] => readdirSync(join(ours.dirs.run, 'overlays'));
      expect(await create('first0', 1)).toMatchObject({ status: 0 });
      const before = await traces(ours);
      await inside('cat /dev/zero > "$1/fill" 2>/dev/null; [ -s "$1/fill" ]');
      const saysFull = { status: 1, stdout: '', stderr: expect.stringMatching(/its state cannot be saved \(ENOSPC/) };
      expect(await create('second0', 2)).toMatchObject(saysFull);
      expect(await ours.overlayadm('create-vnic', '-l', 'first0', 'vnic0')).toMatchObject(saysFull);
      expect(await ours.overlayadm('set-linkprop', '-p', 'mtu=1300', 'first0')).toMatchObject(saysFull);
      expect(await traces(ours)).toEqual(before);
      expect(upRecords()).toEqual(['first0.json']);
      const client = await control(ours);
      expect(await client.call('overlay.names', { saved: true })).toEqual(['first0']);
      await expect(
        client.call('overlay.create', { name: 'second0', encap: 'vxlan', search: 'direct', vnetid: 2, properties: [], temporary: false }),
      ).rejects.toThrow();
      client.close();
      // What is not saved needs no room.
      expect(await ours.overlayadm('set-linkprop', '-t', '-p', 'mtu=1300', 'first0')).toMatchObject({ status: 0 });
      expect(await ours.overlayadm('delete-overlay', 'first0')).toMatchObject({ status: 0 });
      await inside('rm "$1/fill"');
      expect(await create('second0', 2)).toMatchObject({ status: 0 });
      expect(await ours.overlayadm('delete-overlay', 'second0')).toMatchObject({ status: 0 });
      await ours.stopDaemon();
      expect(await traces(ours)).toEqual(untouched);
    });
  });
});
