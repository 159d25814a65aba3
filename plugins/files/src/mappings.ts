// From the bytes of a mapping file to tables, and from two tables to what changed between them. Pure.
import {
  type Destination,
  type DestinationField,
  type IpAddress,
  ipFamily,
  ipScope,
  isGroupMac,
  type MacAddress,
  parseIp,
  parseMac,
} from '@overlayadm/api';
import { type JsonMember, type JsonValue, readJsonMembers, readText } from './json.ts';

/** One overlay MAC. The format is that of illumos overlay_files(5). */
export interface Entry {
  /** Exactly the fields that the encapsulation needs. */
  readonly destination: Destination;
  readonly arp: IpAddress | undefined;
  readonly ndp: IpAddress | undefined;
  readonly dhcpProxy: MacAddress | undefined;
}

export interface Mappings {
  /** In the order of the file; an entry that replaced an earlier one stands where the later one stood. */
  readonly entries: ReadonlyMap<MacAddress, Entry>;
  /** Overlay addresses, from `arp` and `ndp`. Of several entries with one address the first has it, as in illumos. */
  readonly owners: ReadonlyMap<IpAddress, MacAddress>;
}

/** Where the file is wrong and what was expected. `mac` and `problem` hold nothing of the text but an address that was one. */
export interface MappingProblem {
  readonly line: number;
  readonly mac?: MacAddress;
  readonly problem: string;
}

export type MappingsReading = { readonly kind: 'ok'; readonly mappings: Mappings } | ({ readonly kind: 'error' } & MappingProblem);

type Failure = { readonly line: number; readonly problem: string };
type Result<T> = { readonly value: T } | Failure;
const isFailure = <T>(result: Result<T>): result is Failure => 'problem' in result;

/** Reads one key of an entry. `undefined` where the key is absent. */
type Fields = ReadonlyMap<string, JsonValue>;
function field<T>(fields: Fields, key: string, expected: string, read: (value: JsonValue) => T | undefined): Result<T | undefined> {
  const json = fields.get(key);
  if (json === undefined) return { value: undefined };
  const value = read(json);
  return value === undefined ? { line: json.line, problem: `'${key}' has to be ${expected}` } : { value };
}

const textOf = (json: JsonValue): string => (json.kind === 'string' ? json.value : '');

/** Addresses that a datagram to one host cannot be sent to. */
const NO_HOST = ['unspecified', 'loopback', 'broadcast', 'multicast'];

function readUnderlayIp(json: JsonValue): IpAddress | undefined {
  const ip = parseIp(textOf(json));
  return ip === undefined || NO_HOST.includes(ipScope(ip)) ? undefined : ip;
}

/** An overlay address of one family. IPv4 in the clothes of IPv6 is neither: inet_pton of illumos refuses it for `arp`. */
function readOverlayIp(json: JsonValue, family: 4 | 6): IpAddress | undefined {
  const ip = parseIp(textOf(json));
  if (ip === undefined || ipFamily(ip) !== family) return undefined;
  return textOf(json).includes(':') === (family === 6) ? ip : undefined;
}

function readUnicastMac(json: JsonValue): MacAddress | undefined {
  const mac = parseMac(textOf(json));
  return mac === undefined || isGroupMac(mac) ? undefined : mac;
}

const readPort = (json: JsonValue): number | undefined =>
  json.kind === 'number' && Number.isInteger(json.value) && json.value >= 1 && json.value <= 65535 ? json.value : undefined;

type Needs = readonly DestinationField[];

function readDestination(fields: Fields, line: number, needs: Needs, usualPort: number | undefined): Result<Destination> {
  const ip = field(fields, 'ip', 'an IP address of a host', readUnderlayIp);
  if (isFailure(ip)) return ip;
  const port = field(fields, 'port', 'a whole number from 1 to 65535', readPort);
  if (isFailure(port)) return port;
  if (needs.includes('ip') && ip.value === undefined) return { line, problem: "'ip' is missing" };
  const usedPort = port.value ?? usualPort;
  if (needs.includes('port') && usedPort === undefined) return { line, problem: "'port' is missing, and the encapsulation has no usual port" };
  return {
    value: {
      ...(needs.includes('ip') && ip.value !== undefined ? { ip: ip.value } : {}),
      ...(needs.includes('port') && usedPort !== undefined ? { port: usedPort } : {}),
    },
  };
}

function readEntry({ keyLine, value: json }: JsonMember, needs: Needs, usualPort: number | undefined): Result<Entry> {
  if (json.kind !== 'object') return { line: json.line, problem: 'expected an object with the destination' };
  // A repeated key counts as its last value, as everywhere in JSON.
  const fields: Fields = new Map(json.members.map((member) => [member.key, member.value]));
  const destination = readDestination(fields, keyLine, needs, usualPort);
  if (isFailure(destination)) return destination;
  const arp = field(fields, 'arp', 'an IPv4 address', (value) => readOverlayIp(value, 4));
  if (isFailure(arp)) return arp;
  const ndp = field(fields, 'ndp', 'an IPv6 address', (value) => readOverlayIp(value, 6));
  if (isFailure(ndp)) return ndp;
  const dhcpProxy = field(fields, 'dhcp-proxy', 'a unicast MAC address', readUnicastMac);
  if (isFailure(dhcpProxy)) return dhcpProxy;
  return { value: { destination: destination.value, arp: arp.value, ndp: ndp.value, dhcpProxy: dhcpProxy.value } };
}

function ownersOf(entries: ReadonlyMap<MacAddress, Entry>): Map<IpAddress, MacAddress> {
  const owners = new Map<IpAddress, MacAddress>();
  for (const [mac, { arp, ndp }] of entries) {
    for (const ip of [arp, ndp]) if (ip !== undefined && !owners.has(ip)) owners.set(ip, mac);
  }
  return owners;
}

/** Entries that are read between two pauses: a millisecond or two. */
const ENTRIES_PER_STEP = 64;

/**
 * Checks a whole file and turns it into tables. Total: any bytes give mappings or the first mistake in the file.
 * `usualPort` stands in for a `port` that is left out. It is a generator because a large file takes seconds, in which the
 * overlays of the same host have questions: it pauses again and again, for who drives it to let them have their turn.
 */
export function* readMappings(bytes: Uint8Array, needs: Needs, usualPort: number | undefined): Generator<void, MappingsReading> {
  const text = readText(bytes);
  if (typeof text !== 'string') return { kind: 'error', ...text };
  const entries = new Map<MacAddress, Entry>();
  const members = readJsonMembers(text);
  for (let count = 1; ; count++) {
    const member = members.next();
    if (member.done === true) {
      return member.value === undefined ? { kind: 'ok', mappings: { entries, owners: ownersOf(entries) } } : { kind: 'error', ...member.value };
    }
    const mistake = takeEntry(entries, member.value, needs, usualPort);
    if (mistake !== undefined) return { kind: 'error', ...mistake };
    if (count % ENTRIES_PER_STEP === 0) yield;
  }
}

/** As readMappings, without a pause. */
export function parseMappings(bytes: Uint8Array, needs: Needs, usualPort: number | undefined): MappingsReading {
  const steps = readMappings(bytes, needs, usualPort);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

function takeEntry(entries: Map<MacAddress, Entry>, member: JsonMember, needs: Needs, usualPort: number | undefined): MappingProblem | undefined {
  const mac = parseMac(member.key);
  if (mac === undefined) return { line: member.keyLine, problem: 'expected a MAC address as key' };
  if (isGroupMac(mac)) return { line: member.keyLine, mac, problem: 'a group address cannot be a key' };
  const entry = readEntry(member, needs, usualPort);
  if (isFailure(entry)) return { mac, line: entry.line, problem: entry.problem };
  entries.delete(mac);
  entries.set(mac, entry.value);
  return undefined;
}

export interface Differences {
  /** Entries that are new or whose destination is another one. */
  readonly set: readonly MacAddress[];
  readonly removed: readonly MacAddress[];
  /** Overlay addresses that belong to another MAC than before, or that a MAC which was there before has got. */
  readonly moved: readonly { readonly ip: IpAddress; readonly mac: MacAddress }[];
}

const sameDestination = (a: Destination | undefined, b: Destination): boolean =>
  a !== undefined && a.ip === b.ip && a.port === b.port && a.mac === b.mac;

/** What has to be told to somebody who knows the old mappings. */
export function differences(old: Mappings, now: Mappings): Differences {
  const changed = [...now.entries].filter(([mac, { destination }]) => !sameDestination(old.entries.get(mac)?.destination, destination));
  const removed = [...old.entries.keys()].filter((mac) => !now.entries.has(mac));
  const moved: { ip: IpAddress; mac: MacAddress }[] = [];
  for (const [ip, mac] of now.owners) {
    const before = old.owners.get(ip);
    // An address that is new together with its MAC is known to nobody who would have to be told.
    if (before !== mac && (before !== undefined || old.entries.has(mac))) moved.push({ ip, mac });
  }
  return { set: changed.map(([mac]) => mac), removed, moved };
}
