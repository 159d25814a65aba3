// The ways between two namespaces that are compared, each with two hosts of its own: a kernel VXLAN made by hand, and overlays of ours. Same underlay, same MTU.
import { type Datapath, type Host, type Namespace, namespace, twoHosts } from '../helpers/netns.ts';
import { addAddress, createOverlay, createVnic, mappingFile } from '../helpers/netns-overlay.ts';

/** The default of an overlay; the one made by hand gets it too. */
const MTU = 1400;
const PORT = 4789;
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

/** What the others are compared to. */
export const HAND_MADE = 'kernel';

const macOf = (number: number): string => `02:00:00:00:02:0${number}`;
const addressOf = (number: number): string => `10.2.0.${number}`;

/** The topology of an overlay on a kernel link: vxlan without learning, a row to the peer, a macvlan on it. ARP is sent to the peer. */
async function handMadeEnd(host: Host, peer: Host, number: number): Promise<Namespace> {
  const inside = await namespace(`k${number}`);
  const vxlan = ['type', 'vxlan', 'id', String(VNETID), 'local', host.v4, 'dstport', String(PORT), 'nolearning'];
  await host.must('ip', ['link', 'add', 'vx0', 'mtu', String(MTU), ...vxlan]);
  await host.must('bridge', ['fdb', 'append', '00:00:00:00:00:00', 'dev', 'vx0', 'dst', peer.v4]);
  await host.must('bridge', ['fdb', 'add', macOf(3 - number), 'dev', 'vx0', 'dst', peer.v4, 'self', 'permanent']);
  await host.must('ip', ['link', 'set', 'vx0', 'up']);
  const macvlan = ['link', 'vx0', 'address', macOf(number), 'mtu', String(MTU), 'netns', inside.name, 'type', 'macvlan', 'mode', 'bridge'];
  await host.must('ip', ['link', 'add', 'name', 'vnic0', ...macvlan]);
  await inside.must('ip', ['link', 'set', 'vnic0', 'up']);
  await addAddress(inside, 'vnic0', `${addressOf(number)}/24`);
  return inside;
}

/** In namespaces without any table of nftables. */
export async function handMadePath(): Promise<Path> {
  const [a, b] = await twoHosts({ v6: false });
  return { name: HAND_MADE, from: await handMadeEnd(a, b, 1), to: await handMadeEnd(b, a, 2), address: addressOf(2), daemons: [] };
}

/** Looked up with `files`: every frame goes by a target of its own. */
async function overlayEnd(host: Host, peer: Host, number: number): Promise<Namespace> {
  const other = 3 - number;
  const config = mappingFile(host, 'bench.json', { [macOf(other)]: { ip: peer.v4, port: PORT, arp: addressOf(other) } });
  const properties = { 'vxlan/listen_ip': host.v4, 'files/config': config, mtu: MTU };
  const overlay = await createOverlay(host, { search: 'files', vnetid: VNETID, properties });
  return createVnic(host, { name: 'vnic0', overlay, mac: macOf(number), addresses: [`${addressOf(number)}/24`], netns: `o${number}` });
}

export async function overlayPath(datapath: Datapath): Promise<Path> {
  const [a, b] = await twoHosts({ v6: false, datapath });
  for (const host of [a, b]) await host.startDaemon();
  const from = await overlayEnd(a, b, 1);
  const to = await overlayEnd(b, a, 2);
  return { name: `overlayadm ${datapath}`, from, to, address: addressOf(2), daemons: [a, b].map(daemonOf) };
}

/** @throws Error when it does not run. */
export function daemonOf(host: Host): number {
  const pid = host.daemonPid();
  if (pid === undefined) throw new Error(`${host.name}: overlayd does not run`);
  return pid;
}
