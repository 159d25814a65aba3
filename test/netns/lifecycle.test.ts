// overlayd comes when it is needed, once; what it leaves when it goes is for the next one; what it refuses leaves everything as it was.
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { daemonsOf, isAlive } from '../../tools/sweep.mjs';
import { type Datapath, type Host, type Namespace, namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import {
  childrenOf,
  clearHost,
  createOverlay,
  createVnic,
  mappingFile,
  onBothDatapaths,
  PATIENCE_MS,
  type Properties,
  propertyFlags,
} from '../helpers/netns-overlay.ts';
import { traces } from '../helpers/netns-traces.ts';
import { must, type Result } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';

const OVERLAYADM = resolve('bin/overlayadm');
const OVERLAYD = resolve('bin/overlayd');
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];
const socketOf = (host: Host): string => join(host.dirs.run, 'overlayd.sock');

/** Processes of this namespace that are called `overlayd`, by what they call themselves. */
async function daemonsIn(host: Host): Promise<number[]> {
  const { stdout } = await host.must('ip', ['netns', 'pids', host.name]);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map(Number)
    .filter((pid) => isAlive(pid) && /^overlayd(?!-)/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1')));
}

const direct = (host: Host, other: Host): Properties => ({ 'vxlan/listen_ip': host.v4, 'direct/dest_ip': other.v4, 'direct/dest_port': 4789 });
const create = (host: Host, other: Host, vnetid: number, name?: string): Promise<string> =>
  createOverlay(host, { search: 'direct', vnetid, properties: direct(host, other), ...(name === undefined ? {} : { name }) });
const linkNames = async (where: Namespace): Promise<string[]> =>
  JSON.parse((await where.must('ip', ['-j', 'link', 'show'])).stdout).map(({ ifname }: { ifname: string }) => ifname);

/** Two hosts, and what is there before anything is made. */
async function untouchedHosts(datapath?: Datapath): Promise<{ ours: Host; other: Host; untouched: readonly string[] }> {
  const [ours, other] = await twoHosts(datapath === undefined ? {} : { datapath });
  // What other users may see is up to the run directory, and not to the folder of this test.
  chmodSync(dirname(ours.dirs.run), 0o755);
  return { ours, other, untouched: await traces(ours) };
}

async function clear(host: Host, untouched: readonly string[]): Promise<void> {
  await clearHost(host);
  expect(daemonsOf(host.dirs.run)).toEqual([]);
  expect(await traces(host)).toEqual(untouched);
}

skipUnless({ root: true, tun: true, commands: ['nft', 'ss'] })('overlayd', () => {
  let ours: Host;
  let other: Host;
  let untouched: readonly string[];

  beforeAll(async () => {
    ({ ours, other, untouched } = await untouchedHosts());
  });
  const cleared = (): Promise<void> => clear(ours, untouched);
  describe('comes', () => {
    test('with show-overlay, once for five commands at once, and every one of them succeeds', async () => {
      const show = (): Promise<Result> => ours.overlayadm('show-overlay');
      const make = (vnetid: number): Promise<Result> =>
        ours.overlayadm('create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', String(vnetid), ...propertyFlags(direct(ours, other)));
      const results = await Promise.all([show(), make(1), make(2), show(), make(3)]);
      expect(results.map(({ status, stderr }) => ({ status, stderr }))).toEqual(Array.from({ length: 5 }, () => ({ status: 0, stderr: '' })));
      expect([results[1], results[2], results[4]].map((result) => result?.stdout).toSorted()).toEqual(['overlay0\n', 'overlay1\n', 'overlay2\n']);
      expect(await daemonsIn(ours)).toEqual([ours.daemonPid()]);
      expect(daemonsOf(ours.dirs.run)).toEqual([ours.keeperPid(), ours.daemonPid()]);
    });

    test('only once: a second one in the foreground refuses with status 3 and names the first', async () => {
      const second = await ours.run(OVERLAYD, [], { env: ours.env });
      expect(second.status).toBe(3);
      expect(second.stderr).toContain(`another one runs with ${ours.dirs.run} (pid ${ours.daemonPid()})`);
      expect(await linkNames(ours)).toContain('overlay0');
    });

    test('names that are chosen are the lowest that are free', async () => {
      await ours.mustOverlayadm('delete-overlay', 'overlay1');
      await ours.must('ip', ['link', 'add', 'overlay3', 'type', 'veth', 'peer', 'name', 'veth3']);
      expect(await create(ours, other, 4)).toBe('overlay1');
      expect(await create(ours, other, 5)).toBe('overlay4');
      await ours.must('ip', ['link', 'del', 'overlay3']);
    });
  });

  describe('does not come', () => {
    beforeAll(cleared);

    test.each(['id', 'folder'])('when its state directory is damaged (%s): the command shows the end of the log', async (what) => {
      const id = join(ours.dirs.state, 'id');
      const text = readFileSync(id, 'utf8');
      if (what === 'id') writeFileSync(id, 'damaged\n');
      const state = what === 'id' ? ours.dirs.state : join(id, 'below-a-file');
      const failed = await ours.run(OVERLAYADM, ['show-overlay'], { env: { ...ours.env, OVERLAYADM_STATE_DIR: state } });
      writeFileSync(id, text);
      expect(failed).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('overlayd did not start (it ended with status 1)') });
      expect(failed.stderr).toContain(what === 'id' ? `${id}: is not an id of a state directory` : `${state}: cannot be made`);
      expect(await daemonsIn(ours)).toEqual([]);
      expect(existsSync(socketOf(ours))).toBe(false);
    });

    test('for somebody who may not start it: he is told the command', async () => {
      const told = await ours.run('setpriv', [...NOBODY, OVERLAYADM, 'show-overlay'], { env: ours.env });
      expect(told).toMatchObject({ status: 1, stderr: 'overlayadm: overlayd is not running; start it with: sudo overlayd\n' });
      expect(await daemonsIn(ours)).toEqual([]);
    });
  });

  describe('that lacks something', () => {
    beforeAll(cleared);

    // The mounts of "ip netns exec" are its own, so only this overlayd is without the device.
    test.each([
      {
        // The kernel driver does without: `auto` takes that, so it is tap that is refused.
        lacks: '/dev/net/tun',
        by: ['sh', '-c', `mount -t tmpfs none /dev/net && exec ${OVERLAYD}`],
        datapath: 'tap',
        says: ['there is no /dev/net/tun', 'modprobe tun'],
      },
      ...[
        { datapath: 'auto', says: ['permission denied', 'root'] },
        { datapath: 'tap', says: ['permission denied', 'root'] },
        { datapath: 'kernel', says: ['datapath: kernel cannot serve this overlay', 'CAP_NET_ADMIN'] },
      ].map((each) => ({ ...each, lacks: 'CAP_NET_ADMIN', by: ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-all', OVERLAYD] })),
    ])('$lacks refuses to create (datapath $datapath), says so, and leaves nothing', async ({ by, datapath, says }) => {
      const [command = '', ...args] = by;
      const daemon = ours.start(command, args, { env: ours.env });
      try {
        await waitFor(() => existsSync(socketOf(ours)), PATIENCE_MS, 'the socket of overlayd');
        const flags = propertyFlags({ ...direct(ours, other), datapath });
        const refused = await ours.overlayadm('create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', '1', ...flags);
        expect(refused).toMatchObject({ status: 1, stdout: '' });
        for (const text of says) expect(refused.stderr).toContain(text);
        expect(await traces(ours)).toEqual(untouched);
      } finally {
        daemon.kill('SIGTERM');
        await daemon.end();
      }
      expect(daemonsOf(ours.dirs.run)).toEqual([]);
    });
  });

  describe('answers', () => {
    beforeAll(async () => {
      await create(ours, other, 1);
    });

    test('nobody who may not read: he is told what it takes', async () => {
      const told = await ours.run('setpriv', [...NOBODY, OVERLAYADM, 'show-overlay'], { env: ours.env });
      expect(told).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('permission denied\n  This needs root, or membership of the group overlayadm'),
      });
    });

    test('nobody in another network namespace: he is told which one it is in', async () => {
      const told = await other.run(OVERLAYADM, ['show-overlay'], { env: ours.env });
      expect(told.status).toBe(1);
      expect(told.stderr).toContain(`overlayd (pid ${ours.daemonPid()}): runs in another network namespace`);
      expect(told.stderr).toContain(`nsenter --net=/proc/${ours.daemonPid()}/ns/net`);
    });
  });
});

onBothDatapaths({ commands: ['nft', 'ss'] })('overlayd goes', (datapath) => {
  let ours: Host;
  let other: Host;
  let untouched: readonly string[];

  beforeAll(async () => {
    ({ ours, other, untouched } = await untouchedHosts(datapath));
  });
  afterEach(() => clear(ours, untouched));
  const carrierOf = async (where: Namespace, link: string): Promise<boolean> =>
    !(await where.must('ip', ['-o', 'link', 'show', 'dev', link])).stdout.includes('NO-CARRIER');
  const recordsIn = (folder: string): string[] => readdirSync(join(folder, 'overlays'));

  /** One overlay with a VNIC in a namespace; gives that and the plugin hosts. */
  async function build(): Promise<{ blue: Namespace; hosts: readonly number[]; before: readonly string[] }> {
    await create(ours, other, 1);
    const blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: '2:8:20:0:0:1', addresses: [], netns: 'blue' });
    const hosts = childrenOf(ours.daemonPid() ?? 0);
    expect(hosts.length).toBeGreaterThan(0);
    return { blue, hosts, before: await traces(ours) };
  }

  /** Links and records are there. A TAP that nobody holds has no carrier, and nothing else is left of it. */
  async function left({ blue, hosts, before }: Awaited<ReturnType<typeof build>>): Promise<void> {
    await waitFor(() => !hosts.some(isAlive), PATIENCE_MS, 'the plugin hosts to be gone');
    expect(daemonsOf(ours.dirs.run)).toEqual([]);
    for (const folder of [ours.dirs.run, ours.dirs.state]) expect(recordsIn(folder)).toEqual(['overlay0.json']);
    const [, tables, sockets] = await traces(ours);
    if (datapath === 'kernel') return await forwardsStill(blue, before, { tables, sockets });
    expect([tables, sockets]).toEqual(untouched.slice(1));
    // Told by the link watch of the kernel, once a second.
    await waitFor(async () => !(await carrierOf(ours, 'overlay0')) && !(await carrierOf(blue, 'vnic0')), PATIENCE_MS, 'links without carrier');
  }

  /** The kernel goes on forwarding, so its socket has to stay, and the filter in front of it. */
  async function forwardsStill(blue: Namespace, before: readonly string[], { tables, sockets }: Record<'tables' | 'sockets', string | undefined>) {
    expect(tables).toBe(before[1]);
    expect(
      sockets
        ?.trim()
        .split('\n')
        .map((line) => line.split(/ +/)[3]),
    ).toEqual(['0.0.0.0:4789']);
    expect([await carrierOf(ours, 'overlay0'), await carrierOf(blue, 'vnic0')]).toEqual([true, true]);
  }

  async function isBack(blue: Namespace): Promise<void> {
    expect((await ours.mustOverlayadm('show-overlay', '-f')).stdout).toContain('overlay0');
    expect(await daemonsIn(ours)).toEqual([ours.daemonPid()]);
    const online = async (): Promise<boolean> => /overlay0 +ONLINE/.test((await ours.mustOverlayadm('show-overlay', '-f')).stdout);
    await waitFor(online, PATIENCE_MS, 'the overlay to be online');
    await waitFor(() => carrierOf(blue, 'vnic0'), PATIENCE_MS, 'the VNIC to have its carrier');
  }

  test.each(['overlayd', 'its keeper'])(
    'with SIGTERM to %s: plugin hosts and what nothing forwards by go with it; links stay, and the next command has them again',
    async (whom) => {
      const built = await build();
      process.kill((whom === 'overlayd' ? ours.daemonPid() : ours.keeperPid()) ?? 0, 'SIGTERM');
      await waitFor(() => daemonsOf(ours.dirs.run).length === 0, PATIENCE_MS, 'both to be gone');
      await left(built);
      expect(existsSync(socketOf(ours))).toBe(false);
      expect(readFileSync(join(ours.dirs.run, 'overlayd.log'), 'utf8')).toContain('"stopped"');
      await isBack(built.blue);
    },
  );

  test('with kill -9 of both: the kernel takes the rest away; the next command finds stale files and starts another', async () => {
    const built = await build();
    await ours.killDaemon();
    await left(built);
    expect(existsSync(socketOf(ours))).toBe(true);
    // A pid that somebody else has by now proves nothing: the lock does.
    writeFileSync(join(ours.dirs.run, 'overlayd.pid'), `${process.pid}\n`);
    await isBack(built.blue);
  });

  test.each(['SIGKILL', 'SIGHUP'] as const)(
    'with %s when it was started without a keeper, which its log complains of: nobody starts it again',
    async (signal) => {
      const daemon = ours.start(OVERLAYD, ['--no-keeper'], { env: ours.env });
      await daemon.printed('overlayd serves', PATIENCE_MS);
      expect(daemon.stderr).toContain('nobody holds the descriptors of overlays');
      const built = await build();
      expect(daemonsOf(ours.dirs.run)).toEqual([daemon.pid]);
      daemon.kill(signal);
      expect(await daemon.end()).toMatchObject(signal === 'SIGHUP' ? { status: 0 } : { signal });
      await left(built);
      await isBack(built.blue);
    },
  );

  test('with delete-overlay nothing is left, neither links nor records', async () => {
    const { blue } = await build();
    await ours.mustOverlayadm('delete-vnic', 'vnic0');
    await ours.mustOverlayadm('delete-overlay', 'overlay0');
    for (const folder of [ours.dirs.run, ours.dirs.state]) expect(recordsIn(folder)).toEqual([]);
    expect(await linkNames(blue)).toEqual(['lo']);
    expect(await linkNames(ours)).toEqual(['lo', 'under0']);
  });

  test('a stale socket in its place is replaced, anything else is left alone and named', async () => {
    const leave = `require('net').createServer().listen(${JSON.stringify(socketOf(ours))}, () => process.kill(process.pid, 9))`;
    await ours.run(process.execPath, ['-e', leave]);
    expect(existsSync(socketOf(ours))).toBe(true);
    await ours.mustOverlayadm('show-overlay');
    await ours.stopDaemon();
    writeFileSync(socketOf(ours), 'not a socket');
    const refused = await ours.overlayadm('show-overlay');
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining(socketOf(ours)) });
    expect(readFileSync(socketOf(ours), 'utf8')).toBe('not a socket');
    rmSync(socketOf(ours));
  });
});

skipUnless({ root: true, tun: true, commands: ['nft', 'ss'] })('what overlayd refuses', () => {
  let ours: Host;
  let other: Host;

  beforeAll(async () => {
    [ours, other] = await twoHosts();
    await create(ours, other, 1);
    await ours.must('ip', ['link', 'add', 'vx0', 'type', 'vxlan', 'id', '7', 'dstport', '4800', 'local', ours.v4, 'dev', 'under0']);
    await ours.must('ip', ['link', 'set', 'vx0', 'up']);
    const hold = `require('dgram').createSocket('udp4').bind(4801, '${ours.v4}', () => console.log('holding'))`;
    await ours.start(process.execPath, ['-e', hold]).printed('holding');
  });

  /** What is typed behind create-overlay, and what is printed. `-e vxlan -s direct -v 2` and good properties where nothing else is said. */
  interface Refusal {
    readonly title: string;
    readonly encap?: string;
    readonly search?: string;
    readonly vnetid?: number;
    readonly name?: string;
    readonly properties?: () => Properties;
    readonly status?: number;
    readonly says: readonly string[];
  }
  const at = (port: number) => (): Properties => ({ ...direct(ours, other), 'vxlan/listen_port': port });
  const files = (text: string) => (): Properties => {
    const path = mappingFile(ours, 'wrong.json', {});
    writeFileSync(path, text);
    return { 'vxlan/listen_ip': ours.v4, 'files/config': path };
  };
  const SECRET = 'geheim';

  const refusals: readonly Refusal[] = [
    { title: 'an encapsulation plugin that is not there', encap: 'vxlann', says: ['(plugins)', 'vxlann', 'vxlan'] },
    { title: 'a lookup plugin that is not there', search: 'svp', says: ['(plugins)', 'svp', 'direct, files'] },
    {
      title: 'a missing property',
      properties: () => ({ 'vxlan/listen_ip': ours.v4, 'direct/dest_port': 4789 }),
      says: ['direct/dest_ip: required', '-p direct/dest_ip=<'],
    },
    {
      title: 'an unknown property',
      properties: () => ({ ...direct(ours, other), 'vxlan/listenip': 1 }),
      says: ['vxlan/listenip: no such property', 'vxlan/listen_ip'],
    },
    { title: 'a vnetid out of range', vnetid: 16_777_216, says: ['16777216', '0-16777215'] },
    { title: 'a vnetid in use', vnetid: 1, says: ['vnetid: 1 is in use', 'by overlay0'] },
    {
      title: 'an address that is not here',
      properties: () => ({ ...direct(ours, other), 'vxlan/listen_ip': '198.51.100.1' }),
      says: ['(underlay)', 'vxlan/listen_ip: 198.51.100.1 is not an address of this host', 'ip address'],
    },
    {
      title: 'a multicast address to listen on',
      properties: () => ({ ...direct(ours, other), 'vxlan/listen_ip': '239.1.1.1' }),
      says: ['vxlan/listen_ip', 'multicast'],
    },
    {
      title: 'an address of the other family to send to',
      properties: () => ({ ...direct(ours, other), 'direct/dest_ip': other.v6 }),
      says: ['is an IPv6 address, the overlay listens on IPv4'],
    },
    {
      // The kernel driver shares it.
      title: 'tap on a port that a kernel vxlan link has',
      properties: () => ({ ...at(4800)(), datapath: 'tap' }),
      says: ['port 4800 is in use by kernel vxlan link vx0 (vni 7)', 'vxlan/listen_port=<port>'],
    },
    { title: 'a port that a process has', properties: at(4801), says: ['port 4801 is in use by process node (pid '] },
    { title: 'the name of an overlay', name: 'overlay0', says: ['overlay0: object already exists', 'delete-overlay overlay0'] },
    { title: 'the name of a link', name: 'vx0', says: ['(name)', 'vx0 exists', 'vxlan'] },
    ...['overlay', 'overlay01', '0overlay', 'over-lay0', 'overlay0/../1'].map((name) => ({
      title: `the name '${name}'`,
      name,
      says: ['invalid link name', 'overlay0'],
    })),
    { title: 'a long name', name: 'overlay1234567890', says: ["link name too long 'overlay1234567890'"] },
    {
      title: 'a mapping file that is not there',
      search: 'files',
      properties: () => ({ 'vxlan/listen_ip': ours.v4, 'files/config': '/nowhere/map.json' }),
      says: ['files/config: /nowhere/map.json cannot be read', 'no such file'],
    },
    {
      title: 'a mapping file that is a folder',
      search: 'files',
      properties: () => ({ 'vxlan/listen_ip': ours.v4, 'files/config': ours.dirs.config }),
      says: ['not a regular file'],
    },
    {
      title: 'a mapping file that is no JSON',
      search: 'files',
      properties: files(`{\n  "2:8:20:0:0:1": { "ip": "192.0.2.2" },\n  ${SECRET}\n}`),
      says: ['line 3', 'wrong.json'],
    },
    {
      title: 'a mapping file with a wrong value',
      search: 'files',
      properties: files(`{\n  "2:8:20:0:0:1": {\n    "ip": "${SECRET}"\n  }\n}`),
      says: ['wrong.json, line 3, 02:08:20:00:00:01', "'ip' has to be"],
    },
    { title: 'an mtu out of range', properties: () => ({ ...direct(ours, other), mtu: 9000 }), says: ['mtu', '8900'] },
    {
      title: 'a data path that is none',
      properties: () => ({ ...direct(ours, other), datapath: 'fast' }),
      says: ['datapath: fast is not allowed', 'auto,kernel,tap'],
    },
    {
      title: 'another data path on a port that an overlay has',
      properties: () => ({ ...direct(ours, other), datapath: 'tap' }),
      says: ['datapath: tap cannot serve this overlay', 'IPv4 port 4789 is carried by kernel for overlay0', 'listen_port'],
    },
  ];

  test.each(refusals)(
    '$title, and nothing is left of the attempt',
    async ({ encap = 'vxlan', search = 'direct', vnetid = 2, name, properties, status = 1, says }) => {
      const before = await traces(ours);
      const flags = propertyFlags(properties?.() ?? direct(ours, other));
      const given = name === undefined ? [] : [name];
      const refused = await ours.overlayadm('create-overlay', '-e', encap, '-s', search, '-v', String(vnetid), ...flags, ...given);
      expect({ status: refused.status, stdout: refused.stdout }).toEqual({ status, stdout: '' });
      for (const text of says) expect(refused.stderr).toContain(text);
      expect(refused.stderr).not.toContain(SECRET);
      expect(refused.stderr).not.toMatch(/internal error|\n +at /);
      // What to do stands in lines of their own.
      expect(refused.stderr).toMatch(/\n {2}\S/);
      expect(await traces(ours)).toEqual(before);
    },
  );

  test('after all of them an overlay can be made where they failed', async () => {
    expect(await create(ours, other, 2)).toBe('overlay1');
    await ours.mustOverlayadm('delete-overlay', 'overlay1');
  });

  test.each([
    { title: 'no such overlay', args: ['-l', 'overlay9', 'vnic0'], says: 'overlay9: object not found' },
    { title: 'something else than an overlay', args: ['-l', 'vx0', 'vnic0'], says: 'vx0 is not an overlay' },
    {
      title: 'no such namespace',
      args: ['-l', 'overlay0', '-p', 'netns=nowhere', 'vnic0'],
      says: 'nowhere: there is no network namespace of this name',
    },
    { title: 'a path as namespace', args: ['-l', 'overlay0', '-p', 'netns=../../etc', 'vnic0'], says: 'is not a name of a network namespace' },
    { title: 'the address of a group', args: ['-l', 'overlay0', '-m', '1:0:5e:0:0:1', 'vnic0'], says: 'not the address of one interface' },
    { title: 'the name of a link', args: ['-l', 'overlay0', 'vx0'], says: 'vx0 exists' },
    { title: 'a bad name', args: ['-l', 'overlay0', 'vnic'], says: 'invalid link name' },
    { title: 'another property', args: ['-l', 'overlay0', '-p', 'zone=1', 'vnic0'], says: "invalid link property 'zone'" },
  ])('create-vnic with $title, and nothing is left', async ({ args, says }) => {
    const before = await traces(ours);
    const refused = await ours.overlayadm('create-vnic', ...args);
    expect(refused).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining(says) });
    expect(await traces(ours)).toEqual(before);
  });

  test("delete-overlay while something stands on it, ours or other people's, which it names with its namespace", async () => {
    const blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: '2:8:20:0:0:1', addresses: [], netns: 'blue' });
    await ours.must('ip', ['link', 'add', 'theirs', 'link', 'overlay0', 'type', 'macvlan', 'mode', 'bridge']);
    const refused = await ours.overlayadm('delete-overlay', 'overlay0');
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toContain('failed to delete overlay0: link busy');
    expect(refused.stderr).toContain(`vnic0 in ${blue.name}`);
    expect(refused.stderr).toContain('theirs');
    expect(await linkNames(blue)).toContain('vnic0');
    await ours.mustOverlayadm('delete-vnic', 'vnic0');
    expect((await ours.overlayadm('delete-overlay', 'overlay0')).stderr).toContain('link busy (theirs)');
    await ours.must('ip', ['link', 'del', 'theirs']);
  });

  test('a VNIC that somebody deleted is shown as deleted; one that went with its namespace waits for it', async () => {
    const red = await namespace('red');
    const shown = async (): Promise<string> => (await ours.mustOverlayadm('show-vnic')).stdout;
    await ours.mustOverlayadm('create-vnic', '-l', 'overlay0', 'vnic1');
    await ours.mustOverlayadm('create-vnic', '-l', 'overlay0', '-p', `netns=${red.name}`, 'vnic2');
    expect(await shown()).toMatch(/vnic1 +overlay0 +\S+ +1400 +0 +-- +up/);
    expect(await shown()).toMatch(new RegExp(`vnic2 +overlay0 +\\S+ +1400 +0 +${red.name} +up`));
    await ours.must('ip', ['link', 'del', 'vnic1']);
    expect(await shown()).toMatch(/vnic1 .* deleted by somebody/);
    await ours.mustOverlayadm('delete-vnic', 'vnic1');
    expect(await shown()).not.toContain('vnic1');
    expect(await ours.overlayadm('delete-vnic', 'vnic1')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('failed to delete vnic1: object not found'),
    });
    await must('ip', ['netns', 'delete', red.name]);
    await waitFor(async () => (await shown()).includes(`waiting for namespace ${red.name}`), PATIENCE_MS, 'the VNIC to wait');
    expect(await ours.overlayadm('delete-overlay', 'overlay0')).toMatchObject({ status: 1, stderr: expect.stringContaining('link busy (vnic2)') });
    await must('ip', ['netns', 'add', red.name]);
    await waitFor(async () => (await linkNames(red)).includes('vnic2'), PATIENCE_MS, 'the VNIC to be made');
    await ours.mustOverlayadm('delete-vnic', 'vnic2');
    await ours.mustOverlayadm('delete-overlay', 'overlay0');
    expect(await linkNames(ours)).not.toContain('overlay0');
    expect(await linkNames(red)).toEqual(['lo']);
  });
});
