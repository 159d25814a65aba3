// What can be wrong with a destination that a lookup plugin gives, each as a sentence.
import type { Destination, DestinationField } from '@overlayadm/api';
import { ipScope, isGroupMac, parseIp, parseMac } from '@overlayadm/api';

const FIELD_KEYS: Readonly<Record<DestinationField, keyof Destination>> = { ethernet: 'mac', ip: 'ip', port: 'port' };

/** The part of a destination that an encapsulation with these needs is given. */
export function destinationFor(whole: Destination, needs: readonly DestinationField[]): Destination {
  return Object.fromEntries(needs.map((need) => [FIELD_KEYS[need], whole[FIELD_KEYS[need]]]));
}

function ipProblems(text: string, mode: 'point' | 'dynamic'): string[] {
  const ip = parseIp(text);
  if (ip === undefined || ip !== text) return [`ip: ${text} is no canonical IP address`];
  const scope = ipScope(ip);
  if (scope === 'multicast' && mode === 'point') return [];
  return ['unspecified', 'loopback', 'broadcast', 'multicast'].includes(scope) ? [`ip: ${text} is a ${scope} address`] : [];
}

/** Empty when the destination has exactly the fields in `needs`, each canonical and one that a host can send to. */
export function destinationProblems(destination: Destination, needs: readonly DestinationField[], mode: 'point' | 'dynamic'): string[] {
  const problems: string[] = [];
  const wanted = needs.map((need) => FIELD_KEYS[need]).sort();
  const there = Object.keys(destination).sort();
  if (wanted.join() !== there.join()) problems.push(`fields ${there.join() || 'none'}, needed are ${wanted.join()}`);
  const { mac, ip, port } = destination;
  if (mac !== undefined && (parseMac(mac) !== mac || isGroupMac(mac))) problems.push(`mac: ${mac} is no canonical unicast address`);
  if (ip !== undefined) problems.push(...ipProblems(ip, mode));
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65535)) problems.push(`port: ${port}, 1-65535 are possible`);
  return problems;
}
