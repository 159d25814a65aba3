// overlayd is started again, in order or not: frames to known targets are not lost, what is known stays known, and what cannot be had is kept and said.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, defineProperties, type LookupAnswer, type LookupHost, type LookupPlugin, type MacAddress } from '@overlayadm/api';
import direct from '@overlayadm/plugin-direct';
import files from '@overlayadm/plugin-files';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  FILE_POLL_MS,
  LOOKUP_TIMEOUT_MS,
  MAX_SNAPSHOT_BYTES,
  RESTORE_RETRY_MS,
  SNAPSHOT_MS,
  VERIFY_BATCH,
  VERIFY_MS,
} from '../../src/core/util/limits.ts';
import { frame, ipOf, mac, textOf } from '../helpers/frames.ts';
import { runTogether, SimHost } from '../helpers/sim-host.ts';
import { SimUnderlay } from '../helpers/sim-io.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const at = (last: number): Destination => ({ ip: ipOf(`192.0.2.${last}`), port: 4789 });

/** A lookup plugin with a table: what is in it is answered, what is refused is refused, and the rest waits for ever. */
class Directory {
  readonly found = new Map<MacAddress, Destination>();
  readonly refused = new Set<MacAddress>();
  readonly asked: MacAddress[] = [];
  /** Answers that are owed. */
  readonly owed = new Map<MacAddress, (answer: LookupAnswer) => void>();
  host: LookupHost | undefined;
  readonly plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'directory',
    properties: defineProperties([]),
    create: (_needs, _values, host) => {
      this.host = host;
      return {
        mode: 'dynamic',
        start: async () => undefined,
        stop: async () => undefined,
        lookup: (request) => this.#lookup(request.to),
      };
    },
  };

  #lookup(to: MacAddress): Promise<LookupAnswer> {
    this.asked.push(to);
    const destination = this.found.get(to);
    if (destination !== undefined) return Promise.resolve({ kind: 'found', destination });
    if (this.refused.has(to)) return Promise.resolve({ kind: 'drop', reason: 'directory.nobody' });
    return new Promise((answer) => this.owed.set(to, answer));
  }
}

const running: SimHost[] = [];
const listen = (last: number) => ({ 'vxlan/listen_ip': `192.0.2.${last}` });
const toSecond = { ...listen(1), 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

async function start(directory = new Directory(), underlay = new SimUnderlay(), last = 1): Promise<SimHost> {
  const host = new SimHost(underlay, [`192.0.2.${last}`], [vxlan, direct, files, directory.plugin]);
  running.push(host);
  await host.start();
  return host;
}

afterEach(async () => {
  vi.restoreAllMocks();
  for (const host of running.splice(0)) {
    await host.destroy();
    expect(host.io.open).toBeLessThanOrEqual(1); // the poll descriptor ends with the engine's thread
    expect([...host.kernel.known.keys()]).toEqual([]);
    expect(host.store.names).toEqual([]);
    for (const place of [host.directories.run, host.directories.state]) expect(readdirSync(join(place, 'overlays'))).toEqual([]);
  }
});

const PATIENCE_MS = 10_000;
// What is saved waits for the disk, and the disk for whoever else uses it.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

/** The disk takes its own time, which no clock of a test moves. */
async function until(host: SimHost, isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !isSo(); await sleep(1)) {
    if (performance.now() > end) throw new Error('it never was so');
    await host.turns(5);
  }
}

/** A device of another program. */
function foreignTap(host: SimHost, name: string): () => void {
  const fd = host.io.openTap({ name, exclusive: true });
  const file = host.io.hold(fd);
  host.io.close(fd);
  return () => host.io.letGo(file);
}

/** What cannot be restored is tried again. */
async function retried(host: SimHost): Promise<void> {
  await host.pass(RESTORE_RETRY_MS, RESTORE_RETRY_MS);
  for (let i = 0; i < 10; i++) {
    await host.turns(10);
    await sleep(1);
  }
}

const snapshotOf = (host: SimHost, name = 'overlay0'): string => join(host.directories.run, 'targets', name);
const recordOf = (host: SimHost, place: 'run' | 'state', name = 'overlay0'): string => join(host.directories[place], 'overlays', `${name}.json`);

/** What is known now is written down. */
async function writtenDown(host: SimHost, name = 'overlay0'): Promise<void> {
  rmSync(snapshotOf(host, name), { force: true });
  await host.pass(SNAPSHOT_MS);
  await until(host, () => existsSync(snapshotOf(host, name)));
}

/** Has a VNIC of the overlay send, so that its targets become known. */
async function learn(host: SimHost, targets: readonly number[], name = 'overlay0'): Promise<void> {
  for (const target of targets) host.io.tap(name).out.push(frame(mac(target), mac(1), 'first'));
  await host.turns();
}

const send = (host: SimHost, to: number, ...texts: readonly string[]): void => {
  for (const text of texts) host.io.tap('overlay0').out.push(frame(mac(to), mac(1), text));
};
const got = (host: SimHost): string[] => host.io.tap('overlay0').in.splice(0).map(textOf);
const sentTo = (underlay: SimUnderlay): string[] =>
  underlay.carried.splice(0).map(({ to, bytes }) => `${to.split(' ')[0]} ${textOf(bytes.subarray(8))}`);

async function targetsOf(host: SimHost, name = 'overlay0'): Promise<Readonly<Record<string, string>>> {
  const { rows } = await host.call('overlay.targets', { name, after: null });
  return Object.fromEntries(rows.map(({ target, destination }) => [target, destination]));
}

const health = (host: SimHost, name = 'overlay0') => host.call('overlay.health', { name });

describe.each(['stop', 'crash'] as const)('a host whose overlayd is away (%s)', (how) => {
  it('loses no frame to or from a known target, asks nothing, and its links are what they were', async () => {
    const underlay = new SimUnderlay();
    const directory = new Directory();
    directory.found.set(mac(1), at(1)).set(mac(2), at(2));
    const [a, b] = [await start(directory, underlay), await start(directory, underlay, 2)];
    await a.create('overlay0', 'directory', 7, listen(1));
    await a.createVnic('vnic0', 'overlay0', { mac: mac(1) });
    await b.create('overlay0', 'directory', 7, listen(2));
    const back = (...texts: readonly string[]): void => texts.forEach((text) => void b.io.tap('overlay0').out.push(frame(mac(1), mac(2), text)));
    send(a, 2, 'there');
    back('back');
    await runTogether(a, b);
    await writtenDown(a);
    expect([got(a), got(b)]).toEqual([['back'], ['there']]);
    const links = [...a.kernel.known.values()];
    directory.asked.length = 0;

    await a[how]();
    expect([...a.kernel.known.values()]).toEqual(links);
    const texts = Array.from({ length: 200 }, (_, i) => `frame ${i}`);
    send(a, 2, ...texts);
    back(...texts);
    await b.turns();
    expect(got(b)).toEqual([]);
    await a.start();
    await runTogether(a, b);
    expect([got(a), got(b)]).toEqual([texts, texts]);
    expect(directory.asked).toEqual([]);
    expect([...a.kernel.known.values()]).toEqual(links);
    expect(await a.call('vnic.list', { overlay: 'overlay0' })).toMatchObject([{ vnic: 'vnic0', state: 'up', mac: '2:0:0:0:0:1' }]);
    expect(await health(a)).toMatchObject({ status: 'ONLINE' });
  });

  it('keeps what a person has set, and the plugin does not change it', async () => {
    const underlay = new SimUnderlay();
    const directory = new Directory();
    const host = await start(directory, underlay);
    await host.create('overlay0', 'directory', 7, listen(1));
    await host.call('target.set', { overlay: 'overlay0', mac: '2:0:0:0:0:5', destination: '192.0.2.5:4789' });
    await host.call('target.set', { overlay: 'overlay0', mac: '2:0:0:0:0:6', destination: 'drop' });
    await writtenDown(host);
    await host[how]();
    await host.start();
    await host.pass(2 * VERIFY_MS);
    expect(directory.asked).toEqual([]);
    for (const number of [5, 6]) directory.host?.setTarget(mac(number), at(99));
    directory.host?.invalidateTarget(mac(5));
    await host.turns();
    expect(await targetsOf(host)).toEqual({ '2:0:0:0:0:5': '192.0.2.5:4789', '2:0:0:0:0:6': 'drop' });
    send(host, 5, 'x');
    send(host, 6, 'y');
    await host.turns();
    expect(sentTo(underlay)).toEqual(['192.0.2.5 x']);
  });

  it('keeps overlays with one destination, and temporary ones', async () => {
    const underlay = new SimUnderlay();
    const host = await start(new Directory(), underlay);
    await host.create('overlay0', 'direct', 7, toSecond, true);
    await host.createVnic('vnic0', 'overlay0', { temporary: true });
    expect(existsSync(recordOf(host, 'state'))).toBe(false);
    await host[how]();
    send(host, 77, 'x', 'y');
    await host.start();
    await host.turns();
    expect(sentTo(underlay)).toEqual(['192.0.2.2 x', '192.0.2.2 y']);
    expect((await host.call('vnic.list', { overlay: null })).map(({ vnic }) => vnic)).toEqual(['vnic0']);
    expect(existsSync(recordOf(host, 'state'))).toBe(false);
  });
});

describe('a lookup plugin that is not there after a restart', () => {
  it('degrades the overlay, which goes on with what it knows; a miss waits, and is answered when the plugin appears', async () => {
    const underlay = new SimUnderlay();
    const directory = new Directory();
    directory.found.set(mac(2), at(2)).set(mac(3), at(3));
    const host = await start(directory, underlay);
    await host.create('overlay0', 'directory', 7, listen(1));
    await learn(host, [2]);
    await writtenDown(host);
    await host.stop();
    host.plugins.uninstall(directory.plugin);
    sentTo(underlay);
    directory.asked.length = 0;
    await host.start();
    send(host, 2, 'known');
    send(host, 3, 'unknown');
    await host.turns();
    expect(sentTo(underlay)).toEqual(['192.0.2.2 known']);
    expect(await health(host)).toMatchObject({
      status: 'DEGRADED',
      details: expect.stringContaining('directory'),
      advice: expect.stringMatching(/./),
    });
    expect(await host.names()).toEqual(['overlay0']);
    host.plugins.install(directory.plugin);
    await host.call('plugin.reload', {});
    await host.turns();
    expect(sentTo(underlay)).toEqual(['192.0.2.3 unknown']);
    expect(directory.asked).toEqual([mac(3)]);
    expect(await health(host)).toMatchObject({ status: 'ONLINE' });
    await host.pass(VERIFY_MS);
    expect(directory.asked).toEqual([mac(3), mac(2)]);
  });

  it('does not keep its overlay from being deleted', async () => {
    const directory = new Directory();
    const host = await start(directory);
    await host.create('overlay0', 'directory', 7, listen(1));
    await host.stop();
    host.plugins.uninstall(directory.plugin);
    await host.start();
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect([await host.names(), [...host.kernel.known.keys()], host.store.names]).toEqual([[], [], []]);
  });
});

describe('what was known before a restart', () => {
  it('is asked for anew: another answer replaces it, a refusal ends it, and without an answer it stays', async () => {
    const underlay = new SimUnderlay();
    const directory = new Directory();
    for (const number of [2, 3, 4]) directory.found.set(mac(number), at(number));
    const host = await start(directory, underlay);
    await host.create('overlay0', 'directory', 7, listen(1));
    await learn(host, [2, 3, 4]);
    await writtenDown(host);
    await host.stop();
    directory.asked.length = 0;
    directory.found.clear();
    directory.found.set(mac(2), at(22));
    directory.refused.add(mac(3));
    await host.start();
    const before = { '2:0:0:0:0:2': '192.0.2.2:4789', '2:0:0:0:0:3': '192.0.2.3:4789', '2:0:0:0:0:4': '192.0.2.4:4789' };
    expect(await targetsOf(host)).toEqual(before);
    await host.pass(VERIFY_MS);
    expect(directory.asked.toSorted()).toEqual([mac(2), mac(3), mac(4)]);
    expect(await targetsOf(host)).toEqual({ '2:0:0:0:0:2': '192.0.2.22:4789', '2:0:0:0:0:4': '192.0.2.4:4789' });
    await host.pass(60_000, 1000);
    expect(await targetsOf(host)).toMatchObject({ '2:0:0:0:0:4': '192.0.2.4:4789' });
    // Only what was not answered is asked for again, and only when the question is over.
    expect([...new Set(directory.asked.slice(3))]).toEqual([mac(4)]);
    expect(directory.asked.length).toBeLessThanOrEqual(3 + 60_000 / LOOKUP_TIMEOUT_MS);
    expect(await health(host)).toMatchObject({ status: 'ONLINE' });
  });

  it('is asked for at a bounded rate, and not where a person has set something meanwhile', async () => {
    const directory = new Directory();
    const host = await start(directory);
    await host.create('overlay0', 'directory', 7, listen(1));
    const count = 2 * VERIFY_BATCH + 20;
    for (let number = 1; number <= count; number++) directory.host?.setTarget(mac(number), at(2));
    await host.turns();
    await writtenDown(host);
    await host.restart();
    await host.turns();
    expect(directory.asked.length).toBe(0);
    await host.pass(VERIFY_MS);
    expect(directory.asked.length).toBe(VERIFY_BATCH);
    const waiting = Array.from({ length: count }, (_, i) => mac(i + 1)).filter((each) => !directory.asked.includes(each));
    const [late] = waiting;
    const [early] = directory.asked;
    if (late === undefined || early === undefined) throw new Error('nothing is left');
    for (const each of [early, late]) await host.call('target.set', { overlay: 'overlay0', mac: each, destination: '192.0.2.77:4789' });
    directory.owed.get(early)?.({ kind: 'found', destination: at(3) });
    await host.pass(VERIFY_MS);
    expect(directory.asked.length).toBe(2 * VERIFY_BATCH);
    await host.pass(10 * VERIFY_MS);
    expect(directory.asked.length).toBe(count - 1);
    expect(directory.asked).not.toContain(late);
    expect(new Set(directory.asked).size).toBe(count - 1);
    const { rows } = await host.call('overlay.targets', { name: 'overlay0', after: null });
    expect(rows.filter(({ destination }) => destination === '192.0.2.77:4789').length).toBe(2);
    expect(rows.length).toBe(count);
  });

  it('is not asked for again by up-overlay, and goes on being asked for', async () => {
    const directory = new Directory();
    const host = await start(directory);
    await host.create('overlay0', 'directory', 7, listen(1));
    for (let number = 1; number <= VERIFY_BATCH + 1; number++) directory.host?.setTarget(mac(number), at(2));
    await host.turns();
    await writtenDown(host);
    await host.restart();
    await host.pass(VERIFY_MS);
    await host.call('overlay.up', { name: 'overlay0' });
    await host.pass(5 * VERIFY_MS);
    expect(directory.asked.length).toBe(VERIFY_BATCH + 1);
  });

  it('is not true any more when the file of the plugin has changed meanwhile', async () => {
    const underlay = new SimUnderlay();
    const host = await start(new Directory(), underlay);
    const config = join(temporaryFolder(), 'net.json');
    const write = (last: number): void => writeFileSync(config, JSON.stringify({ [mac(2)]: { ip: `192.0.2.${last}`, port: 4789 } }));
    write(2);
    await host.create('overlay0', 'files', 7, { ...listen(1), 'files/config': config });
    await learn(host, [2]);
    await writtenDown(host);
    expect(sentTo(underlay)).toEqual(['192.0.2.2 first']);
    await host.restart();
    await host.pass(2 * FILE_POLL_MS);
    expect(await host.counters('overlay0')).toMatchObject({ 'lookup.asked': 0 });
    await host.stop();
    write(3);
    await host.start();
    for (const end = performance.now() + PATIENCE_MS; (await targetsOf(host))['2:0:0:0:0:2'] === '192.0.2.2:4789'; await sleep(1)) {
      if (performance.now() > end) throw new Error('it stays as it was');
      await host.pass(FILE_POLL_MS, FILE_POLL_MS);
    }
    send(host, 2, 'then');
    await host.turns();
    await until(host, () => underlay.carried.length > 0);
    expect(sentTo(underlay)).toEqual(['192.0.2.3 then']);
  });

  it.each<[string, (path: string) => void]>([
    ['damaged', (path) => writeFileSync(path, readFileSync(path).fill(0xff, 5))],
    ['empty', (path) => truncateSync(path, 0)],
    ['too large', (path) => truncateSync(path, MAX_SNAPSHOT_BYTES + 1)],
    ['of another overlay of this name', (path) => writeFileSync(path, readFileSync(path, 'latin1').replace(/"id":[0-9]+/, '"id":777'), 'latin1')],
    ['a directory', (path) => [rmSync(path), mkdirSync(path)]],
    ['gone', (path) => rmSync(path)],
  ])('is forgotten when what is written of it is %s: everything else goes on', async (_what, spoil) => {
    const underlay = new SimUnderlay();
    const directory = new Directory();
    directory.found.set(mac(2), at(2));
    const host = await start(directory, underlay);
    await host.create('overlay0', 'directory', 7, listen(1));
    await learn(host, [2]);
    await writtenDown(host);
    await host.stop();
    spoil(snapshotOf(host));
    directory.asked.length = 0;
    sentTo(underlay);
    await host.start();
    expect([await targetsOf(host), (await health(host)).status]).toEqual([{}, 'ONLINE']);
    send(host, 2, 'again');
    await host.turns();
    expect([sentTo(underlay), directory.asked]).toEqual([['192.0.2.2 again'], [mac(2)]]);
    rmSync(snapshotOf(host), { recursive: true, force: true });
  });

  it('of an overlay that was deleted is not known to one of its name', async () => {
    const directory = new Directory();
    directory.found.set(mac(2), at(2));
    const host = await start(directory);
    await host.create('overlay0', 'directory', 7, listen(1));
    await learn(host, [2]);
    await writtenDown(host);
    await host.call('overlay.delete', { name: 'overlay0', temporary: true });
    expect(existsSync(snapshotOf(host))).toBe(false);
    await host.call('overlay.up', { name: 'overlay0' });
    expect(await targetsOf(host)).toEqual({});
  });
});

describe('a reboot', () => {
  it('brings back nothing by itself, and with up-overlay everything that is saved, and nothing that is temporary', async () => {
    const directory = new Directory();
    const host = await start(directory);
    await host.create('overlay0', 'directory', 7, listen(1));
    await host.createVnic('vnic0', 'overlay0', { mac: mac(1) });
    await host.createVnic('vnic1', 'overlay0', { mac: mac(2), temporary: true });
    await host.create('overlay1', 'direct', 8, toSecond, true);
    const before = await host.call('overlay.properties', { name: 'overlay0' });
    await host.reboot();
    expect([await host.names(), [...host.kernel.known.keys()]]).toEqual([[], []]);
    expect(await host.call('overlay.up', { name: null })).toEqual({ up: ['overlay0'], failed: [], warnings: [] });
    expect([...host.kernel.known.keys()]).toEqual(['overlay0', 'vnic0']);
    expect(await host.call('overlay.properties', { name: 'overlay0' })).toEqual(before);
    expect(host.kernel.link('vnic0')?.mac).toBe(mac(1));
    await host.turns();
    expect(await health(host)).toMatchObject({ status: 'ONLINE' });
    await host.restart();
    expect([...host.kernel.known.keys()]).toEqual(['overlay0', 'vnic0']);
  });

  it('gives a new overlay another id than any that is saved', async () => {
    const host = await start();
    await host.create('overlay0', 'direct', 7, toSecond);
    await host.reboot();
    await host.create('overlay1', 'direct', 8, toSecond);
    const idOf = (place: 'run' | 'state', name: string): number => JSON.parse(readFileSync(recordOf(host, place, name), 'utf8')).overlay.id;
    expect(idOf('state', 'overlay0')).not.toBe(idOf('run', 'overlay1'));
  });
});

describe('up-overlay', () => {
  it('brings back what was deleted with -t, one or all, and what cannot be had does not keep the others down', async () => {
    const host = await start();
    for (const number of [0, 1, 2]) await host.create(`overlay${number}`, 'direct', 7 + number, toSecond);
    for (const number of [0, 1, 2]) await host.call('overlay.delete', { name: `overlay${number}`, temporary: true });
    expect([await host.names(), [...host.kernel.known.keys()]]).toEqual([[], []]);
    expect(await host.call('overlay.up', { name: 'overlay1' })).toEqual({ up: ['overlay1'], failed: [], warnings: [] });
    expect(await host.names()).toEqual(['overlay1']);
    const remove = foreignTap(host, 'overlay0');
    const all = await host.call('overlay.up', { name: null });
    expect(all).toMatchObject({
      up: ['overlay1', 'overlay2'],
      failed: [{ name: 'overlay0', code: 'LINK_EXISTS', advice: expect.stringMatching(/./) }],
    });
    expect(await host.names()).toEqual(['overlay1', 'overlay2']);
    remove();
    expect((await host.call('overlay.up', { name: null })).up).toEqual(['overlay0', 'overlay1', 'overlay2']);
    // Once more changes nothing.
    const links = [...host.kernel.known.values()];
    expect((await host.call('overlay.up', { name: null })).failed).toEqual([]);
    expect([...host.kernel.known.values()]).toEqual(links);
  });

  it('refuses what is not saved, and says why', async () => {
    const host = await start();
    await host.create('overlay0', 'direct', 7, toSecond, true);
    expect(await host.call('overlay.up', { name: 'overlay0' })).toMatchObject({
      up: [],
      failed: [{ code: 'OVERLAY_NOT_FOUND', message: expect.stringContaining('temporary') }],
    });
    expect(await host.call('overlay.up', { name: 'nosuch' })).toMatchObject({
      failed: [{ code: 'OVERLAY_NOT_FOUND', message: 'nosuch: object not found' }],
    });
  });

  it('leaves nothing behind when it cannot be recorded', async () => {
    const host = await start();
    await host.create('overlay0', 'direct', 7, toSecond);
    await host.call('overlay.delete', { name: 'overlay0', temporary: true });
    const before = host.io.open;
    const mend = spoilFolder(host, 'run');
    expect(await host.call('overlay.up', { name: 'overlay0' }).catch((error) => error.code)).toSatisfy(
      (result) => result === 'STATE_UNREADABLE' || result.failed[0].code === 'STATE_NOT_SAVED',
    );
    expect([host.io.open, [...host.kernel.known.keys()], host.store.names]).toEqual([before, [], []]);
    mend();
    expect((await host.call('overlay.up', { name: 'overlay0' })).up).toEqual(['overlay0']);
  });

  it('and delete-overlay at once leave one overlay or none, and nothing in between', async () => {
    const host = await start();
    const other = await host.connect();
    const seen = new Set<string>();
    for (let turns = 0; turns < 60; turns += 6) {
      await host.create('overlay0', 'direct', 7, toSecond);
      await host.call('overlay.delete', { name: 'overlay0', temporary: true });
      const up = other.call('overlay.up', { name: 'overlay0' }).then(
        ({ failed }) => failed[0]?.code ?? 'up',
        (error) => error.message,
      );
      await host.turns(turns);
      const deleted = await host.call('overlay.delete', { name: 'overlay0', temporary: false }).then(
        () => 'deleted',
        (error) => error.code,
      );
      let isUp: string | undefined;
      up.then((code) => {
        isUp = code;
      });
      await until(host, () => isUp !== undefined);
      seen.add(deleted);
      expect(['up', 'OVERLAY_NOT_FOUND', 'OVERLAY_BUSY']).toContain(isUp);
      expect(['deleted', 'OVERLAY_BUSY']).toContain(deleted);
      const names = await host.names();
      expect(names).toEqual(deleted === 'deleted' ? [] : ['overlay0']);
      expect([...host.kernel.known.keys()]).toEqual(names);
      if (names.length > 0) await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    }
    expect(seen).toContain('deleted');
  });
});

/** No file can be written to the records of this place any more, until it is mended. */
function spoilFolder(host: SimHost, place: 'run' | 'state'): () => void {
  const folder = join(host.directories[place], 'overlays');
  renameSync(folder, `${folder}.away`);
  writeFileSync(folder, 'in its place');
  return () => {
    rmSync(folder);
    renameSync(`${folder}.away`, folder);
  };
}

describe('state that cannot be written', () => {
  it.each(['run', 'state'] as const)('(%s directory) has create, set and delete refused, and nothing changed', async (place) => {
    const underlay = new SimUnderlay();
    const host = await start(new Directory(), underlay);
    await host.create('overlay0', 'direct', 7, toSecond);
    const before = {
      links: [...host.kernel.known.values()],
      open: host.io.open,
      held: host.store.names,
      saved: readFileSync(recordOf(host, 'state'), 'utf8'),
    };
    const mend = spoilFolder(host, place);
    const refused = { code: 'STATE_NOT_SAVED', advice: expect.stringMatching(/./) };
    await expect(host.create('overlay1', 'direct', 8, toSecond)).rejects.toMatchObject(refused);
    await expect(host.createVnic('vnic0', 'overlay0')).rejects.toMatchObject(refused);
    const mtu = [{ name: 'mtu', text: '1300' }];
    await expect(host.call('linkprop.set', { link: 'overlay0', properties: mtu, temporary: false })).rejects.toMatchObject(refused);
    await expect(host.call('overlay.delete', { name: 'overlay0', temporary: false })).rejects.toMatchObject(refused);
    mend();
    expect({
      links: [...host.kernel.known.values()],
      open: host.io.open,
      held: host.store.names,
      saved: readFileSync(recordOf(host, 'state'), 'utf8'),
    }).toEqual(before);
    expect(await host.names()).toEqual(['overlay0']);
    send(host, 9, 'goes on');
    await host.turns();
    expect(sentTo(underlay)).toEqual(['192.0.2.2 goes on']);
    await host.restart();
    expect(await host.names()).toEqual(['overlay0']);
  });
});

describe('an overlay that cannot be restored', () => {
  it('for want of its address is kept, says so, and comes by itself when the address does', async () => {
    const underlay = new SimUnderlay();
    const host = await start(new Directory(), underlay);
    await host.create('overlay0', 'direct', 7, toSecond);
    await host.create('overlay1', 'direct', 8, { ...toSecond, 'vxlan/listen_port': '4790' });
    await host.stop();
    host.io.closeAll();
    host.store.end();
    const { openUdp } = host.io;
    let isHere = false;
    vi.spyOn(host.io, 'openUdp').mockImplementation((options) => {
      if (!isHere && options.port === 4789) throw Object.assign(new Error('EADDRNOTAVAIL: bind'), { code: 'EADDRNOTAVAIL' });
      return openUdp.call(host.io, options);
    });
    await host.start();
    expect(await host.names()).toEqual(['overlay1']);
    expect(await host.call('overlay.names', { saved: true })).toEqual(['overlay0', 'overlay1']);
    expect(await health(host)).toEqual({
      overlay: 'overlay0',
      status: 'DEGRADED',
      details: 'vxlan/listen_ip: 192.0.2.1 is not an address of this host',
      since: expect.stringMatching(/^2026-01-01T/),
      advice: expect.stringMatching(/./),
    });
    await expect(host.call('overlay.targets', { name: 'overlay0', after: null })).rejects.toMatchObject({ code: 'OVERLAY_DOWN' });
    await expect(host.create('overlay0', 'direct', 9, toSecond)).rejects.toMatchObject({ code: 'OVERLAY_EXISTS' });
    await retried(host);
    expect(await host.names()).toEqual(['overlay1']);
    expect([...host.kernel.known.keys()]).toContain('overlay0');
    isHere = true;
    await host.restored('overlay0');
    expect(await host.names()).toEqual(['overlay0', 'overlay1']);
    expect(await health(host)).toMatchObject({ status: 'ONLINE' });
    send(host, 9, 'x');
    await host.turns();
    expect(sentTo(underlay)).toEqual(['192.0.2.2 x']);
  });

  it('because its name is taken by a link of somebody else leaves that link alone', async () => {
    const host = await start();
    await host.create('overlay0', 'direct', 7, toSecond);
    await host.stop();
    host.store.end();
    host.io.deleteTap('overlay0');
    const remove = foreignTap(host, 'overlay0');
    const link = {
      ...(host.kernel.known.get('overlay0') as NonNullable<ReturnType<typeof host.kernel.link>>),
      ours: false,
      mark: undefined,
      index: 4000,
    };
    host.kernel.known.set('overlay0', link);
    await host.start();
    expect(await health(host)).toMatchObject({ status: 'DEGRADED', details: expect.stringContaining('a link of this name exists') });
    expect(host.kernel.link('overlay0')).toEqual(link);
    remove();
    await host.restored('overlay0');
    expect(await health(host)).toMatchObject({ status: 'ONLINE' });
  });

  it('because its data path is one that there is not is kept until somebody deletes it', async () => {
    const host = await start();
    await host.create('overlay0', 'direct', 7, toSecond);
    await host.stop();
    const record = readFileSync(recordOf(host, 'run'), 'utf8');
    writeFileSync(recordOf(host, 'run'), record.replace('"driver":"tap"', '"driver":"kernel"').replace('"driver": "tap"', '"driver": "kernel"'));
    await host.start();
    expect(await health(host)).toMatchObject({ status: 'DEGRADED', details: 'a simulated host has no vxlan' });
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect([await host.call('overlay.names', { saved: true }), [...host.kernel.known.keys()]]).toEqual([[], []]);
    // Its socket is nobody's now: the next overlayd lets go of it.
    await host.restart();
  });

  const UNREADABLE: readonly [string, string, string][] = [
    ['is half written', '{"version":1,"overlay":{"name":"over', 'is no JSON text'],
    ['is empty', '', 'is empty'],
    ['is of a newer overlayadm', '{"version":2,"overlay":{}}', 'newer overlayadm (version 2)'],
  ];

  it.each(UNREADABLE)(
    'because its record %s is kept as it is, shown as degraded, and comes when the record is mended',
    async (_what, text, reason) => {
      const underlay = new SimUnderlay();
      const host = await start(new Directory(), underlay);
      await host.create('overlay0', 'direct', 7, toSecond);
      await host.stop();
      const record = readFileSync(recordOf(host, 'run'));
      writeFileSync(recordOf(host, 'run'), text);
      send(host, 9, 'waits');
      await host.start();
      expect([await host.names(), await host.call('overlay.names', { saved: true })]).toEqual([[], ['overlay0']]);
      expect(await health(host)).toMatchObject({
        status: 'DEGRADED',
        details: expect.stringContaining(reason),
        advice: expect.stringContaining('delete-overlay overlay0'),
      });
      expect(readFileSync(recordOf(host, 'run'), 'utf8')).toBe(text);
      await retried(host);
      expect(readFileSync(recordOf(host, 'run'), 'utf8')).toBe(text);
      expect([...host.kernel.known.keys()]).toEqual(['overlay0']);
      writeFileSync(recordOf(host, 'run'), record);
      await host.restored('overlay0');
      await host.turns();
      expect(sentTo(underlay)).toEqual(['192.0.2.2 waits']);
      expect(await host.names()).toEqual(['overlay0']);
      expect(await health(host)).toMatchObject({ status: 'ONLINE' });
    },
  );

  it.each(UNREADABLE)('because its saved record %s is shown, refused by name, and gone when somebody deletes it', async (_what, text, reason) => {
    const host = await start();
    await host.create('overlay0', 'direct', 7, toSecond);
    await host.reboot(() => writeFileSync(recordOf(host, 'state'), text));
    const all = await host.call('overlay.up', { name: null });
    expect(all.failed).toMatchObject([{ name: 'overlay0', code: 'STATE_UNREADABLE', message: expect.stringContaining(reason) }]);
    expect(await host.call('overlay.names', { saved: true })).toEqual(['overlay0']);
    expect(await health(host)).toMatchObject({ status: 'DEGRADED', details: expect.stringContaining(reason) });
    await expect(host.create('overlay0', 'direct', 7, toSecond)).rejects.toMatchObject({
      advice: expect.stringContaining('delete-overlay overlay0'),
    });
    expect(readFileSync(recordOf(host, 'state'), 'utf8')).toBe(text);
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect([await host.call('overlay.names', { saved: true }), existsSync(recordOf(host, 'state'))]).toEqual([[], false]);
    await host.create('overlay0', 'direct', 7, toSecond);
  });
});

describe('a crash at any moment of', () => {
  const filesIn = (host: SimHost, place: 'run' | 'state'): string[] =>
    readdirSync(join(host.directories[place], 'overlays'))
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -5));

  /** What is there fits what is recorded: no link, socket or descriptor that nobody knows, and nothing that is known and not there. */
  async function expectWhole(host: SimHost): Promise<readonly string[]> {
    const names = await host.names();
    const vnics = (await host.call('vnic.list', { overlay: null })).map(({ vnic }) => vnic);
    expect([...host.kernel.known.keys()]).toEqual([...names, ...vnics]);
    expect(filesIn(host, 'run')).toEqual(names);
    expect(host.store.names).toEqual(names.length === 0 ? [] : ['mux.c0000201.4789', ...names.map((name) => `tap.${name}`)]);
    for (const name of names) expect(await health(host, name)).toMatchObject({ status: 'ONLINE' });
    return [...names, ...vnics];
  }

  it.each<[string, (host: SimHost) => Promise<unknown>, (host: SimHost) => Promise<unknown>]>([
    ['create-overlay', async () => undefined, (host) => host.create('overlay0', 'direct', 7, toSecond)],
    [
      'delete-overlay',
      (host) => host.create('overlay0', 'direct', 7, toSecond),
      (host) => host.call('overlay.delete', { name: 'overlay0', temporary: false }),
    ],
    ['create-vnic', (host) => host.create('overlay0', 'direct', 7, toSecond), (host) => host.createVnic('vnic0', 'overlay0')],
    [
      'delete-vnic',
      async (host) => [await host.create('overlay0', 'direct', 7, toSecond), await host.createVnic('vnic0', 'overlay0')],
      (host) => host.call('vnic.delete', { name: 'vnic0', temporary: false }),
    ],
    [
      'set-linkprop',
      (host) => host.create('overlay0', 'direct', 7, toSecond),
      (host) => host.call('linkprop.set', { link: 'overlay0', properties: [{ name: 'mtu', text: '1300' }], temporary: false }),
    ],
  ])('%s leaves what was there before or what is there after it', async (_what, prepare, act) => {
    const host = await start();
    const seen = new Set<string>();
    for (const ms of [0, 0.5, 1, 1.5, 2, 3, 4, 6, Number.POSITIVE_INFINITY]) {
      await prepare(host);
      let isDone = false;
      const done = act(host)
        .catch(() => undefined)
        .finally(() => {
          isDone = true;
        });
      for (const end = performance.now() + ms; performance.now() < end && !isDone; ) await host.turns(1);
      await host.crash();
      await done;
      await host.start();
      const there = await expectWhole(host);
      const mtu = host.kernel.link('overlay0')?.mtu;
      if (mtu !== undefined)
        expect(await host.call('linkprop.list', { link: 'overlay0' })).toContainEqual(
          expect.objectContaining({ property: 'mtu', value: String(mtu) }),
        );
      seen.add(`${there} ${mtu}`);
      // It may be one that is only saved, which no list shows.
      await host.call('vnic.delete', { name: 'vnic0', temporary: false }).catch(() => undefined);
      for (const name of new Set([...filesIn(host, 'run'), ...filesIn(host, 'state')])) await host.call('overlay.delete', { name, temporary: false });
    }
    // Both were seen, or the test shows nothing.
    expect(seen.size).toBe(2);
  });
});
