// Is this a destination to send to? What a plugin or a person gives is checked here, once, for all drivers.
import { type Destination, type DestinationField, type IpAddress, type IpFamily, ipFamily, ipScope, ipToBytes } from '@overlayadm/api';
import type { WireDestination } from '../engine/messages.ts';

export interface DestinationRules {
  readonly needs: readonly DestinationField[];
  /** Family of `listen_ip`: a socket sends to its own family only. */
  readonly family: IpFamily;
  /** The one destination of point mode may be a multicast group. */
  readonly point: boolean;
  isOwnSocket(ip: IpAddress, port: number): boolean;
}

export type CheckedDestination =
  | { readonly ok: true; readonly to: WireDestination }
  /** `own`: nothing is wrong with it but that it is where we are. */
  | { readonly ok: false; readonly reason: string; readonly own?: true };

const refused = (reason: string): CheckedDestination => ({ ok: false, reason });

const REFUSED_SCOPES = new Set(['unspecified', 'loopback', 'broadcast']);

export function checkDestination({ ip, port }: Destination, rules: DestinationRules): CheckedDestination {
  if (ip === undefined) return refused('it has no IP address');
  if (ipFamily(ip) !== rules.family) return refused(`${ip} is an IPv${ipFamily(ip)} address, the overlay listens on IPv${rules.family}`);
  const scope = ipScope(ip);
  if (REFUSED_SCOPES.has(scope)) return refused(`${ip} is ${scope === 'unspecified' ? 'the unspecified' : `a ${scope}`} address`);
  if (scope === 'multicast' && !rules.point) return refused(`${ip} is a multicast address`);
  if (!rules.needs.includes('port')) return { ok: true, to: { family: rules.family, ip: ipToBytes(ip), port: 0 } };
  if (port === undefined) return refused('it has no port');
  if (!Number.isInteger(port) || port < 1 || port > 65535) return refused(`port ${port} is not in 1-65535`);
  if (rules.isOwnSocket(ip, port)) return { ok: false, reason: `${ip} port ${port} is this host's own`, own: true };
  return { ok: true, to: { family: rules.family, ip: ipToBytes(ip), port } };
}

/** As `show-overlay -t` prints it: `ip:port`, an IPv6 address with a port in brackets. */
export function showDestination(to: WireDestination, ip: IpAddress): string {
  if (to.port === 0) return ip;
  return to.family === 4 ? `${ip}:${to.port}` : `[${ip}]:${to.port}`;
}
