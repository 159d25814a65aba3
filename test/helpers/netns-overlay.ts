// Overlays, VNICs and kernel VXLAN peers on the hosts of netns.ts, made as a user makes them; and what overlayd says of them.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Client, connect } from '../../src/core/rpc/client.ts';
import { socketPath } from '../../src/core/util/directories.ts';
import { atEnd } from './cleanup.ts';
import { DATAPATHS, type Datapath, type Host, type Namespace, waitFor } from './netns.ts';
import { type Requirements, skipUnless } from './requirements.ts';

const version: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
/** Patience where something has to happen that does not depend on us alone, ms: two cores are shared. */
export const PATIENCE_MS = 20_000;

export type Properties = Readonly<Record<string, string | number>>;

export const propertyFlags = (properties: Properties): string[] => Object.entries(properties).flatMap(([name, value]) => ['-p', `${name}=${value}`]);

/** `body` once for each driver, where this machine has what that takes: their hosts are made with twoHosts({ datapath }). */
export const onBothDatapaths =
  (requirements: Requirements) =>
  (title: string, body: (datapath: Datapath) => void): void => {
    for (const datapath of DATAPATHS)
      skipUnless({ ...requirements, root: true, [datapath === 'tap' ? 'tun' : 'vxlan']: true })(`${title} (datapath ${datapath})`, () =>
        body(datapath),
      );
  };

/** The properties, and the data path that the test of this host is about. */
export const onDatapath = ({ datapath }: Host, properties: Properties): Properties =>
  datapath === undefined ? properties : { datapath, ...properties };

export interface OverlayRequest {
  readonly name?: string;
  readonly search: string;
  readonly vnetid: number;
  readonly properties: Properties;
}

/** Runs create-overlay; gives the name. @throws with what was printed when it is refused. */
export async function createOverlay(host: Host, { name, search, vnetid, properties }: OverlayRequest): Promise<string> {
  const given = name === undefined ? [] : [name];
  const { stdout } = await host.mustOverlayadm(
    'create-overlay',
    '-e',
    'vxlan',
    '-s',
    search,
    '-v',
    String(vnetid),
    ...propertyFlags(onDatapath(host, properties)),
    ...given,
  );
  return name ?? stdout.trim();
}

/** What show-overlay says of the data path. */
export async function datapathOf(host: Host, name: string): Promise<string> {
  const { stdout } = await host.mustOverlayadm('show-overlay', '-p', '-o', 'property,value', name);
  const line = stdout.split('\n').find((text) => text.startsWith('datapath:'));
  return line?.slice('datapath:'.length) ?? stdout;
}

export interface VnicRequest {
  readonly name: string;
  readonly overlay: string;
  readonly mac: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
  /** What vnicNamespace() calls it; the host's own when not given. */
  readonly netns?: string;
}

/** Runs create-vnic and gives the VNIC its addresses; returns the namespace that it is in. */
export async function createVnic(host: Host, { name, overlay, mac, addresses, netns }: VnicRequest): Promise<Namespace> {
  const where = netns === undefined ? host : await host.vnicNamespace(netns);
  const property = netns === undefined ? [] : ['-p', `netns=${where.name}`];
  await host.mustOverlayadm('create-vnic', '-l', overlay, '-m', mac, ...property, name);
  for (const address of addresses) await addAddress(where, name, address);
  return where;
}

/** Without duplicate address detection an IPv6 address can be used at once. */
export async function addAddress(where: Namespace, link: string, address: string): Promise<void> {
  await where.must('ip', ['addr', 'add', address, 'dev', link, ...(address.includes(':') ? ['nodad'] : ['brd', '+'])]);
}

export interface PeerRequest {
  readonly name: string;
  readonly vnetid: number;
  readonly mac: string;
  readonly addresses: readonly string[];
  /** Underlay addresses. */
  readonly local: string;
  readonly remote: string;
  readonly port?: number;
}

/** A stock VXLAN device of the kernel with one remote, as most people make it. */
export async function kernelPeer(where: Namespace, { name, vnetid, mac, addresses, local, remote, port = 4789 }: PeerRequest): Promise<void> {
  const vxlan = ['type', 'vxlan', 'id', String(vnetid), 'local', local, 'remote', remote, 'dstport', String(port), 'dev', 'under0'];
  await where.must('ip', ['link', 'add', name, 'address', mac, ...vxlan]);
  await where.must('ip', ['link', 'set', name, 'up']);
  for (const address of addresses) await addAddress(where, name, address);
}

/** A file for the lookup plugin `files`; gives its path. */
export function mappingFile(host: Host, name: string, mappings: Readonly<Record<string, object>>): string {
  const path = join(host.dirs.config, name);
  writeFileSync(path, JSON.stringify(mappings, undefined, 2));
  return path;
}

/** Links a plugin of test/fixtures/plugins into the plugin directory, as `overlayadm plugins link` leaves it. */
export function linkPlugin(host: Host, folder: string): void {
  const root = resolve('test/fixtures/plugins', folder);
  const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const plugins = [{ type: 'link', name, root }];
  writeFileSync(join(host.dirs.data, 'package.json'), JSON.stringify({ private: true, oclif: { schema: 1, plugins }, dependencies: {} }));
}

/** A connection to the overlayd of this host, until it is gone or the test file ends. */
export async function control(host: Host): Promise<Client> {
  const client = await connect(socketPath(host.dirs), { version, netns: statSync(`/run/netns/${host.name}`).ino });
  atEnd(() => client.close());
  return client;
}

/** Waits for an overlayd of this host that answers and is not `before`: the keeper starts it. */
export const controlAfter = (host: Host, before: number): Promise<Client> =>
  waitFor(
    async () => {
      const pid = host.daemonPid();
      if (pid === undefined || pid === before) return undefined;
      return await control(host).catch(() => undefined);
    },
    PATIENCE_MS,
    `another overlayd after ${before}`,
  );

/** Deletes every VNIC and overlay, and ends overlayd: what is there then was left behind. */
export async function clearHost(host: Host): Promise<void> {
  await host.mustOverlayadm('show-overlay');
  const client = await control(host);
  for (const { vnic: name } of await client.call('vnic.list', { overlay: null })) await client.call('vnic.delete', { name, temporary: false });
  for (const name of await client.call('overlay.names', { saved: true })) await client.call('overlay.delete', { name, temporary: false });
  client.close();
  await host.stopDaemon();
}

export async function counters(client: Client, name: string): Promise<Readonly<Record<string, number>>> {
  const found = await client.call('overlay.counters', { name });
  return Object.fromEntries(Object.entries(found).map(([counter, value]) => [counter, Number(value)]));
}

/** What has changed in the counters, without those that have not. */
export function changes(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const changed = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)] as const);
  return Object.fromEntries(changed.filter(([, difference]) => difference !== 0));
}

/** Waits until `counter` of the overlay is at least `value`. */
export const untilCounted = (client: Client, overlay: string, counter: string, value: number): Promise<unknown> =>
  waitFor(async () => ((await counters(client, overlay))[counter] ?? 0) >= value, PATIENCE_MS, `${counter} of ${overlay} to reach ${value}`);

/** Of overlayd these are its plugin hosts, and for a moment after its start the process that lists the plugins. */
export const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
