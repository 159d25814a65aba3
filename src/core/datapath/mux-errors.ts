// What can be wrong with the sockets of a listen address, and what to do about it.
import { type IpAddress, OverlayError } from '@overlayadm/api';

interface Mux {
  readonly encap: string;
  readonly listenIp: IpAddress;
  readonly listenPort: number;
  readonly overlays: ReadonlyMap<number, string>;
}

const where = (ip: IpAddress, port: number): string => `${ip} port ${port}`;

export function vnetidInUse({ listenIp, listenPort }: Mux, vnetid: number, overlay: string): OverlayError {
  return new OverlayError('VNETID_IN_USE', `vnetid: ${vnetid} is in use on ${where(listenIp, listenPort)} by ${overlay}`, {
    details: { vnetid, overlay },
    advice: `Choose another -v, or delete ${overlay}.`,
  });
}

export function otherEncap(mux: Mux, encap: string): OverlayError {
  const { listenIp, listenPort } = mux;
  const names = [...mux.overlays.values()];
  return new OverlayError('PORT_IN_USE', `${encap}: ${where(listenIp, listenPort)} carries ${mux.encap} for ${names.join(', ')}`, {
    details: { address: listenIp, port: listenPort, encap: mux.encap, overlays: names },
    advice: `Choose another ${encap}/listen_port.`,
  });
}

export function portInUse(encap: string, ip: IpAddress, port: number, owner: string | undefined, cause: unknown): OverlayError {
  return new OverlayError('PORT_IN_USE', `${encap}/listen_port: ${where(ip, port)} is in use${owner === undefined ? '' : ` by ${owner}`}`, {
    details: { address: ip, port, owner: owner ?? null },
    advice: `Choose another port with -p ${encap}/listen_port=<port>, or stop what uses it.`,
    cause,
  });
}

export function usedByItself(encap: string, overlay: string, ip: IpAddress, port: number, cause: unknown): OverlayError {
  return new OverlayError('PORT_IN_USE', `${encap}/listen_ip: ${where(ip, port)} cannot be had while ${overlay} itself listens there`, {
    details: { address: ip, port, owner: overlay },
    advice: 'Between all addresses and one of them it cannot change while it exists; delete the overlay and create it again.',
    cause,
  });
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export const portNotPermitted = ({ min, max }: Range, cause: unknown): OverlayError =>
  new OverlayError('NOT_PERMITTED', `permission denied: no UDP port in ${min}-${max} may be had`, {
    details: { min, max },
    advice: 'overlayd needs CAP_NET_BIND_SERVICE for the data path kernel; start it as root.',
    cause,
  });

export function noPort(ip: IpAddress, { min, max }: Range, tries: number, cause: unknown): OverlayError {
  return new OverlayError('PORT_IN_USE', `${ip}: no free port found (${tries} tries in ${min}-${max})`, {
    details: { address: ip, min, max, tries },
    advice: `Stop what uses so many UDP ports; "ss -uanp" shows it.`,
    cause,
  });
}

/** The error for a listen address that this host does not have. */
export function addressNotHere(encap: string, ip: IpAddress, cause?: unknown): OverlayError {
  return new OverlayError('ADDRESS_NOT_HERE', `${encap}/listen_ip: ${ip} is not an address of this host`, {
    details: { address: ip },
    advice: 'See "ip address" for the addresses there are.',
    cause,
  });
}
