// What a plugin's promise gave, as an answer for the channel: canonical, bounded, and a named drop where it is neither.
import type { Destination } from '@overlayadm/api';
import { MAX_REASON_BYTES } from '../util/limits.ts';
import { readIp, readMac } from './canonical.ts';
import { type Answer, type Ask, cutText } from './protocol.ts';

type Loose = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null;

const canonical = <T>(value: unknown, parse: (text: string) => T | undefined): T | undefined =>
  typeof value === 'string' ? parse(value) : undefined;

/** The fields of a destination in canonical form; undefined when one of them is no such thing. Total. */
export function readDestination(value: unknown): Destination | undefined {
  if (!isObject(value)) return undefined;
  const mac = canonical(value.mac, readMac);
  const ip = canonical(value.ip, readIp);
  const { port } = value;
  if ((mac === undefined) !== (value.mac === undefined) || (ip === undefined) !== (value.ip === undefined)) return undefined;
  if (port !== undefined && !(typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535)) return undefined;
  return { ...(mac === undefined ? {} : { mac }), ...(ip === undefined ? {} : { ip }), ...(port === undefined ? {} : { port }) };
}

const dropOf = (id: number, reason: string): Answer => ({ id, kind: 'drop', reason: cutText(reason, MAX_REASON_BYTES) });

/** Undefined when the value is no answer by the contract. */
export function readAnswer(ask: Ask, value: unknown): Answer | undefined {
  if (ask.kind === 'lookup') return readLookup(ask.id, value);
  if (value === undefined) return dropOf(ask.id, 'lookup.unknown-address');
  if (ask.kind === 'dhcp') {
    const mac = canonical(value, readMac);
    return mac && { id: ask.id, kind: 'resolved', mac };
  }
  return readResolved(ask.id, value);
}

function readLookup(id: number, value: unknown): Answer | undefined {
  if (!isObject(value)) return undefined;
  if (value.kind === 'drop') return dropOf(id, typeof value.reason === 'string' && value.reason !== '' ? value.reason : 'lookup.refused');
  const destination = value.kind === 'found' ? readDestination(value.destination) : undefined;
  return destination && { id, kind: 'found', destination };
}

function readResolved(id: number, value: unknown): Answer | undefined {
  if (!isObject(value)) return undefined;
  const mac = canonical(value.mac, readMac);
  if (mac === undefined) return undefined;
  if (value.destination === undefined) return { id, kind: 'resolved', mac };
  const destination = readDestination(value.destination);
  return destination && { id, kind: 'resolved', mac, destination };
}
