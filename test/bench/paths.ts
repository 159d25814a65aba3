// The ways between two namespaces that are compared: a hand-made kernel VXLAN device, and overlays of ours on both data paths. Same underlay, same MTU, a macvlan on each.
import { type Datapath, type Host, type Namespace, namespace } from '../helpers/netns.ts';
import { addAddress, createOverlay, createVnic, mappingFile } from '../helpers/netns-overlay.ts';

/** The default of an overlay; the kernel device gets it too. */
const MTU = 1400;
/** One for each: a port is served by one data path. */
const PORTS = { kernel: 4789, tap: 4791, hand: 4790 } as const;
const VNETID = 100;

export interface Path {
  readonly name: string;
  readonly from: Namespace;
  readonly to: Namespace;
  /** Address at `to`. */
  readonly address: string;
  /** Daemons that carry the frames: at `from`, at `to`. Empty when the kernel does. */
  readonly daemons: readonly number[];
}

export type Two<T> = readonly [T, T];

/** As a person makes by hand what the kernel data path makes: no learning, a row for the peer, a macvlan in a namespace. */
async function handMadeEnd(host: Host, peer: Host, number: number): Promise<Namespace> {
  const inside = await namespace(`k${number}`);
  const mac = (end: number): string => `02:00:00:00:01:0${end}`;
  const vxlan = ['type', 'vxlan', 'id', String(VNETID), 'local', host.v4, 'dstport', String(PORTS.hand), 'nolearning'];
  await host.must('ip', ['link', 'add', 'vx0', 'mtu', String(MTU), ...vxlan]);
  await host.must('ip', ['link', 'set', 'vx0', 'up']);
  await host.must('bridge', ['fdb', 'add', mac(3 - number), 'dev', 'vx0', 'dst', peer.v4, 'self', 'permanent']);
  const macvlan = ['link', 'vx0', 'name', 'vnic9', 'address', mac(number), 'mtu', String(MTU), 'netns', inside.name, 'type', 'macvlan'];
  await host.must('ip', ['link', 'add', ...macvlan, 'mode', 'bridge']);
  await inside.must('ip', ['link', 'set', 'vnic9', 'up']);
  await addAddress(inside, 'vnic9', `10.1.0.${number}/24`);
  // Nobody answers ARP for the other end: there is no row for broadcasts.
  await inside.must('ip', ['neigh', 'add', `10.1.0.${3 - number}`, 'lladdr', mac(3 - number), 'dev', 'vnic9', 'nud', 'permanent']);
  return inside;
}

export const HAND_MADE = 'hand-made kernel';

export async function handMadePath([a, b]: Two<Host>): Promise<Path> {
  return { name: HAND_MADE, from: await handMadeEnd(a, b, 1), to: await handMadeEnd(b, a, 2), address: '10.1.0.2', daemons: [] };
}

/** What tells the two overlays of a host apart. */
const OURS = {
  kernel: { subnet: 2, vnic: 'vnic0' },
  tap: { subnet: 3, vnic: 'vnic1' },
} as const;

/** Looked up with `files`, so that every frame goes through the target cache. */
async function overlayEnd(host: Host, peer: Host, number: number, datapath: Datapath): Promise<Namespace> {
  const other = 3 - number;
  const { subnet, vnic } = OURS[datapath];
  const port = PORTS[datapath];
  const macOf = (end: number): string => `02:00:00:00:0${subnet}:0${end}`;
  const config = mappingFile(host, `${datapath}.json`, { [macOf(other)]: { ip: peer.v4, port, arp: `10.${subnet}.0.${other}` } });
  const properties = { datapath, 'vxlan/listen_ip': host.v4, 'vxlan/listen_port': port, 'files/config': config, mtu: MTU };
  const overlay = await createOverlay(host, { search: 'files', vnetid: VNETID, properties });
  const addresses = [`10.${subnet}.0.${number}/24`];
  return createVnic(host, { name: vnic, overlay, mac: macOf(number), addresses, netns: `${datapath}${number}` });
}

/** The daemons have to run. */
export async function overlayPath([a, b]: Two<Host>, datapath: Datapath): Promise<Path> {
  const from = await overlayEnd(a, b, 1, datapath);
  const to = await overlayEnd(b, a, 2, datapath);
  return { name: `overlayadm ${datapath}`, from, to, address: `10.${OURS[datapath].subnet}.0.2`, daemons: [a, b].map(daemonOf) };
}

/** @throws Error when it does not run. */
export function daemonOf(host: Host): number {
  const pid = host.daemonPid();
  if (pid === undefined) throw new Error(`${host.name}: overlayd does not run`);
  return pid;
}
