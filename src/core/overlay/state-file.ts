// A saved overlay as text: what is written, and the check of what is read. Any bytes give a record or one line that says what is wrong.
import { type IpAddress, isGroupMac, type MacAddress, parseIp, parseMac } from '@overlayadm/api';
import * as v from 'valibot';
import { checkDescription, checkDescriptions, isPossible, type PropertyDescription } from '../property/description.ts';
import type { PropertyOwner, ResolvedProperty } from '../property/table.ts';
import { isValueOf } from '../property/values.ts';
import { MAX_REASON_BYTES, MAX_SETTER_GROUPS, MAX_STATE_FILE_BYTES, MTU, VLAN_ID } from '../util/limits.ts';
import { isLinkName } from '../util/link-name.ts';
import { type OverlayRecord, RECORD_VERSION } from './record.ts';

export type ReadRecord = { readonly ok: true; readonly record: OverlayRecord } | { readonly ok: false; readonly problem: string };

/**
 * JSON that people can read. Without a checksum: the last byte closes the object, so what was written in part is no JSON, and
 * every field is checked, so that a record can be mended by hand.
 */
export function formatRecord(record: OverlayRecord): string {
  const { version, ...overlay } = record;
  return `${JSON.stringify({ version, overlay }, null, 2)}\n`;
}

const MAX_UINT32 = 0xffff_ffff;
const whole = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
const text = v.pipe(v.string(), v.maxBytes(MAX_REASON_BYTES));
const pluginName = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9]{0,30}$/));
const LinkName = v.pipe(
  v.string(),
  v.check((name) => isLinkName(name), 'not the name of a link'),
);
const Mac = v.pipe(
  v.string(),
  v.check((mac) => parseMac(mac) === mac, 'not a MAC address in canonical form'),
  v.transform((mac) => mac as MacAddress),
);
const Ip = v.pipe(
  v.string(),
  v.maxLength(45),
  v.check((ip) => parseIp(ip) === ip, 'not an IP address in canonical form'),
  v.transform((ip) => ip as IpAddress),
);
const Port = whole(1, 65535);
const Needs = v.pipe(v.array(v.picklist(['ethernet', 'ip', 'port'])), v.maxLength(3));

/** A check of another module: undefined, or why not. */
const passes = <T>(whyNot: (value: unknown) => string | undefined) =>
  v.pipe(
    v.unknown(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const reason = whyNot(dataset.value);
      if (reason === undefined) return dataset.value as T;
      addIssue({ message: reason });
      return NEVER;
    }),
  );

const Octets = v.pipe(v.array(whole(0, 255)), v.maxLength(64));
const Bit = v.strictObject({ bit: whole(0, 511), bits: whole(1, 32) });
/** The shape; whether it makes sense is for checkFormat() of the wire, as for a format that comes from a plugin. */
const Format = v.strictObject({
  carrier: v.variant('over', [v.strictObject({ over: v.literal('udp') }), v.strictObject({ over: v.literal('ip'), protocol: whole(1, 255) })]),
  template: Octets,
  vnetid: Bit,
  accept: v.pipe(v.array(v.strictObject({ at: whole(0, 63), mask: Octets, value: Octets, dropReason: text })), v.maxLength(64)),
  length: v.variant('kind', [
    v.strictObject({ kind: v.literal('fixed') }),
    v.strictObject({ kind: v.literal('counted'), count: Bit, unitBytes: whole(1, 64) }),
  ]),
  entropy: v.union([v.literal('udp-source-port'), Bit]),
  kernelKind: v.exactOptional(v.picklist(['vxlan', 'geneve', 'gretap'])),
});
const Encap = v.strictObject({
  kind: v.literal('encap'),
  name: pluginName,
  properties: passes<readonly PropertyDescription[]>(checkDescriptions),
  needs: Needs,
  vnetid: v.strictObject({ min: whole(0, MAX_UINT32), max: whole(0, MAX_UINT32) }),
  carriesVlanTag: v.boolean(),
  format: Format,
  usualPort: v.exactOptional(Port),
});
const Lookup = v.strictObject({
  mode: v.picklist(['point', 'dynamic']),
  point: v.exactOptional(v.strictObject({ mac: v.exactOptional(Mac), ip: v.exactOptional(Ip), port: v.exactOptional(Port) })),
  group: v.boolean(),
  resolves: v.boolean(),
  servesDhcp: v.boolean(),
});

const OWNERS: readonly PropertyOwner[] = ['overlay', 'encap', 'lookup'];

const Property = v.pipe(
  v.strictObject({
    fullName: text,
    owner: v.picklist(OWNERS),
    description: passes<PropertyDescription>((value) => (isVarpdId(value) ? undefined : checkDescription(value))),
    value: v.exactOptional(v.union([v.string(), v.number(), v.boolean()])),
    from: v.picklist(['argument', 'configuration', 'default', 'nothing']),
  }),
  v.check(
    ({ description, value }) => value === undefined || (isValueOf(description.type, value) && isPossible(description, value)),
    'the value is not one that this property can have',
  ),
  v.transform((property): ResolvedProperty => ({ ...property, value: property.value })),
);

/** The one name with a slash that is no plugin's, as illumos has it. */
function isVarpdId(value: unknown): boolean {
  const named = typeof value === 'object' && value !== null && 'name' in value && value.name === 'varpd/id';
  return named && checkDescription({ ...value, name: 'id' }) === undefined;
}

const Setter = v.strictObject({
  uid: whole(0, MAX_UINT32),
  gid: whole(0, MAX_UINT32),
  groups: v.pipe(v.array(whole(0, MAX_UINT32)), v.maxLength(MAX_SETTER_GROUPS)),
});
const Vnic = v.strictObject({
  name: LinkName,
  mac: v.pipe(
    Mac,
    v.check((mac) => !isGroupMac(mac) && mac !== '00:00:00:00:00:00', 'not the address of one interface'),
  ),
  mtu: whole(MTU.min, MTU.max),
  netns: v.nullable(
    v.pipe(v.string(), v.maxBytes(MAX_REASON_BYTES), v.regex(/^[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*$/, 'not the name of a network namespace')),
  ),
  vid: v.nullable(whole(VLAN_ID.min, VLAN_ID.max)),
});

const isOnce = (names: readonly string[]): boolean => new Set(names).size === names.length;

const OverlayShape = v.strictObject({
  name: LinkName,
  id: whole(0, Number.MAX_SAFE_INTEGER),
  vnetid: whole(0, MAX_UINT32),
  encap: Encap,
  search: pluginName,
  lookup: Lookup,
  socket: v.strictObject({ listenIp: Ip, listenPort: v.exactOptional(Port) }),
  driver: v.picklist(['tap', 'kernel']),
  datapath: text,
  properties: v.pipe(
    v.array(Property),
    v.check((all) => isOnce(all.map(({ fullName }) => fullName)), 'a property is there twice'),
    v.check((all) => all.some(({ fullName, value }) => fullName === 'mtu' && typeof value === 'number'), 'mtu is missing'),
  ),
  setters: v.record(v.pipe(v.string(), v.maxBytes(MAX_REASON_BYTES)), Setter),
  vnics: v.pipe(
    v.array(Vnic),
    v.check((all) => isOnce(all.map(({ name }) => name)), 'a VNIC is there twice'),
  ),
});

const no = (problem: string): ReadRecord => ({ ok: false, problem: oneLine(problem) });

/** What stands in a file can be anything: it is cut, and must not move the cursor of whoever reads it. */
function oneLine(problem: string): string {
  const bytes = Buffer.from(problem.toWellFormed().replace(/[\p{Cc}\u2028\u2029]/gu, ' '));
  let end = Math.min(bytes.length, MAX_REASON_BYTES);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Total. `name`: what the record has to be called, by the name of its file. */
export function readRecord(bytes: Uint8Array, name: string): ReadRecord {
  if (bytes.length > MAX_STATE_FILE_BYTES) return no(`is too large (${bytes.length} bytes, at most ${MAX_STATE_FILE_BYTES})`);
  if (bytes.length === 0) return no('is empty');
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return no('is not whole: it is no JSON text');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return no('holds no overlay');
  const { version, overlay, ...rest } = json as Readonly<Record<string, unknown>>;
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) return no('says no version');
  if (version > RECORD_VERSION) return no(`was written by a newer overlayadm (version ${version})`);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) return no(`${unknown}: is no field of a saved overlay`);
  return readOverlay(overlay, name);
}

function readOverlay(overlay: unknown, name: string): ReadRecord {
  const result = v.safeParse(OverlayShape, overlay, { abortEarly: true, abortPipeEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const path = v.getDotPath(issue);
    return no(`${path === null ? 'overlay' : `overlay.${path}`}: ${issue.message}`);
  }
  if (result.output.name !== name) return no(`is the record of ${result.output.name}, by another name`);
  return { ok: true, record: { version: RECORD_VERSION, ...result.output } };
}
