// overlayd, its keeper and plugin hosts are killed, restarted and stopped under traffic: what was promised of that, counted frame by frame.
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { daemonsOf, isAlive } from '../../tools/sweep.mjs';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import {
  addAddress,
  childrenOf,
  control,
  controlAfter,
  createOverlay,
  createVnic,
  kernelPeer,
  linkPlugin,
  mappingFile,
  onBothDatapaths,
  PATIENCE_MS,
} from '../helpers/netns-overlay.ts';
import { type RunningSequence, type Sequence, type SequenceEnd, startSequence } from '../helpers/netns-sequence.ts';
import { ping } from '../helpers/netns-traffic.ts';

const PER_SECOND = 1000;
/** With tap, one that is killed takes with it what it has just read and not sent yet: a batch at this rate is a few frames. */
const IN_HAND = 8;
const FORWARD = '192.0.2.77';

/** A plain VXLAN device of the kernel, on a port of its own. */
const PEER = { port: 4790, vnetid: 200, mac: '02:08:20:00:02:02', ip: '10.2.0.2' };
const MACS = { a: '02:08:20:00:01:01', b: '02:08:20:00:01:02', green: '02:08:20:00:02:01', slow: '02:08:20:00:03:01' };

onBothDatapaths({ commands: ['ping', 'python3'] })('restarts under 1,000 frames a second each way', (datapath) => {
  let ours: Host;
  let other: Host;
  let blue: Namespace;
  let green: Namespace;
  let map: string;
  let ends: Record<'a' | 'b' | 'green' | 'peer', SequenceEnd>;

  beforeAll(async () => {
    [ours, other] = await twoHosts({ datapath });
    linkPlugin(ours, 'slow-lookup');
    const mappings = {
      [MACS.a]: { ip: ours.v4, arp: '10.1.0.1' },
      [MACS.b]: { ip: other.v4, arp: '10.1.0.2' },
      [PEER.mac]: { ip: other.v4, port: PEER.port, arp: PEER.ip },
    };
    map = mappingFile(ours, 'map.json', mappings);
    const files = (host: Host) => ({ 'vxlan/listen_ip': host.v4, 'files/config': mappingFile(host, 'map.json', mappings) });
    for (const host of [ours, other]) await createOverlay(host, { search: 'files', vnetid: 100, properties: files(host) });
    await createOverlay(ours, { search: 'files', vnetid: PEER.vnetid, properties: { ...files(ours), 'vxlan/listen_port': PEER.port } });
    blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: MACS.a, addresses: ['10.1.0.1/24', 'fd00:1::1/64'], netns: 'blue' });
    const red = await createVnic(other, { name: 'vnic0', overlay: 'overlay0', mac: MACS.b, addresses: ['10.1.0.2/24'], netns: 'red' });
    green = await createVnic(ours, { name: 'vnic1', overlay: 'overlay1', mac: MACS.green, addresses: ['10.2.0.1/24'], netns: 'green' });
    await kernelPeer(other, { ...PEER, name: 'vx1', addresses: [`${PEER.ip}/24`], local: other.v4, remote: ours.v4 });
    await blue.must('ip', ['route', 'add', '10.99.0.0/16', 'via', '10.1.0.2', 'dev', 'vnic0']);
    for (const [from, to] of [
      [blue, '10.1.0.2'],
      [green, PEER.ip],
      [red, '10.1.0.1'],
    ] as const) {
      expect(await ping(from, to)).toEqual({ sent: 2, received: 2 });
    }
    ends = {
      a: { at: blue, link: 'vnic0', mac: MACS.a },
      b: { at: red, link: 'vnic0', mac: MACS.b },
      green: { at: green, link: 'vnic1', mac: MACS.green },
      peer: { at: other, link: 'vx1', mac: PEER.mac },
    };
    await snapshotsWritten();
    // Duplicate address detection is a change that nobody has made.
    for (const where of [blue, green]) {
      const tentative = async (): Promise<string> => (await where.must('ip', ['-6', 'addr', 'show', 'tentative'])).stdout;
      await waitFor(async () => (await tentative()) === '', PATIENCE_MS, 'IPv6 addresses to be settled');
    }
  });

  /** Targets are written down a moment after they are known. */
  const snapshotsWritten = (): Promise<unknown> =>
    waitFor(
      () =>
        [
          ['overlay0', MACS.b],
          ['overlay1', PEER.mac],
        ].every(([name, mac]) =>
          readFileSync(join(ours.dirs.run, 'targets', name ?? '')).includes(Buffer.from((mac ?? '').replaceAll(':', ''), 'hex')),
        ),
      PATIENCE_MS,
      'the targets to be written down',
    );

  const startFlows = (seconds: number): Promise<RunningSequence[]> =>
    Promise.all(
      [
        [ends.a, ends.b],
        [ends.b, ends.a],
        [ends.green, ends.peer],
        [ends.peer, ends.green],
      ].map(([from, to]) => startSequence(from as SequenceEnd, to as SequenceEnd, seconds * PER_SECOND, PER_SECOND)),
    );

  /** Runs `act` when all four flows are under way; what came of them. */
  async function underFlows(act: () => unknown, seconds = 2): Promise<Sequence[]> {
    const flows = await startFlows(seconds);
    await Promise.all(flows.map(({ begun }) => begun));
    await sleep(300);
    await act();
    return Promise.all(flows.map(({ result }) => result));
  }

  /** A short flow each way, whole. */
  const expectFlows = async (): Promise<void> => expectWhole(await Promise.all((await startFlows(0.3)).map(({ result }) => result)));

  /** In order, once each, and no more lost than `most`. */
  function expectWhole(flows: readonly Sequence[], most = 0): void {
    expect(flows.map(({ twice, late }) => ({ twice, late }))).toEqual(flows.map(() => ({ twice: 0, late: 0 })));
    for (const { lost, firstLost } of flows) expect(lost, `lost ${firstLost}`).toBeLessThanOrEqual(most);
  }

  const pidOf = (): number => {
    const pid = ours.daemonPid();
    if (pid === undefined) throw new Error('no overlayd runs');
    return pid;
  };
  const restarted = async (before: number): Promise<void> => (await controlAfter(ours, before)).close();

  /** Signals overlayd and waits for the next one. */
  async function restart(signal: NodeJS.Signals): Promise<void> {
    const before = pidOf();
    process.kill(before, signal);
    await restarted(before);
  }

  const health = async (overlay: string): Promise<{ status: string; details: string | null }> => {
    const client = await control(ours);
    const { status, details } = await client.call('overlay.health', { name: overlay });
    client.close();
    return { status, details };
  };
  const online = (...overlays: string[]): Promise<unknown> =>
    waitFor(
      async () => (await Promise.all(overlays.map(health))).every(({ status }) => status === 'ONLINE'),
      PATIENCE_MS,
      `${overlays.join(' and ')} to be online`,
    );
  /** Degraded for a reason with `text` in it. */
  async function degraded(overlay: string, text: string): Promise<void> {
    let last: unknown;
    const isSo = async (): Promise<boolean> => {
      const { status, details } = await health(overlay);
      last = { status, details };
      return status === 'DEGRADED' && details?.includes(text) === true;
    };
    await waitFor(isSo, PATIENCE_MS).catch((cause) => {
      throw new Error(`${overlay} is not degraded with "${text}": ${JSON.stringify(last)}`, { cause });
    });
  }
  const targetsOf = async (overlay: string): Promise<string> => (await ours.mustOverlayadm('show-overlay', '-t', overlay)).stdout;

  /** Neighbours change their state with time. */
  const withoutStates = (text: string): string => text.replace(/ (REACHABLE|STALE|DELAY|PROBE)\b/g, '');

  /** Everything that the kernel shows of the links, as text. */
  async function shown(): Promise<readonly string[]> {
    const commands: readonly (readonly [Namespace, readonly string[]])[] = [
      [ours, ['-d', 'link', 'show']],
      ...[blue, green].flatMap((where) =>
        [
          ['-d', 'link', 'show'],
          ['addr', 'show'],
          ['route', 'show', 'table', 'all'],
          ['-6', 'route', 'show', 'table', 'all'],
          ['neigh', 'show'],
        ].map((args) => [where, args] as const),
      ),
    ];
    return Promise.all(commands.map(async ([where, args]) => withoutStates((await where.must('ip', args)).stdout)));
  }

  /** Every change of links, addresses and routes in a namespace from now on; what changes of `lo` proves that it listens. */
  async function watchLinks(where: Namespace): Promise<() => readonly string[]> {
    const monitor = where.start('stdbuf', ['-oL', 'ip', '-o', 'monitor', 'link', 'address', 'route']);
    const marked = async (): Promise<boolean> => {
      await where.must('ip', ['addr', 'add', '127.0.0.9/32', 'dev', 'lo']);
      await where.must('ip', ['addr', 'del', '127.0.0.9/32', 'dev', 'lo']);
      await sleep(50);
      return monitor.stdout.includes('127.0.0.9');
    };
    await waitFor(marked, PATIENCE_MS, 'ip monitor to listen');
    return () => monitor.stdout.split('\n').filter((line) => line !== '' && !line.includes('127.0.0.9'));
  }

  /** Nothing happens to a VNIC. An overlay's link is told of when its descriptor is taken, and stays up, with its carrier. */
  async function unchanged(act: () => Promise<unknown>): Promise<void> {
    const before = await shown();
    const [host, ...vnics] = await Promise.all([ours, blue, green].map(watchLinks));
    const keeper = ours.keeperPid();
    await act();
    expect(vnics.map((changes) => changes())).toEqual([[], []]);
    expect((host?.() ?? []).filter((line) => !/^\d+: overlay[01]: <[A-Z,]*,UP,LOWER_UP> /.test(line))).toEqual([]);
    expect(await shown()).toEqual(before);
    expect(ours.keeperPid()).toBe(keeper);
    await online('overlay0', 'overlay1');
  }

  const isUp = (where: Namespace, link: string) => async (): Promise<boolean> =>
    (await where.must('ip', ['-o', 'link', 'show', 'dev', link])).stdout.includes('LOWER_UP');

  describe('nothing is lost', () => {
    // With tap frames wait in the device for the next overlayd; the kernel forwards them meanwhile.
    test('overlayd is killed: no link, address, route or neighbour changes', () =>
      unchanged(async () => expectWhole(await underFlows(() => restart('SIGKILL')), datapath === 'tap' ? IN_HAND : 0)));

    test('overlayd is restarted with SIGHUP: the same', () => unchanged(async () => expectWhole(await underFlows(() => restart('SIGHUP')))));

    test('a plugin host is killed', async () => {
      expectWhole(
        await underFlows(async () => {
          const [host] = await waitFor(() => (childrenOf(pidOf()).length === 1 ? childrenOf(pidOf()) : undefined), PATIENCE_MS, 'one plugin host');
          process.kill(host ?? 0, 'SIGKILL');
        }, 1.5),
      );
      await online('overlay0', 'overlay1');
    });

    test('the keeper is killed: overlayd goes on', async () => {
      const pid = pidOf();
      const keeper = ours.keeperPid() ?? 0;
      expectWhole(
        await underFlows(async () => {
          process.kill(keeper, 'SIGKILL');
          await waitFor(() => !isAlive(keeper), PATIENCE_MS, 'the keeper to be gone');
        }, 1.5),
      );
      expect(daemonsOf(ours.dirs.run)).toEqual([pid]);
      expect(await health('overlay0')).toMatchObject({ status: 'ONLINE' });
    });
  });

  // A TAP that nobody holds has no carrier; a link of the kernel has its own, and forwards to known targets while nobody is there.
  describe(datapath === 'tap' ? 'the links lose their carrier and come back with the next command' : 'the links go on without anybody', () => {
    const addresses = async (): Promise<string> =>
      (await blue.must('ip', ['-o', 'addr', 'show', 'dev', 'vnic0', 'scope', 'global'])).stdout.replace(/ valid_lft.*/g, '');
    let before: string;

    async function stoppedAndBack(stop: () => Promise<unknown>): Promise<void> {
      before = await addresses();
      const targets = await targetsOf('overlay0');
      await stop();
      expect(daemonsOf(ours.dirs.run)).toEqual([]);
      if (datapath === 'tap') await waitFor(async () => !(await isUp(blue, 'vnic0')()), PATIENCE_MS, 'the VNIC to lose its carrier');
      else {
        await expectFlows();
        expect(daemonsOf(ours.dirs.run)).toEqual([]);
      }
      expect(await addresses()).toBe(before);
      expect(await targetsOf('overlay0')).toBe(targets);
      await waitFor(isUp(blue, 'vnic0'), PATIENCE_MS, 'the VNIC to have its carrier');
      await waitFor(isUp(green, 'vnic1'), PATIENCE_MS, 'the VNIC to have its carrier');
      expect(await addresses()).toBe(before);
    }

    test('keeper and overlayd are killed: addresses are there, and targets are known without a lookup', async () => {
      renameSync(map, `${map}.away`);
      await stoppedAndBack(() => ours.killDaemon());
      // Nobody can be asked: its mapping file is gone.
      await expectFlows();
      await degraded('overlay0', 'map.json');
      renameSync(`${map}.away`, map);
      await online('overlay0', 'overlay1');
      expect(await ping(blue, '10.1.0.2')).toEqual({ sent: 2, received: 2 });
    });

    test('overlayd is stopped with SIGTERM: it lets go, and the keeper ends', async () => {
      await stoppedAndBack(() => ours.stopDaemon());
      await expectFlows();
      await online('overlay0', 'overlay1');
    });
  });

  describe('without its plugin', () => {
    const registry = (): string => join(ours.dirs.data, 'package.json');
    const FAR = '02:08:20:00:03:02';
    let slow: Namespace;

    beforeAll(async () => {
      const properties = { 'vxlan/listen_ip': ours.v4, 'vxlan/listen_port': PEER.port, 'slow/dest_ip': other.v4, 'slow/dest_port': PEER.port };
      await createOverlay(ours, { name: 'slow0', search: 'slow', vnetid: 300, properties });
      slow = await createVnic(ours, { name: 'vnic3', overlay: 'slow0', mac: MACS.slow, addresses: ['10.3.0.1/24'], netns: 'slow' });
      const peer = { name: 'vx3', vnetid: 300, mac: FAR, addresses: ['10.3.0.2/24'], local: other.v4, remote: ours.v4, port: PEER.port };
      await kernelPeer(other, peer);
      await slow.must('ip', ['neigh', 'replace', '10.3.0.2', 'lladdr', FAR, 'nud', 'permanent', 'dev', 'vnic3']);
      expect(await ping(slow, '10.3.0.2')).toEqual({ sent: 2, received: 2 });
    });
    afterEach(() => linkPlugin(ours, 'slow-lookup'));

    const flowsOn = async (): Promise<void> => {
      const far = { at: other, link: 'vx3', mac: FAR };
      const near = { at: slow, link: 'vnic3', mac: MACS.slow };
      const count = 300;
      const flows = await Promise.all([startSequence(near, far, count, PER_SECOND), startSequence(far, near, count, PER_SECOND)]);
      expectWhole(await Promise.all(flows.map(({ result }) => result)));
    };

    test.each([
      { how: 'is put back and plugins are looked for', back: async () => linkPlugin(ours, 'slow-lookup') },
      {
        how: 'is linked again by overlayadm',
        back: async () => {
          await ours.mustOverlayadm('plugins', 'link', resolve('test/fixtures/plugins/slow-lookup'));
        },
      },
    ])('known targets are forwarded, the overlay is degraded with its name, until it $how', async ({ how, back }) => {
      rmSync(registry());
      await restart('SIGHUP');
      await degraded('slow0', 'slow');
      await flowsOn();
      expect((await ours.mustOverlayadm('show-overlay', '-f', 'slow0')).stdout).toMatch(/slow0 +DEGRADED.*\bslow\b/);
      expect(await health('overlay0')).toMatchObject({ status: 'ONLINE' });
      await back();
      if (how.includes('looked for')) {
        const client = await control(ours);
        await client.call('plugin.reload', {});
        client.close();
      }
      await online('slow0');
      await flowsOn();
    });
  });

  describe('without a listen address', () => {
    const inet = ['ip', ['addr', 'del', `${FORWARD}/32`, 'dev', 'under0']] as const;

    beforeAll(async () => {
      await addAddress(ours, 'under0', `${FORWARD}/32`);
      const direct = { 'vxlan/listen_ip': FORWARD, 'direct/dest_ip': other.v4, 'direct/dest_port': 4789 };
      await createOverlay(ours, { name: 'lone0', search: 'direct', vnetid: 400, properties: direct });
      await online('lone0');
    });

    test.each([
      { what: 'overlayd was killed', kill: () => restart('SIGKILL') },
      { what: 'both were killed', kill: () => ours.killDaemon() },
    ])('after $what one overlay is degraded and the others work; it heals when the address is back', async ({ kill }) => {
      await ours.must(...inet);
      await kill();
      await ours.mustOverlayadm('show-overlay', '-f');
      await degraded('lone0', FORWARD);
      await expectFlows();
      await online('overlay0', 'overlay1');
      await addAddress(ours, 'under0', `${FORWARD}/32`);
      await online('lone0');
      expect((await ours.mustOverlayadm('show-overlay', '-t', 'lone0')).stdout).toContain(`${other.v4}:4789`);
    });
  });

  test('overlayd is killed five times in a row: it comes back each time, later and later, with the same keeper', async () => {
    await ours.stopDaemon();
    await ours.mustOverlayadm('show-overlay');
    await online('overlay0', 'overlay1');
    const keeper = ours.keeperPid();
    const waits: number[] = [];
    for (let time = 0; time < 4; time++) {
      const began = performance.now();
      const before = pidOf();
      process.kill(before, 'SIGKILL');
      // As soon as it has its lock, while it takes over what there is; every second one may finish that.
      if (time % 2 === 0) await waitFor(() => (ours.daemonPid() ?? before) !== before, PATIENCE_MS, 'the next overlayd');
      else await restarted(before);
      waits.push(performance.now() - began);
    }
    // 100 ms, and twice as long each time (keeper-policy.h).
    for (const [time, ms] of waits.entries()) expect(ms).toBeGreaterThan(100 * 2 ** time);
    // A command that comes in between waits for the next one; it does not start one of its own.
    process.kill(pidOf(), 'SIGKILL');
    expect((await ours.mustOverlayadm('show-overlay', '-f')).stdout).toContain('overlay0');
    expect(daemonsOf(ours.dirs.run)).toEqual([keeper, pidOf()]);
    expect(ours.keeperPid()).toBe(keeper);
    await expectFlows();
    await online('overlay0', 'overlay1', 'slow0', 'lone0');
    expect(await targetsOf('overlay0')).toMatch(/2:8:20:0:1:2/);
  });
});
