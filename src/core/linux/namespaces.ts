// Network namespaces: by the names that `ip netns` gives them, and those that only processes hold.
import { closeSync, openSync, readdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { OverlayError } from '@overlayadm/api';
import { MAX_SCANNED_NAMESPACES, MAX_SCANNED_PROCESSES } from '../util/limits.ts';
import { errnoOf, kernelRefused } from './errors.ts';
import { host } from './netlink/message.ts';
import { NETNSA, NETNSA_NSID_NOT_ASSIGNED, RTGEN_BYTES, RTM, rtgenmsg } from './netlink/rtnetlink.ts';
import { NETLINK, type NetlinkIo, NetlinkSocket } from './netlink/socket.ts';

/** Where ip-netns(8) keeps names. */
const NAMES = '/run/netns';
const OWN = '/proc/self/ns/net';
const NAME = /^[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*$/;

/** @throws OverlayError NETNS_NAME, so that no text can lead out of the folder. */
export function namespacePath(name: string): string {
  if (!NAME.test(name)) throw new OverlayError('NETNS_NAME', `${name}: is not a name of a network namespace`);
  return `${NAMES}/${name}`;
}

const missing = (name: string, cause: unknown): OverlayError =>
  new OverlayError('NETNS_NOT_FOUND', `${name}: there is no network namespace of this name (${NAMES}/${name})`, {
    advice: `Make it with "ip netns add ${name}".`,
    cause,
  });

function namespaceError(name: string, error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  // EINVAL: setns(2) on a file that is no namespace, such as the rest of a name whose mount has gone.
  if (errno === constants.errno.ENOENT || errno === constants.errno.EINVAL) return missing(name, error);
  return kernelRefused(`network namespace ${name}`, 'be entered', errno, error);
}

/** A route socket in that namespace, or in our own. The caller closes it. */
export function openRouteSocket(io: NetlinkIo, netns?: string): NetlinkSocket {
  const path = netns === undefined ? undefined : namespacePath(netns);
  try {
    return new NetlinkSocket(io, { protocol: NETLINK.route, ...(path === undefined ? {} : { namespace: path }) });
  } catch (error) {
    if (netns !== undefined) throw namespaceError(netns, error);
    throw kernelRefused('netlink', 'be opened', errnoOf(error) ?? 0, error);
  }
}

/** Runs `use` with a descriptor of the named namespace. */
export function withNamespaceFd<T>(name: string, use: (fd: number) => T): T {
  const path = namespacePath(name);
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw namespaceError(name, error);
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

export const ownNamespaceId = (): number => statSync(OWN).ino;

/**
 * The inode of a namespace lives as long as a name is mounted on it, and its change time is the moment when it was made (fs/nsfs.c);
 * the number alone is given to a later namespace again. @throws OverlayError NETNS_NAME
 */
export function namespaceId(name: string): string | undefined {
  const path = namespacePath(name);
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  // The file stays when the mount on it has gone; it is then one of another file system.
  if (found === undefined || found.dev !== statSync(OWN, { bigint: true }).dev) return undefined;
  return `${found.ino}:${found.ctimeNs}`;
}

export interface OtherNamespace {
  /** For people: its name, or `pid N` of the first process found in it. */
  readonly label: string;
  readonly path: string;
}

function inodeAt(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    // The name was removed, or the process has ended, meanwhile.
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** All namespaces but our own that have a name or a process, each once; at most MAX_SCANNED_NAMESPACES. */
export function otherNamespaces(): OtherNamespace[] {
  const seen = new Set<number | undefined>([undefined, ownNamespaceId()]);
  const found: OtherNamespace[] = [];
  const pids = namesIn('/proc').filter((name) => /^[0-9]+$/.test(name));
  const candidates = [
    ...namesIn(NAMES).map((name) => ({ label: name, path: `${NAMES}/${name}` })),
    ...pids.slice(0, MAX_SCANNED_PROCESSES).map((pid) => ({ label: `pid ${pid}`, path: `/proc/${pid}/ns/net` })),
  ];
  for (const candidate of candidates) {
    const inode = inodeAt(candidate.path);
    if (seen.has(inode)) continue;
    seen.add(inode);
    found.push(candidate);
    if (found.length === MAX_SCANNED_NAMESPACES) break;
  }
  return found;
}

/** The number that the namespace of `socket` has for ours: what IFLA_LINK_NETNSID there says of links that stand on ours. */
export function ourIdIn(socket: NetlinkSocket): number | undefined {
  const fd = openSync(OWN, 'r');
  try {
    const purpose = { subject: 'network namespace', action: 'be identified' };
    const answers = socket.request(purpose, RTM.getNsid, 0, rtgenmsg(), host.attribute(NETNSA.fd, host.u32(fd)));
    const answer = answers.find((message) => message.type === RTM.newNsid);
    const id = host.readI32(host.readAttributes(answer?.body, RTGEN_BYTES).get(NETNSA.nsid));
    return id === NETNSA_NSID_NOT_ASSIGNED ? undefined : id;
  } finally {
    closeSync(fd);
  }
}
