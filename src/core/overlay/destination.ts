// Is this a destination to send to? What a plugin or a person gives is checked here, once, for all drivers.
import {
  type Destination,
  type DestinationField,
  type IpAddress,
  type IpFamily,
  ipFamily,
  ipScope,
  ipToBytes,
  type MacAddress,
  OverlayError,
  parseIp,
  parseMac,
} from '@overlayadm/api';
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

/**
 * Reads what a person has typed: `drop` in any case, else the parts that the encapsulation needs, in the order of illumos
 * dladm_overlay_cache_set(): `mac,`, the IP address, `:port`. An IPv6 address with a port stands in brackets, which illumos
 * has no way to write. Whether frames can be sent there is for checkDestination().
 * @throws OverlayError DESTINATION_INVALID with the form that is expected
 */
export function parseDestination(text: string, needs: readonly DestinationField[]): Destination | 'drop' {
  if (text.toLowerCase() === 'drop') return 'drop';
  let rest = text;
  let mac: MacAddress | undefined;
  if (needs.includes('ethernet')) {
    const comma = rest.indexOf(',');
    mac = parseMac(rest.slice(0, Math.max(comma, 0)));
    if (mac === undefined) throw invalid(text, needs);
    rest = rest.slice(comma + 1);
  }
  const { ip, port } = needs.includes('port') ? splitPort(rest) : { ip: parseIp(rest.replace(/^\[([^[\]]*)\]$/, '$1')), port: undefined };
  if (ip === undefined || (needs.includes('port') && port === undefined)) throw invalid(text, needs);
  return { ...(mac === undefined ? {} : { mac }), ip, ...(port === undefined ? {} : { port }) };
}

const WITH_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/;

function splitPort(text: string): { ip: IpAddress | undefined; port: number | undefined } {
  const [, bracketed, plain, digits] = WITH_PORT.exec(text) ?? [];
  const port = Number(digits);
  const ip = bracketed?.includes(':') ? parseIp(bracketed) : parseIp(plain ?? '');
  return { ip, port: port <= 65535 ? port : undefined };
}

function invalid(text: string, needs: readonly DestinationField[]): OverlayError {
  const address = needs.includes('port') ? 'IP:PORT, [IPV6]:PORT' : 'IP';
  const forms = `${needs.includes('ethernet') ? address.replaceAll(/(^| )(?=\S)/g, '$1MAC,') : address} or drop`;
  return new OverlayError('DESTINATION_INVALID', `invalid destination: ${JSON.stringify(text.slice(0, 64))}`, {
    details: { destination: text, forms },
    advice: `Write it as ${forms}.`,
  });
}
