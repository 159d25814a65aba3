// What the kernel means when it refuses a vxlan link, and how a link that is there differs from the one that is wanted.
import { constants } from 'node:os';
import { type IpAddress, ipFamily, OverlayError } from '@overlayadm/api';
import { refusedErrno } from './errors.ts';
import type { LinkInfo, VxlanSpec } from './types.ts';

const sharesVnetid = ({ vxlan }: LinkInfo, { vnetid, port, listenIp }: VxlanSpec): boolean =>
  vxlan !== undefined && vxlan.vnetid === vnetid && vxlan.port === port && (vxlan.family ?? ipFamily(listenIp)) === ipFamily(listenIp);

function vnetidInUse(spec: VxlanSpec, links: readonly LinkInfo[], cause: unknown): OverlayError {
  const { name, vnetid, port } = spec;
  const other = links.find((link) => sharesVnetid(link, spec));
  return new OverlayError(
    'VNETID_IN_USE',
    `${name}: cannot be made, the kernel vxlan link ${other?.name ?? '?'} has vnetid ${vnetid} on port ${port}`,
    {
      details: { link: other?.name ?? null, vnetid, port },
      advice: 'Choose another vnetid or listen_port, or delete that link.',
      cause,
    },
  );
}

/**
 * Says what the kernel means by errors that mean something of their own here (vxlan_core.c).
 * @param links All links, read after the refusal.
 */
export function makingRefused(spec: VxlanSpec, error: unknown, links: () => readonly LinkInfo[], nameTaken: () => boolean): unknown {
  const errno = refusedErrno(error);
  if (errno === constants.errno.EEXIST && !nameTaken()) return vnetidInUse(spec, links(), error);
  if (errno !== constants.errno.EOPNOTSUPP) return error;
  return new OverlayError('VXLAN_MISSING', `${spec.name}: cannot be made, the kernel has no vxlan (EOPNOTSUPP)`, {
    details: { errno },
    advice: 'Load it with "modprobe vxlan", or use a kernel with CONFIG_VXLAN.',
    cause: error,
  });
}

/** The socket of a vxlan link is opened when the link goes up; one of a process or of a link that receives otherwise may hold the port. */
export function raisingRefused(name: string, port: number, error: unknown): unknown {
  if (refusedErrno(error) !== constants.errno.EADDRINUSE) return error;
  return new OverlayError('PORT_IN_USE', `${name}: cannot be set up, UDP port ${port} is in use (EADDRINUSE)`, {
    details: { port },
    advice: 'Choose another listen_port, or end what holds it.',
    cause: error,
  });
}

export const linkDiffers = (name: string, differences: Readonly<Record<string, string>>, cause?: unknown): OverlayError =>
  new OverlayError(
    'LINK_DIFFERS',
    `${name}: is there, but not as it has to be (${Object.entries(differences)
      .map((pair) => pair.join(' '))
      .join(', ')})`,
    {
      details: { ...differences },
      advice: `Delete it with "ip link delete ${name}"; it is made anew then.`,
      cause,
    },
  );

export function movingRefused(name: string, listenIp: IpAddress, error: unknown): unknown {
  if (refusedErrno(error) !== constants.errno.EOPNOTSUPP) return error;
  return linkDiffers(name, { family: `not that of ${listenIp}` }, error);
}

/** What cannot be changed about a link and is not as wanted: name and "HAVE, not WANT". Empty when there is nothing. */
export function differencesOf({ kind, vxlan }: LinkInfo, { vnetid, port, listenIp }: VxlanSpec): Record<string, string> {
  if (vxlan === undefined) return { kind: `${kind ?? 'none'}, not vxlan` };
  const family = ipFamily(listenIp);
  const compared: readonly (readonly [name: string, have: unknown, want: unknown])[] = [
    ['vnetid', vxlan.vnetid, vnetid],
    ['port', vxlan.port, port],
    ['family', vxlan.family ?? family, family],
    ['learning', vxlan.learning, false],
    ['localBypass', vxlan.localBypass ?? true, false],
    ['df', vxlan.df, true],
    ['external', vxlan.external, false],
  ];
  const differing = compared.filter(([, have, want]) => have !== want);
  return Object.fromEntries(differing.map(([name, have, want]) => [name, `${have}, not ${want}`]));
}
