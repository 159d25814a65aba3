// kill -9 while an overlay is being made: of overlayd, and of the command that started it. Whenever it happens, the overlayd that
// comes next has the whole overlay or nothing of it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OverlayError } from '@overlayadm/api';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { daemonsOf, isAlive } from '../../tools/sweep.mjs';
import { type Host, twoHosts, waitFor } from '../helpers/netns.ts';
import {
  childrenOf,
  control,
  controlAfter,
  linkPlugin,
  onBothDatapaths,
  PATIENCE_MS,
  type Properties,
  propertyFlags,
} from '../helpers/netns-overlay.ts';
import { processesIn, traces } from '../helpers/netns-traces.ts';
import { type Running, start } from '../helpers/process.ts';

/** How many moments of a create are tried. */
const MOMENTS = { cold: 3, warm: 5, command: 4, vnic: 2 } as const;
const LONG_MS = 60_000;

onBothDatapaths({ commands: ['nft', 'ss'] })('kill -9 while an overlay is being made', (datapath) => {
  let ours: Host;
  let untouched: readonly string[];
  let properties: Properties;

  beforeAll(async () => {
    [ours] = await twoHosts({ datapath });
    linkPlugin(ours, 'slow-start');
    untouched = await traces(ours);
    properties = { 'vxlan/listen_ip': ours.v4, datapath };
  });

  const create = (client: Client, startMs = 0, vnetid = 1): Promise<unknown> => {
    const all = Object.entries({ ...properties, 'slowstart/start_ms': startMs }).map(([name, value]) => ({ name, text: String(value) }));
    return client.call('overlay.create', { name: 'overlay0', encap: 'vxlan', search: 'slowstart', vnetid, properties: all, temporary: false });
  };
  const flags = (startMs: number): string[] => [
    ...['create-overlay', '-e', 'vxlan', '-s', 'slowstart', '-v', '1'],
    ...propertyFlags({ ...properties, 'slowstart/start_ms': startMs }),
    'overlay0',
  ];

  /** The socket of one that was killed is still there, so the one of startDaemon() proves nothing. */
  async function serving(): Promise<Running> {
    const daemon = await ours.startDaemon();
    await daemon.printed('overlayd serves', PATIENCE_MS);
    return daemon;
  }

  /** Kills the overlayd that runs; gives its pid. */
  function kill(): number {
    const pid = ours.daemonPid();
    if (pid === undefined) throw new Error('no overlayd runs');
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** Links, tables, sockets and processes, plugin hosts among them. */
  const nothingLeft = (): Promise<unknown> =>
    waitFor(
      async () => (await processesIn(ours)).length === 0 && JSON.stringify(await traces(ours)) === JSON.stringify(untouched),
      PATIENCE_MS,
      'nothing to be left in the namespace',
    );

  /** Files that say something of an overlay, and links and sockets. */
  const filesLeft = (): string[] =>
    [join(ours.dirs.run, 'overlays'), join(ours.dirs.state, 'overlays'), join(ours.dirs.run, 'targets')].flatMap((folder) =>
      existsSync(folder) ? readdirSync(folder) : [],
    );
  /** Of the keeper: its own, and what it holds for overlayd. */
  const heldBy = (keeper: number): number => readdirSync(`/proc/${keeper}/fd`).length;

  /**
   * What came of the create that was killed is whole: the overlay is there and works, or nothing of it is left. One that was saved
   * and not yet recorded as up is whole too: a person can bring it up.
   */
  async function wholeOrNothing(client: Client): Promise<'whole' | 'saved' | 'nothing'> {
    const names = await client.call('overlay.names', { saved: false });
    const isSaved = readdirSync(join(ours.dirs.state, 'overlays')).includes('overlay0.json');
    if (!names.includes('overlay0') && !isSaved) {
      // The table is made with the first overlay, and goes with overlayd.
      const [links, , sockets] = await traces(ours);
      expect({ links, sockets, files: filesLeft() }).toEqual({ links: untouched[0], sockets: untouched[2], files: [] });
      return 'nothing';
    }
    const isUp = names.includes('overlay0');
    if (!isUp) expect(await client.call('overlay.up', { name: 'overlay0' })).toMatchObject({ up: ['overlay0'], failed: [] });
    await waitFor(
      async () => (await client.call('overlay.health', { name: 'overlay0' })).status === 'ONLINE',
      PATIENCE_MS,
      'the overlay to be online',
    );
    await client.call('overlay.delete', { name: 'overlay0', temporary: false });
    return isUp ? 'whole' : 'saved';
  }

  describe('overlayd', () => {
    test('in start() of the lookup plugin: its host is gone too, the command is told, and the next one works', async () => {
      const daemon = await serving();
      const held = heldBy(daemon.pid);
      const client = await control(ours);
      const creating = create(client, LONG_MS).catch((error: unknown) => error);
      await daemon.printed('slow start begins', PATIENCE_MS);
      const hosts = childrenOf(ours.daemonPid() ?? 0);
      const killed = kill();
      expect(await creating).toMatchObject({ code: 'RPC_CLOSED' });
      const next = await controlAfter(ours, killed);
      await waitFor(() => !hosts.some(isAlive), PATIENCE_MS, 'the plugin host to be gone');
      expect(await wholeOrNothing(next)).toBe('nothing');
      expect((await ours.mustOverlayadm(...flags(0))).stderr).toBe('');
      expect((await ours.mustOverlayadm('show-overlay', '-f')).stdout).toMatch(/overlay0 +ONLINE/);
      expect(await wholeOrNothing(await controlAfter(ours, kill()))).toBe('whole');
      await waitFor(() => heldBy(daemon.pid) === held, PATIENCE_MS, 'the keeper to hold nothing more');
      expect(filesLeft()).toEqual([]);
      await ours.stopDaemon();
      await nothingLeft();
    });

    // Cold, most of the time goes by until the plugins are listed and their hosts have started; warm, what is left is the
    // instance, the sockets, the link, the records and the engine.
    test.each([
      { state: 'cold', moments: MOMENTS.cold },
      { state: 'warm', moments: MOMENTS.warm },
    ])(
      'at $moments moments from the request to the answer ($state): the next one has the whole overlay or nothing of it',
      async ({ state, moments }) => {
        let duration = 0;
        let unfinished = 0;
        for (let moment = 0; moment <= moments; moment++) {
          // The keeper is a new one each time, or it would wait longer and longer.
          const keeper = await serving();
          const held = heldBy(keeper.pid);
          const client = await control(ours);
          // Refused, when the plugins have described themselves.
          if (state === 'warm') await expect(create(client, 0, 16_777_216)).rejects.toMatchObject({ code: 'VNETID_RANGE' });
          const began = performance.now();
          let done = false;
          const creating = create(client).then(
            () => {
              done = true;
            },
            () => undefined,
          );
          // The first is not disturbed, and tells how long it takes.
          if (moment === 0) await creating;
          else await sleep((duration * (moment - 0.5)) / moments);
          if (moment === 0) duration = performance.now() - began;
          if (!done) unfinished++;
          const killed = kill();
          const wasDone = done;
          await creating;
          const next = await controlAfter(ours, killed);
          const found = await wholeOrNothing(next);
          // What the command was told is so.
          if (wasDone) expect(found).toBe('whole');
          await waitFor(() => heldBy(keeper.pid) === held, PATIENCE_MS, 'the keeper to hold nothing more');
          expect(filesLeft()).toEqual([]);
          next.close();
          await ours.stopDaemon();
          await nothingLeft();
        }
        // Create takes about as long every time, so some of them hit.
        expect(unfinished).toBeGreaterThan(0);
      },
    );
  });

  describe('overlayd, while a VNIC', () => {
    const NAME = 'vnic0';
    const mtuOf = async (): Promise<number | undefined> => {
      const links: readonly { ifname: string; mtu: number }[] = JSON.parse((await ours.must('ip', ['-j', 'link', 'show'])).stdout);
      return links.find(({ ifname }) => ifname === NAME)?.mtu;
    };
    const recorded = (folder: string): number | undefined => {
      const { overlay } = JSON.parse(readFileSync(join(folder, 'overlays', 'overlay0.json'), 'utf8'));
      return overlay.vnics.find(({ name }: { name: string }) => name === NAME)?.mtu;
    };

    test.each([
      { what: 'is made', method: 'vnic.create', before: undefined, after: 1400 },
      { what: 'gets another mtu', method: 'linkprop.set', before: 1400, after: 1300 },
      { what: 'is deleted', method: 'vnic.delete', before: 1300, after: undefined },
    ] as const)('$what: it is there or not as its record says, and all of it is as before or after', async ({ method, before, after }) => {
      const keeper = await serving();
      let client = await control(ours);
      await create(client);
      const make = (mtu: number): Promise<unknown> =>
        client.call('vnic.create', { name: NAME, overlay: 'overlay0', properties: [{ name: 'mtu', text: String(mtu) }], temporary: false });
      const act = (): Promise<unknown> => {
        if (method === 'vnic.create') return make(after ?? 0);
        if (method === 'vnic.delete') return client.call('vnic.delete', { name: NAME, temporary: false });
        return client.call('linkprop.set', { link: NAME, properties: [{ name: 'mtu', text: String(after) }], temporary: false });
      };
      const reset = async (): Promise<void> => {
        if ([ours.dirs.run, ours.dirs.state].some((folder) => recorded(folder) !== undefined))
          await client.call('vnic.delete', { name: NAME, temporary: false });
        if (before !== undefined) await make(before);
      };
      await reset();
      const began = performance.now();
      await act();
      const duration = performance.now() - began;
      for (let moment = 0; moment < MOMENTS.vnic; moment++) {
        await reset();
        let done = false;
        const acting = act().then(
          () => {
            done = true;
          },
          () => undefined,
        );
        await sleep((duration * (moment + 0.3)) / MOMENTS.vnic);
        const killed = kill();
        const wasDone = done;
        await acting;
        client.close();
        client = await controlAfter(ours, killed);
        const found = await mtuOf();
        // A link and two files, one after the other: the first of them may be the new one already. An mtu that is there stays.
        const [up, saved] = [recorded(ours.dirs.run), recorded(ours.dirs.state)];
        expect(found === undefined).toBe(up === undefined);
        for (const each of [found, up, saved]) expect([before, after]).toContain(each);
        if (wasDone) expect([found, up, saved]).toEqual([after, after, after]);
        const rows = await client.call('vnic.list', { overlay: 'overlay0' });
        expect(rows.map(({ vnic, mtu, persistent }) => ({ vnic, mtu, persistent }))).toEqual(
          found === undefined ? [] : [{ vnic: NAME, mtu: found, persistent: saved !== undefined }],
        );
      }
      await reset();
      if (before !== undefined) await client.call('vnic.delete', { name: NAME, temporary: false });
      await client.call('overlay.delete', { name: 'overlay0', temporary: false });
      client.close();
      keeper.kill('SIGTERM');
      await ours.stopDaemon();
      await nothingLeft();
    });
  });

  describe('the command that started overlayd', () => {
    /** What was under way when the command died keeps its name until it is finished; what never began leaves the name free. */
    async function isThere(client: Client): Promise<boolean> {
      if ((await client.call('overlay.names', { saved: true })).includes('overlay0')) return true;
      return create(client).then(
        () => true,
        (error: unknown) => {
          if (OverlayError.is(error) && error.code === 'OVERLAY_EXISTS') return false;
          throw error;
        },
      );
    }

    /** Whatever came of it is whole: an overlay that works and can be deleted, or none, and one can be made. */
    async function whole(): Promise<void> {
      await ours.mustOverlayadm('show-overlay');
      const client = await control(ours);
      await waitFor(() => isThere(client), PATIENCE_MS, 'overlay0, made by the one that died or now');
      expect(await client.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
      await client.call('overlay.delete', { name: 'overlay0', temporary: false });
      // The table is made with the first overlay, and stays for the next ones.
      const [links, , sockets] = await traces(ours);
      expect([links, sockets]).toEqual([untouched[0], untouched[2]]);
      client.close();
      await ours.stopDaemon();
      expect(daemonsOf(ours.dirs.run)).toEqual([]);
      expect(filesLeft()).toEqual([]);
      await nothingLeft();
    }

    test(`at ${MOMENTS.command} moments from its start to its end: overlayd is whole, and nothing is left when it has gone`, async () => {
      const began = performance.now();
      await ours.mustOverlayadm(...flags(0));
      const duration = performance.now() - began;
      await whole();
      for (let moment = 1; moment <= MOMENTS.command; moment++) {
        const command = ours.start('bin/overlayadm', flags(0), { env: ours.env });
        await sleep((duration * (moment - 0.5)) / MOMENTS.command);
        command.kill('SIGKILL');
        await whole();
      }
    });

    test('in start() of the lookup plugin: overlayd goes on, and stops in time although the plugin does not start', async () => {
      const log = join(ours.dirs.run, 'overlayd.log');
      const begun = (): number => readFileSync(log, 'utf8').split('slow start begins').length;
      const before = existsSync(log) ? begun() : 1;
      const command = ours.start('bin/overlayadm', flags(LONG_MS), { env: ours.env });
      await waitFor(() => begun() > before, PATIENCE_MS, 'start() of the plugin');
      command.kill('SIGKILL');
      await command.end();
      expect((await ours.mustOverlayadm('show-overlay', '-f')).stdout).not.toContain('overlay0');
      await ours.stopDaemon();
      await nothingLeft();
    });
  });

  test('the parent that overlayd was given by hand: overlayd goes on, and its overlays with it', async () => {
    // A shell in the middle, as a terminal has one; setsid, so that the end of the shell is no hang-up.
    const shell = start('sh', ['-c', `setsid ip netns exec ${ours.name} bin/overlayd & wait`], { env: ours.env });
    const client = await waitFor(() => control(ours), PATIENCE_MS, 'overlayd to answer');
    const creating = create(client, 300);
    shell.kill('SIGKILL');
    await creating;
    expect(await client.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
    await client.call('overlay.delete', { name: 'overlay0', temporary: false });
    client.close();
    await ours.stopDaemon();
    await nothingLeft();
  });
});
