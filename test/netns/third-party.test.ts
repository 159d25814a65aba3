// A package of somebody else, from its tests to its end: the kit, packed, installed, used between two hosts, upgraded under traffic, removed.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { EncapPlugin, IpAddress, LookupPlugin, MacAddress } from '@overlayadm/api';
import { encapTests, lookupTests } from '@overlayadm/compliance';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { readServiceUser } from '../../src/core/lookup/rights.ts';
import type { Client } from '../../src/core/rpc/client.ts';
import { type Host, type Namespace, twoHosts, waitFor } from '../helpers/netns.ts';
import { control, createVnic, PATIENCE_MS, propertyFlags } from '../helpers/netns-overlay.ts';
import { type SequenceEnd, startSequence } from '../helpers/netns-sequence.ts';
import { ping } from '../helpers/netns-traffic.ts';
import { copyPackage, outsideCommands, pack, pluginsOf, withDevelopersModules } from '../helpers/outside-package.ts';
import type { Result } from '../helpers/process.ts';
import { skipUnless } from '../helpers/requirements.ts';
import { temporaryFolder } from '../helpers/temporary.ts';

const PACKAGE = '@example/overlayadm-parcel';
const base = temporaryFolder();
chmodSync(base, 0o755);

const version = (number: string) => (text: string) => text.replace('"version": "1.0.0"', `"version": "${number}"`);
/** Version 2 knows where all others are: by one more property, or by a line of the book that the first would not take. */
const elsewhere = (text: string): string =>
  text
    .replace(
      'const properties = defineProperties([',
      `$&\n  { name: 'elsewhere', type: 'ip', access: 'rw', required: false, summary: 'where all others are', live: true },`,
    )
    .replace('this.#pages.get(to);', `this.#pages.get(to) ?? this.#pages.get('*') ?? (this.#values.elsewhere && { ip: this.#values.elsewhere });`);
const stars = (text: string): string =>
  text.replace('parseMac(mac) === undefined', `(mac !== '*' && $&)`).replace('set(parseMac(mac),', 'set(parseMac(mac) ?? mac,');
const brokenStart = (text: string): string => text.replace('async start(signal) {', `$& throw new Error('the bindery is closed');`);

const first = copyPackage('parcel', join(base, 'parcel'));
const developed = withDevelopersModules(copyPackage('parcel', join(base, 'developed')));
const second = copyPackage('parcel', join(base, 'parcel-2'), { 'package.json': version('2.0.0'), 'lib/book.js': elsewhere, 'lib/pages.js': stars });
const third = copyPackage('parcel', join(base, 'parcel-3'), {
  'package.json': version('3.0.0'),
  'lib/book.js': (text) => brokenStart(elsewhere(text)),
  'lib/pages.js': stars,
});

const moduleOf = async (name: string): Promise<unknown> => (await import(pathToFileURL(join(developed, 'lib', name)).href)).default;
const parcel = (await moduleOf('parcel.js')) as EncapPlugin;
const book = (await moduleOf('book.js')) as LookupPlugin;
const ip = (text: string) => text as IpAddress;
const mac = (text: string) => text as MacAddress;

describe('a package of somebody else passes the kit', () => {
  encapTests({ describe, it, expect }, parcel, {
    values: { listen_ip: '192.0.2.1', listen_port: 7799 },
    headers: [
      { vnetid: 0x123456, header: '50430100 00123456' },
      { vnetid: 0, header: '50430100 00000000' },
    ],
    received: [
      { packet: '50430100 00123456', vnetid: 0x123456 },
      { packet: '504301ff ff000001', vnetid: 1 },
      { packet: '51430100 00123456', dropped: 'parcel.magic' },
      { packet: '50430200 00123456', dropped: 'parcel.version' },
      { packet: '50430100 001234', dropped: 'too-short' },
    ],
  });
  lookupTests(
    { describe, it, expect },
    {
      plugin: book,
      values: { pages: '/etc/pages', port: 7799 },
      files: { pages: '02:00:00:00:00:02 192.0.2.2 10.0.0.2 fe80::2\n02:00:00:00:00:03 192.0.2.3\n' },
      serves: [['ip', 'port'], ['ip'], ['port']],
      answers: {
        mode: 'dynamic',
        found: [
          { to: mac('02:00:00:00:00:02'), destination: { ip: ip('192.0.2.2'), port: 7799 } },
          { to: mac('02:00:00:00:00:03'), destination: { ip: ip('192.0.2.3'), port: 7799 } },
        ],
        dropped: [mac('02:00:00:00:00:09')],
        resolved: [
          { ip: ip('10.0.0.2'), mac: mac('02:00:00:00:00:02') },
          { ip: ip('fe80::2'), mac: mac('02:00:00:00:00:02') },
          { ip: ip('10.0.0.3'), mac: undefined },
        ],
      },
      badStarts: [{ name: 'no addresses', files: { pages: 'nobody nowhere\n' } }],
    },
  );
});

const VNETID = 0x1267;
const OURS = { mac: '02:08:20:00:00:01', ip: '10.47.0.1' };
const PEER = { mac: '02:08:20:00:00:02', ip: '10.47.0.2' };
/** In the second edition of our book. */
const LATER = { mac: '02:08:20:00:00:03', ip: '10.47.0.3' };
/** In no book. */
const UNKNOWN = { mac: '02:08:20:00:00:04', ip: '10.47.0.4' };
const PER_SECOND = 500;

skipUnless({ root: true, tun: true, commands: ['ping', 'python3', 'tcpdump', 'npm'] })('a package of somebody else between two hosts', () => {
  let ours: Host;
  let peer: Host;
  let our: (...words: string[]) => Promise<Result>;
  let theirs: (...words: string[]) => Promise<Result>;
  let client: Client;
  let blue: Namespace;
  let green: Namespace;
  let tarballs: readonly string[];

  const tarball = (number: number): string => tarballs[number - 1] as string;
  const pages = (host: Host, name: string, lines: readonly string[]): string => {
    const path = join(host.dirs.config, name);
    writeFileSync(path, lines.join('\n'));
    return path;
  };
  const health = async () => (await client.call('overlay.health', { name: 'overlay0' })).status;
  const logOf = (host: Host): string => readFileSync(join(host.dirs.run, 'overlayd.log'), 'utf8');
  /** Answers are forgotten, and the plugin is asked again. */
  const reaches = async ({ ip: to }: { ip: string }): Promise<boolean> => {
    await ours.mustOverlayadm('modify-overlay', '-f', 'overlay0');
    await blue.must('ip', ['neigh', 'flush', 'dev', 'vnic0']);
    return (await ping(blue, to, { count: 1, waitSeconds: 2 })).received === 1;
  };
  const neighbour = (to: { ip: string; mac: string }) =>
    blue.must('ip', ['neigh', 'replace', to.ip, 'lladdr', to.mac, 'nud', 'permanent', 'dev', 'vnic0']);

  async function overlayOn(host: Host, end: { mac: string; ip: string }, book: string, name: string): Promise<Namespace> {
    const properties = propertyFlags({ 'parcel/listen_ip': host.v4, 'book/pages': book });
    await host.mustOverlayadm('create-overlay', '-e', 'parcel', '-s', 'book', '-v', String(VNETID), ...properties, 'overlay0');
    return createVnic(host, { name: 'vnic0', overlay: 'overlay0', mac: end.mac, addresses: [`${end.ip}/24`], netns: name });
  }

  beforeAll(async () => {
    [ours, peer] = await twoHosts({ v6: false });
    our = outsideCommands(ours);
    theirs = outsideCommands(peer);
    tarballs = await pack(base, first, second, third);
  });

  test('is installed from a tarball without a registry and linked from a folder, and can be used at once', async () => {
    const brings = `${PACKAGE} 1.0.0: brings parcel (encap), book (lookup)\n`;
    const results = await Promise.all([our('plugins', 'install', `file:${tarball(1)}`), theirs('plugins', 'link', first)]);
    for (const { status, stdout, stderr } of results) expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: brings, stderr: '' });
    const { rows, problems } = await pluginsOf(ours);
    expect(problems).toEqual([]);
    expect(rows.get('lookup book')).toMatchObject({
      package: PACKAGE,
      version: '1.0.0',
      api: 1,
      properties: ['book/pages', 'book/port'],
      uid: readServiceUser().uid,
      problem: null,
    });
    expect(rows.get('encap parcel')?.properties).toEqual(['parcel/listen_ip', 'parcel/listen_port']);
  });

  test('carries frames in its own encapsulation, and answers for addresses', async () => {
    const line = ({ mac, ip }: { mac: string; ip: string }, host: Host): string => `${mac} ${host.v4} ${ip}`;
    blue = await overlayOn(ours, OURS, pages(ours, 'first', [line(PEER, peer)]), 'blue');
    green = await overlayOn(peer, PEER, pages(peer, 'book', [line(OURS, ours)]), 'green');
    for (const { mac, ip } of [LATER, UNKNOWN]) {
      await peer.mustOverlayadm('create-vnic', '-l', 'overlay0', '-m', mac, '-p', `netns=${green.name}`, `vnic${mac.at(-1)}`);
      await green.must('ip', ['addr', 'add', `${ip}/24`, 'dev', `vnic${mac.at(-1)}`]);
    }
    client = await control(ours);
    const capture = ours.start('tcpdump', ['-n', '-x', '-l', '--immediate-mode', '-c', '2', '-i', 'under0', 'udp dst port 7799']);
    await capture.printed('listening on');
    expect(await ping(blue, PEER.ip)).toEqual({ sent: 2, received: 2 });
    const { stdout } = await capture.end();
    const packets = stdout.split(/^\S.*$/m).map((dump) => dump.replaceAll(/0x[0-9a-f]{4}:|\s/g, ''));
    // Behind 20 bytes of IPv4 and 8 of UDP.
    expect(packets.filter((hex) => hex !== '').map((hex) => hex.slice(56, 72))).toEqual(['5043010000001267', '5043010000001267']);
    expect([await health(), await reaches(LATER)]).toEqual(['ONLINE', false]);
  });

  test('gets another file by set-linkprop, and what it refuses changes nothing', async () => {
    const again = pages(
      ours,
      'second',
      [PEER, LATER].map(({ mac, ip }) => `${mac} ${peer.v4} ${ip}`),
    );
    expect(await our('set-linkprop', '-p', `book/pages=${again}`, 'overlay0')).toMatchObject({ status: 0, stderr: '' });
    expect(await reaches(LATER)).toBe(true);
    const refused = await our('set-linkprop', '-p', `book/pages=${pages(ours, 'bad', ['no address book'])}`, 'overlay0');
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("'book/pages' on 'overlay0': not a MAC and addresses: no address book"),
    });
    expect([await health(), await reaches(LATER)]).toEqual(['ONLINE', true]);
    const { stdout } = await our('show-linkprop', '-c', '-o', 'value', '-p', 'book/pages', 'overlay0');
    expect(stdout.trim()).toBe(again);
  });

  /** Frames flow from before `act` begins until it has ended; gives what it gave. Nothing may be lost, twice or out of order. */
  async function underTraffic<T>(act: () => Promise<T>): Promise<T> {
    const from: SequenceEnd = { at: blue, link: 'vnic0', mac: OURS.mac };
    const to: SequenceEnd = { at: green, link: 'vnic0', mac: PEER.mac };
    const flow = () => startSequence(from, to, PER_SECOND, PER_SECOND);
    let running = await flow();
    await running.begun;
    let isOver = false;
    const seen = new Set<string>();
    const acting = act().finally(() => {
      isOver = true;
    });
    for (;;) {
      const isLast = isOver;
      const { lost, twice, late } = await running.result;
      expect({ lost, twice, late }).toEqual({ lost: 0, twice: 0, late: 0 });
      seen.add(await health());
      if (isLast || isOver) break;
      running = await flow();
    }
    expect([...seen]).toEqual(['ONLINE']);
    return acting;
  }

  test('is upgraded under traffic without a loss, and the new code answers', async () => {
    await neighbour(UNKNOWN);
    expect(await reaches(UNKNOWN)).toBe(false);
    const before = (await pluginsOf(ours)).rows.get('lookup book')?.pid;
    await ping(blue, PEER.ip);
    const upgraded = await underTraffic(() => our('plugins', 'install', tarball(2)));
    expect(upgraded).toMatchObject({
      status: 0,
      stdout: `${PACKAGE} 2.0.0: brings parcel (encap), book (lookup)\n${PACKAGE}: overlayd uses the new code\n`,
      stderr: '',
    });
    const { rows } = await pluginsOf(ours);
    expect(rows.get('lookup book')).toMatchObject({ version: '2.0.0', problem: null, properties: ['book/elsewhere', 'book/pages', 'book/port'] });
    expect(rows.get('lookup book')?.pid).not.toBe(before);
    writeFileSync(join(ours.dirs.config, 'second'), `${PEER.mac} ${peer.v4} ${PEER.ip}\n* ${peer.v4}\n`);
    await waitFor(() => reaches(UNKNOWN), PATIENCE_MS, 'an answer of the new code');
    expect(await health()).toBe('ONLINE');
    const properties = propertyFlags({ 'vxlan/listen_ip': ours.v4, 'book/pages': join(ours.dirs.config, 'first'), 'book/elsewhere': peer.v4 });
    await ours.mustOverlayadm('create-overlay', '-e', 'vxlan', '-s', 'book', '-v', '1', ...properties, 'overlay9');
    await ours.mustOverlayadm('delete-overlay', 'overlay9');
  });

  test('stays as it is when the next version does not come up, and everybody says why', async () => {
    await ping(blue, PEER.ip);
    const reason = 'version 2.0.0 goes on, 3.0.0 did not come up: the bindery is closed';
    const { status, stderr } = await underTraffic(() => our('plugins', 'install', tarball(3)));
    expect([status, stderr.split('\n')[0]]).toEqual([1, `overlayadm: ${PACKAGE}: the new code did not come up, the old one goes on (${reason})`]);
    const { rows, problems } = await pluginsOf(ours);
    expect([rows.get('lookup book')?.problem, problems]).toEqual([reason, [`plugin ${PACKAGE}: ${reason}`]]);
    expect(logOf(ours)).toContain(reason);
    // By the code of version 2.
    expect([await health(), await reaches(UNKNOWN)]).toEqual(['ONLINE', true]);
  });

  test('linked: the same command takes what was changed, and keeps the old code when that cannot be imported', async () => {
    const file = join(first, 'lib/book.js');
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, 'this is no JavaScript');
    const broken = await theirs('plugins', 'link', first);
    expect([broken.status, broken.stderr.split('\n')[0]]).toEqual([1, expect.stringMatching(/the old one goes on \(.*Unexpected identifier/)]);
    expect((await ping(blue, PEER.ip)).received).toBe(2);
    writeFileSync(file, elsewhere(good));
    const { status, stdout } = await theirs('plugins', 'link', first);
    expect([status, stdout.split('\n')[1]]).toEqual([0, `${PACKAGE}: overlayd uses the new code`]);
    expect((await pluginsOf(peer)).rows.get('lookup book')).toMatchObject({ problem: null, properties: expect.arrayContaining(['book/elsewhere']) });
  });

  test('is uninstalled while it is in use: what runs goes on until it ends, then it is gone', async () => {
    expect(await our('plugins', 'uninstall', PACKAGE)).toMatchObject({
      status: 0,
      stderr: `overlayadm: warning: ${PACKAGE}: still in use; what runs goes on until its overlays are deleted\n`,
    });
    expect(existsSync(join(ours.dirs.data, 'node_modules', PACKAGE))).toBe(false);
    expect((await pluginsOf(ours)).rows.get('lookup book')?.problem).toContain('not installed any more');
    expect([await health(), await reaches(UNKNOWN)]).toEqual(['ONLINE', true]);
    for (const words of [
      ['delete-vnic', 'vnic0'],
      ['delete-overlay', 'overlay0'],
    ])
      await ours.mustOverlayadm(...words);
    await waitFor(async () => !(await pluginsOf(ours)).rows.has('lookup book'), PATIENCE_MS, 'the plugin to be gone');
    const properties = propertyFlags({ 'parcel/listen_ip': ours.v4, 'book/pages': join(ours.dirs.config, 'second') });
    const { status, stdout } = await our('create-overlay', '--json', '-e', 'parcel', '-s', 'book', '-v', '1', ...properties);
    expect([status, JSON.parse(stdout).error.code]).toEqual([1, 'PLUGIN_UNKNOWN']);
  });
});
