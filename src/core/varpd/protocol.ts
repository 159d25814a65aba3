// The door of the channel between overlayd and a plugin host: what comes in is checked like input from a stranger.
import { type IpAddress, type MacAddress, messageOf, OverlayError } from '@overlayadm/api';
import * as v from 'valibot';
import { checkDescriptions, type PropertyDescription } from '../property/description.ts';
import {
  MAX_ANNOUNCE_MACS,
  MAX_BATCH_ANSWERS,
  MAX_FAILURE_BYTES,
  MAX_LOCAL_IPS,
  MAX_LOCAL_VNICS,
  MAX_LOG_TEXT_BYTES,
  MAX_REASON_BYTES,
} from '../util/limits.ts';
import { readIp, readMac } from './canonical.ts';
import type { Failure, FromHost, ProviderTable, ToHost } from './messages.ts';

export { readInstalled } from './installed.ts';
export type * from './messages.ts';
export { collectProviders, type InstalledPackage } from './providers.ts';

const whole = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
const MAX_UINT32 = 0xffff_ffff;
const Id = whole(0, Number.MAX_SAFE_INTEGER);
const Text = (bytes: number) => v.pipe(v.string(), v.maxBytes(bytes));
const Kind = v.picklist(['encap', 'lookup']);
/** Names of plugins and properties: `[a-z][a-z0-9]*` and, for properties, `_`. */
const Name = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9_]{0,30}$/));
const Mac = v.pipe(
  v.string(),
  v.check((text) => readMac(text) === text, 'no MAC address in canonical form'),
  v.transform((text) => text as MacAddress),
);
const Ip = v.pipe(
  v.string(),
  v.maxLength(45),
  v.check((text) => readIp(text) === text, 'no IP address in canonical form'),
  v.transform((text) => text as IpAddress),
);
const Port = whole(1, 65535);
const DestinationShape = v.strictObject({ mac: v.exactOptional(Mac), ip: v.exactOptional(Ip), port: v.exactOptional(Port) });
const Needs = v.pipe(v.array(v.picklist(['ethernet', 'ip', 'port'])), v.maxLength(3));
/** JSON has no infinity, but a number as large as 1e999 reads as one, and would be written as null. */
const Values = v.record(v.string(), v.union([v.string(), v.pipe(v.number(), v.finite()), v.boolean()]));
const FAILURE_CODE = /^[A-Z][A-Z0-9_]{0,63}$/;
const FailureShape = v.strictObject({
  code: v.pipe(v.string(), v.regex(FAILURE_CODE)),
  message: Text(MAX_FAILURE_BYTES),
  details: v.record(v.string(), v.unknown()),
  advice: v.exactOptional(Text(MAX_FAILURE_BYTES)),
});

const Bit = v.strictObject({ bit: whole(0, 511), bits: whole(1, 32) });
const Octets = v.pipe(v.array(whole(0, 255)), v.maxLength(64));
/** The shape of a header format; whether it makes sense is for checkFormat() of the wire. */
const Format = v.strictObject({
  carrier: v.variant('over', [v.strictObject({ over: v.literal('udp') }), v.strictObject({ over: v.literal('ip'), protocol: whole(1, 255) })]),
  template: Octets,
  vnetid: Bit,
  accept: v.pipe(v.array(v.strictObject({ at: whole(0, 63), mask: Octets, value: Octets, dropReason: Text(64) })), v.maxLength(64)),
  length: v.variant('kind', [
    v.strictObject({ kind: v.literal('fixed') }),
    v.strictObject({ kind: v.literal('counted'), count: Bit, unitBytes: whole(1, 64) }),
  ]),
  entropy: v.union([v.literal('udp-source-port'), Bit]),
  kernelKind: v.exactOptional(v.picklist(['vxlan', 'geneve', 'gretap'])),
});

const Properties = v.pipe(
  v.unknown(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const reason = checkDescriptions(dataset.value) ?? whyNotPaths(dataset.value as readonly PropertyDescription[]);
    if (reason === undefined) return dataset.value as readonly PropertyDescription[];
    addIssue({ message: reason });
    return NEVER;
  }),
);

/** overlayd reads the files of path properties with the rights of the person who set them: a default was set by the plugin, so by nobody. */
function whyNotPaths(table: readonly PropertyDescription[]): string | undefined {
  const property = table.find(({ type, default: fallback }) => type === 'path' && fallback !== undefined);
  return property === undefined ? undefined : `${property.name}: a property of type path has a default; only a person may name a file`;
}

const DescriptionShape = v.variant('kind', [
  v.strictObject({
    kind: v.literal('encap'),
    name: Name,
    properties: Properties,
    needs: Needs,
    vnetid: v.strictObject({ min: whole(0, MAX_UINT32), max: whole(0, MAX_UINT32) }),
    carriesVlanTag: v.boolean(),
    format: Format,
    usualPort: v.exactOptional(Port),
  }),
  v.strictObject({ kind: v.literal('lookup'), name: Name, properties: Properties }),
]);
const CreatedShape = v.strictObject({
  mode: v.picklist(['point', 'dynamic']),
  point: v.exactOptional(DestinationShape),
  group: v.boolean(),
  resolves: v.boolean(),
  servesDhcp: v.boolean(),
});
const AnswerShape = v.variant('kind', [
  v.strictObject({ id: Id, kind: v.literal('found'), destination: DestinationShape }),
  v.strictObject({ id: Id, kind: v.literal('resolved'), mac: Mac, destination: v.exactOptional(DestinationShape) }),
  v.strictObject({ id: Id, kind: v.literal('drop'), reason: Text(MAX_REASON_BYTES) }),
]);

const from = { call: Id, instance: Id };
const FromHostShape: v.GenericSchema<unknown, FromHost> = v.variant('type', [
  v.strictObject({ type: v.literal('answers'), instance: Id, answers: v.pipe(v.array(AnswerShape), v.maxLength(MAX_BATCH_ANSWERS)) }),
  v.strictObject({ type: v.literal('pong') }),
  v.strictObject({ type: v.literal('ready') }),
  v.strictObject({ type: v.literal('described'), call: from.call, description: DescriptionShape }),
  v.strictObject({
    type: v.literal('refused'),
    call: from.call,
    refusal: v.nullable(v.strictObject({ property: Name, reason: Text(MAX_REASON_BYTES) })),
  }),
  v.strictObject({ type: v.literal('bound'), call: from.call, socket: v.strictObject({ listenIp: Ip, listenPort: v.exactOptional(Port) }) }),
  v.strictObject({ type: v.literal('created'), call: from.call, created: CreatedShape }),
  v.strictObject({ type: v.literal('failed'), call: from.call, error: FailureShape }),
  v.strictObject({ type: v.literal('setTarget'), instance: from.instance, mac: Mac, destination: DestinationShape }),
  v.strictObject({ type: v.literal('invalidate'), instance: from.instance, mac: Mac }),
  v.strictObject({
    type: v.literal('announce'),
    instance: from.instance,
    ip: Ip,
    mac: Mac,
    toMacs: v.exactOptional(v.pipe(v.array(Mac), v.maxLength(MAX_ANNOUNCE_MACS))),
  }),
  v.strictObject({ type: v.literal('degrade'), instance: from.instance, reason: Text(MAX_REASON_BYTES) }),
  v.strictObject({ type: v.literal('restore'), instance: from.instance }),
  v.strictObject({ type: v.literal('openFile'), instance: from.instance, file: Id, property: Text(MAX_REASON_BYTES) }),
  v.strictObject({ type: v.literal('closeFile'), instance: from.instance, file: Id }),
  v.strictObject({ type: v.literal('watchAddresses'), instance: from.instance }),
  v.strictObject({ type: v.literal('unwatchAddresses'), instance: from.instance }),
  v.strictObject({ type: v.literal('log'), instance: from.instance, level: v.picklist(['info', 'warn']), message: Text(MAX_LOG_TEXT_BYTES) }),
]);

const AskShape = v.variant('kind', [
  v.strictObject({ id: Id, kind: v.literal('lookup'), to: Mac, from: Mac, etherType: whole(0, 0xffff), vlan: v.exactOptional(whole(0, 4095)) }),
  v.strictObject({ id: Id, kind: v.literal('resolve'), ip: Ip }),
  v.strictObject({ id: Id, kind: v.literal('dhcp'), client: Mac }),
]);
const SpecShape = v.strictObject({
  plugin: Name,
  vnetid: whole(0, MAX_UINT32),
  needs: Needs,
  usualPort: v.exactOptional(Port),
  values: Values,
});
const Addresses = v.pipe(v.array(v.strictObject({ mac: Mac, ips: v.pipe(v.array(Ip), v.maxLength(MAX_LOCAL_IPS)) })), v.maxLength(MAX_LOCAL_VNICS));
const ToHostShape: v.GenericSchema<unknown, ToHost> = v.variant('type', [
  v.strictObject({ type: v.literal('asks'), instance: Id, asks: v.pipe(v.array(AskShape), v.maxLength(MAX_BATCH_ANSWERS)) }),
  v.strictObject({ type: v.literal('abort'), instance: Id, ids: v.array(Id) }),
  v.strictObject({ type: v.literal('ping') }),
  v.strictObject({ type: v.literal('describe'), call: Id, kind: Kind, name: Name }),
  v.strictObject({ type: v.literal('refuse'), call: Id, kind: Kind, name: Name, values: Values }),
  v.strictObject({ type: v.literal('socket'), call: Id, name: Name, values: Values }),
  v.strictObject({ type: v.literal('create'), call: Id, instance: Id, spec: SpecShape }),
  v.strictObject({ type: v.literal('stop'), instance: Id }),
  v.strictObject({ type: v.literal('fileData'), file: Id, data: v.string(), last: v.boolean() }),
  v.strictObject({ type: v.literal('fileFailed'), file: Id, error: FailureShape }),
  v.strictObject({ type: v.literal('localAddresses'), instance: Id, addresses: Addresses }),
]);

const Text4k = Text(4096);
const ProviderTableShape: v.GenericSchema<unknown, ProviderTable> = v.strictObject({
  providers: v.array(
    v.strictObject({ kind: Kind, name: Name, package: Text4k, version: Text4k, root: Text4k, module: Text4k, api: whole(1, MAX_UINT32) }),
  ),
  problems: v.array(Text4k),
});

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

function check<T>(shape: v.GenericSchema<unknown, T>, input: unknown): Checked<T> {
  const result = v.safeParse(shape, input, { abortEarly: true });
  if (result.success) return { ok: true, value: result.output };
  const [issue] = result.issues;
  // The message quotes what came: it is cut, and must not move the cursor of whoever reads the log.
  const reason = `${v.getDotPath(issue) ?? 'message'}: ${issue.message}`;
  return { ok: false, reason: cutText(reason.replace(/\p{Cc}/gu, ' '), MAX_REASON_BYTES) };
}

/** Total: any decoded line. */
export const checkFromHost = (message: unknown): Checked<FromHost> => check(FromHostShape, message);
export const checkToHost = (message: unknown): Checked<ToHost> => check(ToHostShape, message);
export const checkProviderTable = (table: unknown): Checked<ProviderTable> => check(ProviderTableShape, table);

/** At most `maxBytes` bytes of UTF-8, cut between characters. */
export function cutText(text: string, maxBytes: number): string {
  const wellFormed = text.toWellFormed();
  const bytes = Buffer.from(wellFormed);
  if (bytes.length <= maxBytes) return wellFormed;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Whatever was thrown, ready for the channel. */
export function failureOf(error: unknown, code: string): Failure {
  // The types hold for plugins that were checked; others throw what they like, and it must not cost them their host.
  const known: Readonly<Record<string, unknown>> = OverlayError.is(error) ? { ...error } : {};
  return {
    code: typeof known.code === 'string' && FAILURE_CODE.test(known.code) ? known.code : code,
    message: cutText(textOf(error), MAX_FAILURE_BYTES),
    details: plainDetails(known.details),
    ...(typeof known.advice === 'string' ? { advice: cutText(known.advice, MAX_FAILURE_BYTES) } : {}),
  };
}

function textOf(error: unknown): string {
  try {
    return messageOf(error);
  } catch {
    return 'something without a text was thrown';
  }
}

/** Details are the plugin's: what JSON cannot carry, or is too much for a message, is left out. */
function plainDetails(details: unknown): Readonly<Record<string, unknown>> {
  try {
    const text = JSON.stringify(details);
    return text.startsWith('{') && Buffer.byteLength(text) <= MAX_FAILURE_BYTES ? (JSON.parse(text) as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export const errorOf = ({ code, message, details, advice }: Failure): OverlayError =>
  new OverlayError(code, message, { details, ...(advice === undefined ? {} : { advice }) });

/** Cuts a list into lists of at most `size`, for messages of bounded length. */
export function* inBatches<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
