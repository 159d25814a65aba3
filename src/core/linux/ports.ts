// Who holds a UDP port, for a message that a person can act upon: a kernel vxlan link, or a process found through /proc.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { type IpAddress, type IpFamily, ipFamily, ipFromBytes, ipScope } from '@overlayadm/api';
import { MAX_PROCESS_NAME_CHARACTERS, MAX_SCANNED_DESCRIPTORS, MAX_SCANNED_PROCESSES } from '../util/limits.ts';
import { host } from './netlink/message.ts';
import type { LinkInfo } from './types.ts';

export interface UdpBinding {
  readonly ip: IpAddress;
  readonly port: number;
  readonly inode: string;
}

/** The words of /proc/net/udp are 32 bits of network order, printed as numbers of the machine (proc_pid_net(5)). */
function addressOf(hex: string): IpAddress | undefined {
  const words = hex.match(/.{8}/g) ?? [];
  if (words.length !== 1 && words.length !== 4) return undefined;
  return ipFromBytes(Buffer.concat(words.map((word) => host.u32(Number.parseInt(word, 16)))));
}

/** Reads /proc/net/udp or udp6; lines of another form are left out. */
export function parseProcNetUdp(text: string): UdpBinding[] {
  const bindings: UdpBinding[] = [];
  for (const line of text.split('\n')) {
    const [, local, , , , , , , , inode] = line.trim().split(/\s+/);
    const [, address, port] = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/.exec(local ?? '') ?? [];
    const ip = address === undefined ? undefined : addressOf(address);
    if (ip !== undefined && port !== undefined && inode !== undefined && /^[0-9]+$/.test(inode)) {
      bindings.push({ ip, port: Number.parseInt(port, 16), inode });
    }
  }
  return bindings;
}

/** Can the one keep the other from being bound, at the same port? The unspecified address takes all of them. */
const overlaps = (a: IpAddress, b: IpAddress): boolean => a === b || ipScope(a) === 'unspecified' || ipScope(b) === 'unspecified';

/** A vxlan link holds its port on all addresses of a family, while it is up; one for all VNIs holds both families. */
export function vxlanOnPort(links: readonly LinkInfo[], family: IpFamily, port: number): string | undefined {
  const holds = (link: LinkInfo): boolean => {
    if (link.vxlan === undefined || link.vxlan.port !== port || !link.up) return false;
    return link.vxlan.external || link.vxlan.local === undefined || ipFamily(link.vxlan.local) === family;
  };
  const link = links.find(holds);
  if (link?.vxlan === undefined) return undefined;
  return `kernel vxlan link ${link.name} (${link.vxlan.external ? 'all vnis' : `vni ${link.vxlan.vnetid}`})`;
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '');
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch(() => []);
}

async function holdsSocket(pid: string, wanted: ReadonlySet<string>): Promise<boolean> {
  for (const fd of (await namesIn(`/proc/${pid}/fd`)).slice(0, MAX_SCANNED_DESCRIPTORS)) {
    if (wanted.has(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''))) return true;
  }
  return false;
}

/** From the command line, because the thread that node calls `MainThread` says nothing; other people's text, so only what can be printed. */
async function nameOf(pid: string): Promise<string> {
  const [program = ''] = (await textOf(`/proc/${pid}/cmdline`)).split('\0');
  const name = basename(program) || (await textOf(`/proc/${pid}/comm`)).trim() || '?';
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_PROCESS_NAME_CHARACTERS);
}

async function processHolding(inodes: readonly string[]): Promise<string | undefined> {
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  const pids = (await namesIn('/proc')).filter((name) => /^[0-9]+$/.test(name));
  for (const pid of pids.slice(0, MAX_SCANNED_PROCESSES)) {
    if (await holdsSocket(pid, wanted)) return `process ${await nameOf(pid)} (pid ${pid})`;
  }
  return undefined;
}

/** See KernelNetwork.whoHasUdpPort(); `links` are those of our namespace. */
export async function holderOfUdpPort(links: readonly LinkInfo[], family: IpFamily, address: IpAddress, port: number): Promise<string | undefined> {
  const kernel = vxlanOnPort(links, family, port);
  if (kernel !== undefined) return kernel;
  // A socket on `::` may serve IPv4 as well (no IPV6_V6ONLY), and v4-mapped addresses stand in udp6.
  const tables = family === 4 ? ['/proc/net/udp', '/proc/net/udp6'] : ['/proc/net/udp6'];
  for (const table of tables) {
    const bindings = parseProcNetUdp(await textOf(table)).filter((row) => row.port === port && overlaps(row.ip, address));
    const holder = bindings.length === 0 ? undefined : await processHolding(bindings.map((row) => row.inode));
    if (holder !== undefined) return holder;
  }
  return undefined;
}
