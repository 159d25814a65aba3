// What others do to a kernel link, its rows and its filter: put back and counted, or told with what to do about it.
import { beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts } from '../helpers/netns.ts';
import { BULK_COMMANDS, type Bulk, bulk, bulkText, compileBulk, type RunningBulk, startBulk, targetMac } from '../helpers/netns-bulk.ts';
import { control, counters, createOverlay, createVnic, linkPlugin, PATIENCE_MS } from '../helpers/netns-overlay.ts';
import { traces } from '../helpers/netns-traces.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { waitFor } from '../helpers/wait.ts';

const OURS = '02:08:20:00:00:01';
const TARGETS = 20;
const PER_SECOND = 5000;
/** Where nobody is. */
const ELSEWHERE = '192.0.2.99';
const STRANGER = '02:fe:00:00:00:01';

skipUnless({ root: true, vxlan: true, commands: ['bridge', 'nft', 'ss', ...BULK_COMMANDS] })('others at work on a kernel link', () => {
  let ours: Host;
  let peer: Host;
  let blue: Namespace;
  let client: Client;
  let program: string;

  const health = () => client.call('overlay.health', { name: 'overlay0' });
  const count = async (name: string): Promise<number> => (await counters(client, 'overlay0'))[name] ?? 0;
  const online = (): Promise<unknown> => waitFor(async () => (await health()).status === 'ONLINE', PATIENCE_MS, 'the overlay to be online');
  /** What `show-overlay -f` prints once the overlay is degraded for a reason with `text` in it. */
  async function degraded(text: string): Promise<string> {
    const isSo = async (): Promise<boolean> => {
      const { status, details } = await health();
      return status === 'DEGRADED' && details?.includes(text) === true;
    };
    await waitFor(isSo, PATIENCE_MS).catch(async (cause) => {
      throw new Error(`not degraded with "${text}": ${JSON.stringify(await health())}`, { cause });
    });
    const { stdout } = await ours.mustOverlayadm('show-overlay', '-f', 'overlay0');
    expect(stdout).toContain('DEGRADED');
    return stdout;
  }

  const flowOf = (seconds: number) => ({ first: 1, targets: TARGETS, each: (seconds * PER_SECOND) / TARGETS, perSecond: PER_SECOND });
  const from = () => ({ at: blue, link: 'vnic0', mac: OURS });
  const to = () => ({ at: peer, address: peer.v4, port: 4789 });
  const startFlow = (seconds: number): Promise<RunningBulk> => startBulk(program, from(), to(), flowOf(seconds));
  function expectWhole(result: Bulk): void {
    expect(result).toMatchObject({ lost: 0, twice: 0, late: 0, refused: 0, receiverDrops: 0 });
  }
  /** A short flow to all targets, whole. */
  const expectFlow = async (): Promise<void> => expectWhole(await bulk(program, from(), to(), flowOf(0.2)));

  const rows = async (): Promise<readonly string[]> =>
    (await ours.must('bridge', ['fdb', 'show', 'dev', 'overlay0'])).stdout.split('\n').filter(Boolean).sort();
  /** Waits until the table of the link is as it was. */
  async function rowsAreBack(before: readonly string[]): Promise<void> {
    let last: readonly string[] = [];
    const areSo = async (): Promise<boolean> => {
      last = await rows();
      return last.join() === before.join();
    };
    await waitFor(areSo, PATIENCE_MS).catch((cause) => {
      throw new Error(`rows:\n${last.join('\n')}\nnot:\n${before.join('\n')}`, { cause });
    });
  }
  const fdb = (...args: string[]) => ours.must('bridge', ['fdb', ...args]);

  beforeAll(async () => {
    program = await compileBulk();
    [ours, peer] = await twoHosts({ datapath: 'kernel' });
    linkPlugin(ours, 'slow-lookup');
    const slow = { 'slow/dest_ip': peer.v4, 'slow/delay_ms': 20 };
    await createOverlay(ours, { search: 'slow', vnetid: 9, properties: { 'vxlan/listen_ip': ours.v4, ...slow } });
    blue = await createVnic(ours, { name: 'vnic0', overlay: 'overlay0', mac: OURS, addresses: ['10.8.0.1/24'], netns: 'blue' });
    client = await control(ours);
    await expectFlow();
    await waitFor(async () => (await count('row.installed')) === TARGETS, PATIENCE_MS, 'a row for each target');
    expect(await rows()).toHaveLength(TARGETS + 1);
  });

  test('nft flush ruleset under a flow: the table is put back and counted, nothing is lost', async () => {
    const before = await traces(ours);
    const repaired = await count('filter.repaired');
    const flow = await startFlow(2);
    for (let time = 1; time <= 3; time++) {
      await ours.must('nft', ['flush', 'ruleset']);
      await waitFor(async () => (await count('filter.repaired')) >= repaired + time, PATIENCE_MS, 'the filter to be put back');
    }
    expectWhole(await flow.result);
    await online();
    expect(await traces(ours)).toEqual(before);
  });

  test('parts of the filter, deleted by hand', async () => {
    const before = await traces(ours);
    const { stdout } = await ours.must('nft', ['-j', 'list', 'ruleset']);
    const parts: { [kind: string]: { family: string; table: string; name: string } }[] = JSON.parse(stdout).nftables;
    const sets = parts.flatMap(({ set, map }) => [set ?? map ?? []].flat());
    expect(sets.length).toBeGreaterThan(0);
    for (const { family, table, name } of sets) {
      const repaired = await count('filter.repaired');
      await ours.must('nft', ['flush', 'set', family, table, name]);
      // One that has no elements does not change.
      const isBack = async (): Promise<boolean> => (await traces(ours)).join() === before.join();
      await waitFor(isBack, PATIENCE_MS, `the elements of ${name}`);
      expect(await count('filter.repaired')).toBeGreaterThanOrEqual(repaired);
    }
    const chains = parts.flatMap(({ chain }) => chain ?? []);
    for (const { family, table, name } of chains) {
      const repaired = await count('filter.repaired');
      await ours.must('nft', ['flush', 'chain', family, table, name]);
      await waitFor(async () => (await count('filter.repaired')) > repaired, PATIENCE_MS, `the rules of ${name}`);
    }
    await online();
    expect(await traces(ours)).toEqual(before);
    await expectFlow();
  });

  test('bridge fdb flush under a flow: all rows are put back and counted, and the flow goes on whole', async () => {
    const before = await rows();
    const repaired = await count('row.repaired');
    const flow = await startFlow(1.5);
    await fdb('flush', 'dev', 'overlay0');
    await waitFor(async () => (await count('row.repaired')) >= repaired + TARGETS, PATIENCE_MS, 'the rows to be repaired');
    await rowsAreBack(before);
    const result = await flow.result;
    // Without any row, not even the one for unknown targets, the kernel drops what it is given.
    console.log(`flush: ${bulkText(result)}`);
    expect(result.received).toBeGreaterThan(0);
    await online();
    await expectFlow();
    expect(await count('lookup.asked')).toBe(TARGETS);
  });

  describe('single rows', () => {
    const target = targetMac(1);
    const fallback = '00:00:00:00:00:00';

    test.each([
      { what: 'deleted', act: () => fdb('del', target, 'dev', 'overlay0', 'dst', peer.v4) },
      { what: 'led elsewhere', act: () => fdb('replace', target, 'dev', 'overlay0', 'dst', ELSEWHERE) },
      { what: "made somebody else's", act: () => fdb('replace', target, 'dev', 'overlay0', 'dst', peer.v4, 'permanent') },
      { what: 'made one that ages', act: () => fdb('replace', target, 'dev', 'overlay0', 'dst', peer.v4, 'dynamic') },
    ])('the row of a known target is $what by hand: it is put back', async ({ act }) => {
      const before = await rows();
      const repaired = await count('row.repaired');
      await act();
      await waitFor(async () => (await count('row.repaired')) > repaired, PATIENCE_MS, 'the row to be repaired');
      await rowsAreBack(before);
      await online();
      await expectFlow();
      expect(await count('row.repaired')).toBe(repaired + 1);
    });

    test('the row for unknown targets is deleted: it is put back, and a new target is asked for', async () => {
      const before = await rows();
      const repaired = await count('row.repaired');
      await fdb('del', fallback, 'dev', 'overlay0');
      await waitFor(async () => (await count('row.repaired')) > repaired, PATIENCE_MS, 'the row to be repaired');
      await rowsAreBack(before);
      const flow = { first: 1000, targets: 1, each: 100, perSecond: PER_SECOND };
      expectWhole(await bulk(program, from(), to(), flow));
      await online();
    });

    test('a row of somebody else for a MAC that nobody has asked for is left alone and listed, until it is deleted', async () => {
      const asked = await count('lookup.asked');
      await fdb('add', STRANGER, 'dev', 'overlay0', 'dst', ELSEWHERE);
      const row = (await rows()).find((line) => line.startsWith(STRANGER));
      const text = await degraded('rows of others');
      expect(text).toMatch(/2:fe:0:0:0:1/);
      expect(text).toContain(ELSEWHERE);
      await expectFlow();
      expect(await rows()).toContain(row);
      await fdb('del', STRANGER, 'dev', 'overlay0', 'dst', ELSEWHERE);
      await online();
      expect((await ours.mustOverlayadm('show-overlay', '-f', 'overlay0')).stdout).not.toMatch(/2:fe:0:0:0:1/);
      expect(await count('lookup.asked')).toBe(asked);
      expect((await ours.mustOverlayadm('show-overlay', '-t', 'overlay0')).stdout).not.toMatch(/2:fe:0:0:0:1/);
    });

    test('a row of somebody else is found after a restart too; a target there gets its own when that is deleted', async () => {
      await fdb('add', STRANGER, 'dev', 'overlay0', 'dst', ELSEWHERE);
      await degraded('rows of others');
      const ofTargets = async (): Promise<readonly string[]> => (await rows()).filter((line) => !line.startsWith(fallback));
      const before = await ofTargets();
      await ours.killDaemon();
      await ours.mustOverlayadm('show-overlay');
      client = await control(ours);
      await degraded('rows of others');
      expect(await ofTargets()).toEqual(before);
      await ours.mustOverlayadm('modify-overlay', '-s', `${STRANGER}=${peer.v4}:4789`, 'overlay0');
      await expectFlow();
      expect(await ofTargets()).toEqual(before);
      await fdb('del', STRANGER, 'dev', 'overlay0', 'dst', ELSEWHERE);
      await online();
      const its = new RegExp(`^${STRANGER} dst ${peer.v4} .*extern_learn`);
      await waitFor(async () => (await rows()).some((line) => its.test(line)), PATIENCE_MS, 'the row of the target');
    });
  });

  describe('the link', () => {
    const ip = (...args: string[]) => ours.must('ip', args);

    test('it is set down: it is up again, counted, and the flow goes on', async () => {
      const before = await rows();
      const repaired = await count('link.repaired');
      await ip('link', 'set', 'overlay0', 'down');
      await waitFor(async () => (await count('link.repaired')) > repaired, PATIENCE_MS, 'the link to be up');
      await rowsAreBack(before);
      await online();
      await expectFlow();
    });

    test('it is renamed: degraded with its new name and what to do, online with its old name, and the flow goes on meanwhile', async () => {
      await ip('link', 'set', 'overlay0', 'name', 'moved0');
      expect(await degraded('renamed to moved0')).toContain('ip link set moved0 name overlay0');
      await expectFlow();
      await ip('link', 'set', 'moved0', 'name', 'overlay0');
      await online();
      await expectFlow();
    });

    test('it is deleted: degraded; up-overlay makes it anew, with its VNICs', async () => {
      await ip('link', 'del', 'overlay0');
      const text = await degraded('deleted');
      expect(text).toContain('up-overlay');
      await ours.mustOverlayadm('up-overlay', 'overlay0');
      await online();
      await expectFlow();
    });
  });
});
