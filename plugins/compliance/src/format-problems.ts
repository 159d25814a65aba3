// What can be wrong with a header format and with the table row of an encapsulation, each as a sentence.
import type { BitField, DestinationField, EncapPlugin, HeaderFormat, Match } from '@overlayadm/api';
import { readField } from './reference-codec.ts';

/** Names of providers: they are prefixes of properties and words on the command line. */
export const PROVIDER_NAME = /^[a-z][a-z0-9]{0,30}$/;
const DROP_REASON = /^[a-z][a-z0-9]*\.[a-z0-9]+(-[a-z0-9]+)*$/;

const isWhole = (value: number, min: number, max: number): boolean => Number.isInteger(value) && value >= min && value <= max;
const isByte = (value: number): boolean => isWhole(value, 0, 255);
const overlap = (a: BitField, b: BitField): boolean => a.bit < b.bit + b.bits && b.bit < a.bit + a.bits;

function fieldsOf(format: HeaderFormat): Readonly<Record<string, BitField>> {
  return {
    vnetid: format.vnetid,
    ...(format.entropy === 'udp-source-port' ? {} : { entropy: format.entropy }),
    ...(format.length.kind === 'counted' ? { count: format.length.count } : {}),
  };
}

function fieldProblems(format: HeaderFormat): string[] {
  const problems: string[] = [];
  const fields = Object.entries(fieldsOf(format));
  const templateBits = 8 * format.template.length;
  for (const [index, [name, field]] of fields.entries()) {
    if (!isWhole(field.bits, 1, 32)) problems.push(`${name}: ${field.bits} bits, 1-32 are possible`);
    if (!isWhole(field.bit, 0, templateBits - field.bits)) problems.push(`${name}: bit ${field.bit} is outside the template`);
    if (readField(format.template, field) !== 0) problems.push(`${name}: the template is not zero there`);
    for (const [other, taken] of fields.slice(0, index)) if (overlap(field, taken)) problems.push(`${name}: overlaps ${other}`);
  }
  return problems;
}

/** The bits of byte `at` that belong to the field. */
function fieldMask(field: BitField, at: number): number {
  let mask = 0;
  for (let bit = 0; bit < 8; bit++) if (8 * at + bit >= field.bit && 8 * at + bit < field.bit + field.bits) mask |= 0x80 >> bit;
  return mask;
}

const maskCovers = (match: Match, field: BitField): boolean => match.mask.some((mask, i) => (mask & fieldMask(field, match.at + i)) !== 0);

function matchProblems(format: HeaderFormat, match: Match, index: number): string[] {
  const where = `accept ${index} (${match.dropReason})`;
  const problems: string[] = [];
  if (!DROP_REASON.test(match.dropReason)) problems.push(`${where}: the reason has to look like area.reason-in-words`);
  if (match.mask.length === 0 || match.mask.length !== match.value.length) problems.push(`${where}: mask and value have different lengths, or none`);
  if (![...match.mask, ...match.value].every(isByte)) problems.push(`${where}: mask and value have to be bytes`);
  if (!isWhole(match.at, 0, format.template.length - match.mask.length)) problems.push(`${where}: is outside the template`);
  if (match.mask.every((mask) => mask === 0)) problems.push(`${where}: compares nothing`);
  if (match.value.some((value, i) => (value & ~(match.mask[i] ?? 0)) !== 0)) problems.push(`${where}: can never match, value has bits outside mask`);
  for (const [name, field] of Object.entries(fieldsOf(format))) if (maskCovers(match, field)) problems.push(`${where}: compares bits of ${name}`);
  if (match.mask.some((mask, i) => ((format.template[match.at + i] ?? 0) & mask) !== match.value[i]))
    problems.push(`${where}: the template fails it`);
  return problems;
}

/** Everything that a host would refuse a format for, and what would make it useless; empty when it is right. */
export function formatProblems(format: HeaderFormat): string[] {
  const { template, carrier, length, entropy } = format;
  const problems: string[] = [];
  if (template.length % 4 !== 0 || !isWhole(template.length, 4, 64))
    problems.push(`template: ${template.length} bytes, 4-64 in steps of 4 are possible`);
  if (!template.every(isByte)) problems.push('template: has to be bytes');
  if (carrier.over === 'ip' && !isWhole(carrier.protocol, 1, 255)) problems.push(`carrier: IP protocol ${carrier.protocol}, 1-255 are possible`);
  if (carrier.over === 'ip' && entropy === 'udp-source-port') problems.push('entropy: there is no UDP source port over IP');
  if (length.kind === 'counted' && !isWhole(length.unitBytes, 1, 256)) problems.push(`length: units of ${length.unitBytes} bytes`);
  problems.push(...fieldProblems(format));
  for (const [index, match] of format.accept.entries()) problems.push(...matchProblems(format, match, index));
  return problems;
}

const KNOWN_NEEDS: readonly DestinationField[] = ['ethernet', 'ip', 'port'];

/** What does not go together in an encapsulation: name, needs, range of identifiers, usual port. */
export function encapProblems(plugin: EncapPlugin): string[] {
  const { needs, vnetid, format, usualPort } = plugin;
  const problems: string[] = [];
  if (plugin.kind !== 'encap') problems.push(`kind: ${plugin.kind}, has to be encap`);
  if (!PROVIDER_NAME.test(plugin.name)) problems.push(`name: ${plugin.name} is no provider name`);
  if (new Set(needs).size !== needs.length || !needs.every((need) => KNOWN_NEEDS.includes(need))) problems.push('needs: unknown or repeated field');
  if (!needs.includes('ip')) problems.push('needs: both carriers need an IP address');
  if (needs.includes('port') !== (format.carrier.over === 'udp')) problems.push('needs: a port is needed exactly over UDP');
  if (usualPort !== undefined && !(needs.includes('port') && isWhole(usualPort, 1, 65535))) problems.push(`usualPort: ${usualPort} has no use`);
  if (!isWhole(vnetid.min, 0, vnetid.max) || !isWhole(vnetid.max, 0, 2 ** format.vnetid.bits - 1))
    problems.push('vnetid: range does not fit the field');
  return problems;
}
