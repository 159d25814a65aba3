// The ways between two namespaces that are compared: a kernel VXLAN device, and an overlay of ours. Same underlay, same MTU.
import { type Host, type Namespace, namespace } from '../helpers/netns.ts';
import { addAddress, createOverlay, createVnic, kernelPeer, mappingFile } from '../helpers/netns-overlay.ts';

/** The default of an overlay; the kernel device gets it too. */
const MTU = 1400;
/** The well-known one is ours. */
const KERNEL_PORT = 4790;
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

type Two<T> = readonly [T, T];

async function kernelEnd(host: Host, peer: Host, number: number): Promise<Namespace> {
  const inside = await namespace(`k${number}`);
  const link = { name: 'vx0', vnetid: VNETID, mac: `02:00:00:00:01:0${number}`, addresses: [], port: KERNEL_PORT };
  await kernelPeer(host, { ...link, local: host.v4, remote: peer.v4 });
  await host.must('ip', ['link', 'set', 'vx0', 'netns', inside.name]);
  await inside.must('ip', ['link', 'set', 'vx0', 'mtu', String(MTU), 'up']);
  await addAddress(inside, 'vx0', `10.1.0.${number}/24`);
  return inside;
}

export async function kernelPath([a, b]: Two<Host>): Promise<Path> {
  return { name: 'kernel', from: await kernelEnd(a, b, 1), to: await kernelEnd(b, a, 2), address: '10.1.0.2', daemons: [] };
}

const macOf = (number: number): string => `02:00:00:00:02:0${number}`;

/** Looked up with `files`, so that every frame goes through the target cache. */
async function overlayEnd(host: Host, peer: Host, number: number): Promise<Namespace> {
  const other = 3 - number;
  const config = mappingFile(host, 'bench.json', { [macOf(other)]: { ip: peer.v4, port: 4789, arp: `10.2.0.${other}` } });
  const properties = { 'vxlan/listen_ip': host.v4, 'files/config': config, mtu: MTU };
  const overlay = await createOverlay(host, { search: 'files', vnetid: VNETID, properties });
  return createVnic(host, { name: 'vnic0', overlay, mac: macOf(number), addresses: [`10.2.0.${number}/24`], netns: `o${number}` });
}

/** The daemons have to run. */
export async function overlayPath([a, b]: Two<Host>): Promise<Path> {
  const from = await overlayEnd(a, b, 1);
  const to = await overlayEnd(b, a, 2);
  return { name: 'overlayadm', from, to, address: '10.2.0.2', daemons: [a, b].map(daemonOf) };
}

/** @throws Error when it does not run. */
export function daemonOf(host: Host): number {
  const pid = host.daemonPid();
  if (pid === undefined) throw new Error(`${host.name}: overlayd does not run`);
  return pid;
}
