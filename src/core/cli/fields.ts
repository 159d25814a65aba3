// The columns of the show commands (widths of illumos dladm.c where it has the column).
import type { HealthRow, LinkPropertyRow, LinkRow, LinkStatistics, PluginRow, PropertyRow, TargetRow, VnicRow } from '../rpc/protocol.ts';
import type { Field, Tone } from './table.ts';

/** The values of an overlay come with their dashes from dladm's callbacks: they are there in parsable mode too. */
const dashed = (value: string | null): string => value || '--';

export const PROPERTY_FIELDS: readonly Field<PropertyRow>[] = [
  { name: 'LINK', width: 19, value: (row) => row.overlay },
  { name: 'PROPERTY', width: 19, value: (row) => row.property },
  { name: 'PERM', width: 5, value: (row) => row.access },
  { name: 'REQ', width: 4, value: (row) => (row.required ? 'y' : '-') },
  { name: 'VALUE', width: 11, value: (row) => dashed(row.value) },
  { name: 'DEFAULT', width: 10, value: (row) => dashed(row.default) },
  { name: 'POSSIBLE', width: 10, value: (row) => dashed(row.possible) },
];

/** Why, since when (in UTC, to the second), and what to do. */
function healthDetails({ details, since, advice }: HealthRow): string {
  if (details === null) return '-';
  const began = since === null ? [] : [`since ${since.replace(/\.[0-9]+Z$/, 'Z')}`];
  return `${details} (${[...began, advice ?? 'no advice'].join('; ')})`;
}

const HEALTH_TONE = { ONLINE: 'good', DEGRADED: 'bad', DOWN: 'attention' } as const satisfies Record<HealthRow['status'], Tone>;

export const HEALTH_FIELDS: readonly Field<HealthRow>[] = [
  { name: 'LINK', width: 20, value: (row) => row.overlay },
  { name: 'STATUS', width: 8, value: (row) => row.status, tone: (row) => HEALTH_TONE[row.status] },
  // One dash, as the original prints; only its manual page says two.
  { name: 'DETAILS', width: 52, value: healthDetails, wraps: false },
];

export const TARGET_FIELDS: readonly Field<TargetRow>[] = [
  { name: 'LINK', width: 20, value: (row) => row.overlay },
  { name: 'TARGET', width: 18, value: (row) => row.target },
  { name: 'DESTINATION', width: 42, value: (row) => row.destination, tone: (row) => (row.destination === 'drop' ? 'attention' : undefined) },
];

export const VNIC_FIELDS: readonly Field<VnicRow>[] = [
  { name: 'LINK', width: 12, value: (row) => row.vnic },
  { name: 'OVER', width: 12, value: (row) => row.overlay },
  { name: 'MACADDRESS', width: 18, value: (row) => row.mac },
  { name: 'MTU', width: 7, value: (row) => String(row.mtu) },
  // 0 is the VLAN of untagged frames, in dladm's table too.
  { name: 'VID', width: 5, value: (row) => String(row.vid ?? 0) },
  { name: 'NETNS', width: 15, value: (row) => row.netns },
  { name: 'PERSISTENT', width: 11, value: (row) => (row.persistent ? 'y' : '-'), asked: true },
  { name: 'STATE', width: 9, value: (row) => row.state, wraps: false },
];

export const LINK_FIELDS: readonly Field<LinkRow>[] = [
  { name: 'LINK', width: 12, value: (row) => row.link },
  { name: 'CLASS', width: 10, value: (row) => row.class },
  { name: 'MTU', width: 7, value: (row) => String(row.mtu) },
  { name: 'STATE', width: 9, value: (row) => row.state, wraps: false },
  { name: 'OVER', width: 30, value: (row) => row.over },
  { name: 'NETNS', width: 15, value: (row) => row.netns, asked: true },
];

export const STATISTICS_FIELDS: readonly Field<LinkStatistics>[] = [
  { name: 'LINK', width: 12, value: (row) => row.link },
  { name: 'IPACKETS', width: 11, value: (row) => row.receivedFrames },
  { name: 'RBYTES', width: 13, value: (row) => row.receivedBytes },
  { name: 'OPACKETS', width: 11, value: (row) => row.sentFrames },
  { name: 'OBYTES', width: 13, value: (row) => row.sentBytes },
  { name: 'MISSES', width: 9, value: (row) => row.misses },
  { name: 'QUEUED', width: 9, value: (row) => row.queued },
  {
    name: 'DROPS',
    width: 30,
    value: ({ drops }) =>
      Object.entries(drops)
        .map(([reason, count]) => `${reason}=${count}`)
        .join(','),
  },
];

/** With `persistent`, the value is the one that a reboot brings back. */
export const linkPropertyFields = (persistent: boolean): readonly Field<LinkPropertyRow>[] => [
  { name: 'LINK', width: 13, value: (row) => row.link },
  { name: 'PROPERTY', width: 16, value: (row) => row.property },
  { name: 'PERM', width: 5, value: (row) => row.access },
  { name: 'VALUE', width: 15, value: (row) => (persistent ? row.persistent : row.value) },
  { name: 'DEFAULT', width: 15, value: (row) => row.default },
  { name: 'POSSIBLE', width: 20, value: (row) => row.possible },
];

export const PLUGIN_FIELDS: readonly Field<PluginRow>[] = [
  { name: 'KIND', width: 7, value: (row) => row.kind },
  { name: 'NAME', width: 12, value: (row) => row.name },
  { name: 'PACKAGE', width: 28, value: (row) => row.package },
  { name: 'VERSION', width: 9, value: (row) => row.version },
  { name: 'API', width: 4, value: (row) => String(row.api) },
  { name: 'UID', width: 6, value: (row) => String(row.uid) },
  { name: 'PID', width: 8, value: (row) => (row.pid === null ? null : String(row.pid)), asked: true },
  { name: 'PROBLEM', width: 30, value: (row) => row.problem, wraps: false, asked: true },
  // As dladm's for a value that cannot be had.
  { name: 'PROPERTIES', width: 30, value: (row) => row.properties?.join(',') ?? '?' },
];
