// The columns of the show commands (widths of illumos dladm.c).
import type { HealthRow, PropertyRow, TargetRow, VnicRow } from '../rpc/protocol.ts';
import type { Field } from './table.ts';

export const PROPERTY_FIELDS: readonly Field<PropertyRow>[] = [
  { name: 'LINK', width: 19, value: (row) => row.overlay },
  { name: 'PROPERTY', width: 19, value: (row) => row.property },
  { name: 'PERM', width: 5, value: (row) => row.access },
  { name: 'REQ', width: 4, value: (row) => (row.required ? 'y' : '-') },
  { name: 'VALUE', width: 11, value: (row) => row.value },
  { name: 'DEFAULT', width: 10, value: (row) => row.default },
  { name: 'POSSIBLE', width: 10, value: (row) => row.possible },
];

/** Why, since when (in UTC, to the second), and what to do. */
function healthDetails({ details, since, advice }: HealthRow): string {
  if (details === null) return '-';
  return `${details} (since ${since?.replace(/\.[0-9]+Z$/, 'Z') ?? '?'}; ${advice ?? 'no advice'})`;
}

export const HEALTH_FIELDS: readonly Field<HealthRow>[] = [
  { name: 'LINK', width: 20, value: (row) => row.overlay },
  { name: 'STATUS', width: 8, value: (row) => row.status },
  // One dash, as the original prints; only its manual page says two.
  { name: 'DETAILS', width: 52, value: healthDetails, wraps: false },
];

export const TARGET_FIELDS: readonly Field<TargetRow>[] = [
  { name: 'LINK', width: 20, value: (row) => row.overlay },
  { name: 'TARGET', width: 18, value: (row) => row.target },
  { name: 'DESTINATION', width: 42, value: (row) => row.destination },
];

export const VNIC_FIELDS: readonly Field<VnicRow>[] = [
  { name: 'LINK', width: 12, value: (row) => row.vnic },
  { name: 'OVER', width: 12, value: (row) => row.overlay },
  { name: 'MACADDRESS', width: 18, value: (row) => row.mac },
  { name: 'MTU', width: 7, value: (row) => String(row.mtu) },
  { name: 'NETNS', width: 15, value: (row) => row.netns },
];
