// What every link of an overlay has, TAP or vxlan: it is no interface of the host, and only one with our mark is touched.
import { constants } from 'node:os';
import { OverlayError } from '@overlayadm/api';
import { refusedErrno } from './errors.ts';
import { setLink } from './links.ts';
import type { NetlinkSocket } from './netlink/socket.ts';
import { isolateInterface } from './sysctl.ts';
import type { LinkInfo } from './types.ts';

/** The name of an object for an error message. */
const at = (name: string, netns: string | undefined): string => (netns === undefined ? name : `${name} in network namespace ${netns}`);

export const notFound = (name: string, netns?: string): OverlayError => new OverlayError('LINK_NOT_FOUND', `${at(name, netns)}: does not exist`);

export const notOurs = (name: string, netns: string | undefined, link: LinkInfo): OverlayError =>
  new OverlayError('LINK_NOT_OURS', `${at(name, netns)}: was not made by this overlayd (${link.alias ? `alias ${link.alias}` : 'it has no mark'})`, {
    details: { alias: link.alias ?? null, kind: link.kind ?? null },
    advice: 'It is left alone; choose another name.',
  });

/** No IPv6, no packets from addresses that cannot be there. Also after a change of the MTU, see setMtu(). @throws OverlayError SYSCTL_REFUSED */
export function hideFromHost(socket: NetlinkSocket, link: Pick<LinkInfo, 'name' | 'index'>): void {
  try {
    setLink(socket, link, { ip6AddrGenNone: true });
  } catch (error) {
    // The host has no IPv6, or the MTU is too small for it: as good.
    if (refusedErrno(error) !== constants.errno.EAFNOSUPPORT) throw error;
  }
  isolateInterface(link.name);
}
