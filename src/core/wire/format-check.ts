// Is a header format, come from a plugin host as JSON, one that the packet loop can run? Any value in, a reason out.
import type { BitField, HeaderFormat, Match } from '@overlayadm/api';
import { HEADROOM_BYTES, MAX_FORMAT_MATCHES } from '../util/limits.ts';
import { readBits } from './bits.ts';

type Loose = Readonly<Record<string, unknown>>;

const DROP_REASON = /^[a-z][a-z0-9-]{0,30}\.[a-z][a-z0-9-]{0,30}$/;
const KERNEL_KINDS = ['vxlan', 'geneve', 'gretap'];

const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value);
const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
const isByte = (value: unknown): value is number => isWhole(value, 0, 255);
const areBytes = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isByte);

/** An object with exactly these fields, the ones marked with `?` optional. */
function whyNotShape(value: unknown, what: string, fields: readonly string[]): string | undefined {
  if (!isObject(value)) return `${what} is not an object`;
  const unknown = Object.keys(value).find((key) => !fields.includes(key) && !fields.includes(`${key}?`));
  if (unknown !== undefined) return `${what} has an unknown field`;
  const missing = fields.find((field) => !field.endsWith('?') && !Object.hasOwn(value, field));
  return missing === undefined ? undefined : `${what} has no field ${missing}`;
}

/**
 * Why `value` is not a usable HeaderFormat for these vnetids; undefined when it is one. Beyond the shape: every field lies
 * in the template, fields do not overlap, the template leaves them zero and passes its own `accept` list, the vnetid
 * field holds the whole range.
 */
export function checkFormat(value: unknown, vnetidRange: unknown): string | undefined {
  const fields = ['carrier', 'template', 'vnetid', 'accept', 'length', 'entropy', 'kernelKind?'];
  const shape = whyNotShape(value, 'format', fields);
  if (shape !== undefined) return shape;
  const loose = value as Loose;
  // Each of these may rely on the ones before it.
  return (
    whyNotTemplate(loose.template) ??
    whyNotCarrier(loose) ??
    whyNotFields(loose) ??
    whyNotRange(vnetidRange, (loose.vnetid as BitField).bits) ??
    whyNotAccept(loose as unknown as HeaderFormat)
  );
}

function whyNotTemplate(template: unknown): string | undefined {
  if (!areBytes(template)) return 'template is not a list of bytes';
  if (template.length < 4 || template.length > HEADROOM_BYTES || template.length % 4 !== 0)
    return `template has ${template.length} bytes, allowed are 4-${HEADROOM_BYTES} in steps of 4`;
  return undefined;
}

function whyNotCarrier({ carrier, entropy, kernelKind }: Loose): string | undefined {
  const over = isObject(carrier) ? carrier.over : undefined;
  if (over !== 'udp' && over !== 'ip') return 'carrier is neither over udp nor over ip';
  const shape = whyNotShape(carrier, 'carrier', over === 'udp' ? ['over'] : ['over', 'protocol']);
  if (shape !== undefined) return shape;
  const protocol = (carrier as Loose).protocol;
  if (over === 'ip' && !isWhole(protocol, 1, 255)) return 'carrier protocol is not a number of 1-255';
  if (entropy === 'udp-source-port' && over !== 'udp') return 'entropy is the UDP source port, but the carrier is not UDP';
  if (kernelKind === undefined) return undefined;
  if (typeof kernelKind !== 'string' || !KERNEL_KINDS.includes(kernelKind)) return `kernelKind is none of ${KERNEL_KINDS.join(', ')}`;
  const fits = kernelKind === 'gretap' ? protocol === 47 : over === 'udp';
  return fits ? undefined : `kernelKind ${kernelKind} does not fit the carrier`;
}

function whyNotField(field: unknown, name: string, templateBytes: number): string | undefined {
  const shape = whyNotShape(field, name, ['bit', 'bits']);
  if (shape !== undefined) return shape;
  const { bit, bits } = field as Loose;
  if (!isWhole(bits, 1, 32) || !isWhole(bit, 0, templateBytes * 8 - bits)) return `${name} is not a field of 1-32 bits inside the template`;
  return undefined;
}

const overlap = (a: BitField, b: BitField): boolean => a.bit < b.bit + b.bits && b.bit < a.bit + a.bits;

/** The bit fields of a format that is being checked, by name. */
function namedFields({ vnetid, entropy, length }: Loose): readonly [string, unknown][] {
  const fields: [string, unknown][] = [['vnetid', vnetid]];
  if (entropy !== 'udp-source-port') fields.push(['entropy', entropy]);
  if (isObject(length) && length.kind === 'counted') fields.push(['length count', length.count]);
  return fields;
}

function whyNotLength(length: unknown): string | undefined {
  const kind = isObject(length) ? length.kind : undefined;
  if (kind !== 'fixed' && kind !== 'counted') return 'length is neither fixed nor counted';
  const shape = whyNotShape(length, 'length', kind === 'fixed' ? ['kind'] : ['kind', 'count', 'unitBytes']);
  if (shape !== undefined || kind === 'fixed') return shape;
  return isWhole((length as Loose).unitBytes, 1, 255) ? undefined : 'length unitBytes is not a number of 1-255';
}

function whyNotFields(format: Loose): string | undefined {
  const length = whyNotLength(format.length);
  if (length !== undefined) return length;
  const template = Uint8Array.from(format.template as number[]);
  const fields = namedFields(format);
  for (const [index, [name, field]] of fields.entries()) {
    const reason = whyNotField(field, name, template.length);
    if (reason !== undefined) return reason;
    const other = fields.slice(0, index).find(([, before]) => overlap(before as BitField, field as BitField));
    if (other !== undefined) return `${other[0]} and ${name} overlap`;
    if (readBits(template, 0, field as BitField) !== 0) return `template is not zero where ${name} stands`;
  }
  return undefined;
}

function whyNotRange(range: unknown, bits: number): string | undefined {
  if (!isObject(range) || !isWhole(range.min, 0, 0xffff_ffff) || !isWhole(range.max, range.min, 0xffff_ffff))
    return 'the vnetid range is not {min, max} of 0-4294967295';
  return range.max < 2 ** bits ? undefined : `vnetid ${range.max} does not fit into ${bits} bits`;
}

function whyNotAccept(format: HeaderFormat): string | undefined {
  if (!Array.isArray(format.accept)) return 'accept is not a list';
  if (format.accept.length > MAX_FORMAT_MATCHES) return `accept has ${format.accept.length} entries, at most ${MAX_FORMAT_MATCHES} are allowed`;
  for (const [index, match] of format.accept.entries()) {
    const reason = whyNotMatch(format, match, `accept[${index}]`);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function whyNotMatch(format: HeaderFormat, value: unknown, what: string): string | undefined {
  const shape = whyNotShape(value, what, ['at', 'mask', 'value', 'dropReason']);
  if (shape !== undefined) return shape;
  const match = value as Match;
  if (!areBytes(match.mask) || !areBytes(match.value) || match.mask.length === 0) return `${what}: mask and value are not lists of bytes`;
  if (match.mask.length !== match.value.length) return `${what}: mask and value differ in length`;
  if (!isWhole(match.at, 0, format.template.length - match.mask.length)) return `${what} is not inside the template`;
  if (typeof match.dropReason !== 'string' || !DROP_REASON.test(match.dropReason)) return `${what}: dropReason is not of the form area.reason`;
  // A field that changes from packet to packet, or from overlay to overlay, cannot be compared with one value.
  const covered = namedFields(format as unknown as Loose).find(([name, field]) => name !== 'length count' && masks(match, field as BitField));
  if (covered !== undefined) return `${what} compares bits of ${covered[0]}`;
  const passes = match.mask.every((mask, i) => ((format.template[match.at + i] as number) & mask) === match.value[i]);
  return passes ? undefined : `${what}: the template itself does not pass`;
}

function masks(match: Match, field: BitField): boolean {
  const bytes = new Uint8Array(HEADROOM_BYTES);
  bytes.set(match.mask, match.at);
  return readBits(bytes, 0, field) !== 0;
}
