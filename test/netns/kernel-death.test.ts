// Every process of ours is killed under a flow over kernel links: known targets go on, and what starts again takes the rows as they are.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { daemonsOf, isAlive } from '../../tools/sweep.mjs';
import { type Host, type Namespace, twoHosts } from '../helpers/netns.ts';
import { childrenOf, control, controlAfter, counters, createOverlay, createVnic, mappingFile, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { type Sequence, type SequenceEnd, startSequence } from '../helpers/netns-sequence.ts';
import { processesIn } from '../helpers/netns-traces.ts';
import { ping } from '../helpers/netns-traffic.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { waitFor } from '../helpers/wait.ts';

const PER_SECOND = 3000;
const VNETID = 100;
const MACS = { a: '02:08:20:00:01:01', b: '02:08:20:00:01:02' };
/** Nobody has sent to these before the test that does. */
const FRESH = { after: '02:08:20:00:01:03', meanwhile: '02:08:20:00:01:04' };

skipUnless({ root: true, vxlan: true, commands: ['bridge', 'ping', 'python3'] })('death of all processes, 3,000 frames a second each way', () => {
  let ours: Host;
  let other: Host;
  let blue: Namespace;
  let red: Namespace;
  let ends: Record<'a' | 'b' | 'meanwhile', SequenceEnd>;

  beforeAll(async () => {
    [ours, other] = await twoHosts({ datapath: 'kernel' });
    const mappings = {
      [MACS.a]: { ip: ours.v4, arp: '10.1.0.1' },
      [MACS.b]: { ip: other.v4, arp: '10.1.0.2' },
      [FRESH.after]: { ip: other.v4, arp: '10.1.0.3' },
      [FRESH.meanwhile]: { ip: other.v4, arp: '10.1.0.4' },
    };
    for (const host of [ours, other]) {
      const properties = { 'vxlan/listen_ip': host.v4, 'files/config': mappingFile(host, 'map.json', mappings) };
      await createOverlay(host, { search: 'files', vnetid: VNETID, properties });
    }
    blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: MACS.a, addresses: ['10.1.0.1/24'], netns: 'blue' });
    const vnic = { overlay: 'overlay0', netns: 'red' };
    red = await createVnic(other, { ...vnic, name: 'vnic0', mac: MACS.b, addresses: ['10.1.0.2/24'] });
    await createVnic(other, { ...vnic, name: 'vnic1', mac: FRESH.after, addresses: [] });
    await createVnic(other, { ...vnic, name: 'vnic2', mac: FRESH.meanwhile, addresses: [] });
    expect(await ping(blue, '10.1.0.2')).toEqual({ sent: 2, received: 2 });
    expect(await ping(red, '10.1.0.1')).toEqual({ sent: 2, received: 2 });
    ends = {
      a: { at: blue, link: 'vnic0', mac: MACS.a },
      b: { at: red, link: 'vnic0', mac: MACS.b },
      meanwhile: { at: red, link: 'vnic2', mac: FRESH.meanwhile },
    };
    const bytes = Buffer.from(MACS.b.replaceAll(':', ''), 'hex');
    const isWritten = (): boolean => readFileSync(join(ours.dirs.run, 'targets', 'overlay0')).includes(bytes);
    await waitFor(isWritten, PATIENCE_MS, 'the targets to be written down');
  });

  /** Runs `act` when both flows are under way; what came of them. */
  async function underFlows(act: () => unknown, seconds: number): Promise<Sequence[]> {
    const count = seconds * PER_SECOND;
    const flows = await Promise.all([startSequence(ends.a, ends.b, count, PER_SECOND), startSequence(ends.b, ends.a, count, PER_SECOND)]);
    await Promise.all(flows.map(({ begun }) => begun));
    await sleep(300);
    await act();
    return Promise.all(flows.map(({ result }) => result));
  }

  function expectWhole(flows: readonly Sequence[]): void {
    console.log(JSON.stringify(flows));
    const good = { lost: 0, firstLost: [], twice: 0, late: 0 };
    expect(flows).toEqual(flows.map(({ longestPauseMs }) => ({ ...good, longestPauseMs })));
  }

  /** Rows of targets; the one for all others leads to another socket each time. */
  async function rows(host: Host): Promise<readonly string[]> {
    const { stdout } = await host.must('bridge', ['fdb', 'show', 'dev', 'overlay0']);
    return stdout
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('00:00:00:00:00:00'))
      .sort();
  }

  /** What becomes of rows of targets from now on. */
  async function watchRows(host: Host): Promise<() => readonly string[]> {
    const monitor = host.start('stdbuf', ['-oL', 'bridge', 'monitor', 'fdb']);
    const marker = '02:ff:ff:ff:ff:01';
    const marked = async (): Promise<boolean> => {
      for (const what of ['append', 'del']) await host.must('bridge', ['fdb', what, marker, 'dev', 'overlay0', 'dst', '192.0.2.250']);
      await sleep(50);
      return monitor.stdout.includes(marker);
    };
    await waitFor(marked, PATIENCE_MS, 'bridge monitor to listen');
    return () =>
      monitor.stdout.split('\n').filter((line) => /([0-9a-f]{2}:){5}/.test(line) && !line.includes(marker) && !line.includes('00:00:00:00:00:00'));
  }

  const counted = async (host: Host): Promise<Readonly<Record<string, number>>> => {
    const client = await control(host);
    try {
      return await counters(client, 'overlay0');
    } finally {
      client.close();
    }
  };
  const online = (host: Host): Promise<unknown> =>
    waitFor(
      async () => (await host.mustOverlayadm('show-overlay', '-f', 'overlay0')).stdout.includes('ONLINE'),
      PATIENCE_MS,
      `${host.name} to be online`,
    );

  /** SIGKILL to overlayd, its keeper and its plugin hosts, in this order with nothing in between. */
  async function killAll(host: Host): Promise<void> {
    const pids = [...daemonsOf(host.dirs.run).toSorted((a, b) => Number(a === host.keeperPid()) - Number(b === host.keeperPid()))];
    const plugins = childrenOf(host.daemonPid() ?? 0);
    expect([pids.length, plugins.length]).toEqual([2, 1]);
    // The keeper first: it starts another overlayd.
    for (const pid of [...pids.toReversed(), ...plugins]) process.kill(pid, 'SIGKILL');
    await waitFor(() => ![...pids, ...plugins].some(isAlive), PATIENCE_MS, 'all of them to be gone');
  }

  test('while all are dead, on both hosts, nothing is lost; the rows stay', async () => {
    const before = [await rows(ours), await rows(other)];
    const flows = await underFlows(async () => {
      await Promise.all([killAll(ours), killAll(other)]);
    }, 4);
    expectWhole(flows);
    expect(daemonsOf(ours.dirs.run)).toEqual([]);
    for (const host of [ours, other]) expect((await processesIn(host)).filter(isAlive)).toEqual([]);
    expect([await rows(ours), await rows(other)]).toEqual(before);
  });

  test('they start again: nothing is lost, and no row is written, removed or repaired', async () => {
    const before = [await rows(ours), await rows(other)];
    expect(before[0]).toHaveLength(1);
    expect(before[0]?.[0]).toMatch(new RegExp(`^${MACS.b} dst ${other.v4} .*extern_learn.*permanent`));
    const changesOfRows = await Promise.all([ours, other].map(watchRows));
    const flows = await underFlows(async () => {
      for (const host of [ours, other]) {
        await host.mustOverlayadm('show-overlay');
        await online(host);
      }
    }, 4);
    expectWhole(flows);
    expect([await rows(ours), await rows(other)]).toEqual(before);
    expect(changesOfRows.map((changes) => changes())).toEqual([[], []]);
    for (const host of [ours, other]) {
      const { 'row.installed': installed, 'row.removed': removed, 'row.repaired': repaired } = await counted(host);
      expect({ installed, removed, repaired }).toEqual({ installed: 0, removed: 0, repaired: 0 });
      expect((await host.mustOverlayadm('show-overlay', '-t', 'overlay0')).stdout).toMatch(/2:8:20:0:1:[12]/);
    }
  });

  test('misses from then on are answered', async () => {
    await red.must('ip', ['addr', 'add', '10.1.0.3/24', 'dev', 'vnic1']);
    // The reply leaves by the first VNIC of the same network.
    const flow = await startSequence(ends.a, { at: red, link: 'vnic1', mac: FRESH.after }, 500, PER_SECOND);
    expectWhole([await flow.result]);
    expect(await counted(ours)).toMatchObject({ 'lookup.asked': 1, 'row.installed': 1 });
    expect(await rows(ours)).toHaveLength(2);
  });

  test('overlayd alone is dead: frames to known targets go on, those to a new one wait and are answered when it is back', async () => {
    const keeper = ours.keeperPid() ?? 0;
    const pid = ours.daemonPid() ?? 0;
    const changes = await watchRows(ours);
    let waiting: Promise<Sequence> | undefined;
    const flows = await underFlows(async () => {
      // So that it does not start the next one at once.
      process.kill(keeper, 'SIGSTOP');
      process.kill(pid, 'SIGKILL');
      await waitFor(() => !isAlive(pid), PATIENCE_MS, 'overlayd to be gone');
      const flow = await startSequence(ends.a, ends.meanwhile, 500, PER_SECOND);
      await flow.begun;
      waiting = flow.result;
      await sleep(700);
      process.kill(keeper, 'SIGCONT');
      (await controlAfter(ours, pid)).close();
    }, 4);
    expectWhole([...flows, (await waiting) as Sequence]);
    await online(ours);
    expect(ours.keeperPid()).toBe(keeper);
    expect(changes().filter((line) => !line.includes(FRESH.meanwhile))).toEqual([]);
    expect(await counted(ours)).toMatchObject({ 'lookup.asked': 1, 'row.installed': 1, 'row.repaired': 0 });
    expect(await rows(ours)).toHaveLength(3);
  });

  test('killed again and again under a flow', async () => {
    const flows = await underFlows(async () => {
      for (let time = 0; time < 3; time++) {
        await killAll(ours);
        await ours.mustOverlayadm('show-overlay');
        await waitFor(() => childrenOf(ours.daemonPid() ?? 0).length === 1, PATIENCE_MS, 'its plugin host');
      }
    }, 6);
    expectWhole(flows);
    await online(ours);
    expect(await counted(ours)).toMatchObject({ 'row.installed': 0, 'row.repaired': 0 });
  });
});
