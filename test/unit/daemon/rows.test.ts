// Rows of the listings from an overlay, as data.
import { describe, expect, it } from 'vitest';
import { brokenRow, healthRow, linkPropertyRows, overlayStatistics, propertyRows, targetPage, vnicRow } from '../../../src/core/daemon/rows.ts';
import type { ProviderTable } from '../../../src/core/lookup/types.ts';
import { Health } from '../../../src/core/overlay/health.ts';
import type { Overlay, Target } from '../../../src/core/overlay/overlay.ts';
import { factsOf } from '../../../src/core/overlay/record.ts';
import { MAX_PAGE_ROWS } from '../../../src/core/util/limits.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { mac } from '../../helpers/frames.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

/** As much of an overlay as a row needs. */
function overlayWith(parts: { targets?: (after: number) => readonly Target[] | undefined; point?: string; properties?: unknown[] }): Overlay {
  const facts = {
    name: 'overlay0',
    id: 4,
    vnetid: 100,
    encap: { name: 'vxlan' },
    search: 'files',
    datapath: 'tap (auto)',
    properties: parts.properties ?? [],
  };
  const targets = async (after: number): Promise<readonly Target[] | undefined> => parts.targets?.(after);
  return { facts, health: new Health(new FakeClock(), () => undefined), targets, point: () => parts.point } as unknown as Overlay;
}

const property = (fullName: string, value?: unknown) => ({
  fullName,
  value,
  description: { name: fullName, type: 'string', access: 'r-', required: false, summary: '', live: false },
});

describe('targetPage', () => {
  const all = Array.from({ length: MAX_PAGE_ROWS + 3 }, (_, i) => ({ mac: mac(i), destination: `192.0.2.2:${i + 1}` }));
  const targets = (after: number): readonly Target[] => all.filter((target) => macToKey(target.mac) > after).slice(0, MAX_PAGE_ROWS);

  it('walks through every target once, page by page', async () => {
    const overlay = overlayWith({ targets });
    const first = await targetPage(overlay, null);
    expect(first.rows.length).toBe(MAX_PAGE_ROWS);
    expect(first.rows[1]).toEqual({ overlay: 'overlay0', target: '2:0:0:0:0:1', destination: '192.0.2.2:2' });
    const second = await targetPage(overlay, first.next);
    expect(second).toMatchObject({ rows: [{ destination: '192.0.2.2:501' }, {}, {}], next: null });
  });

  it('begins anew with a mark that is none', async () => {
    const overlay = overlayWith({ targets });
    for (const after of ['x', '1e999', '1.5']) expect((await targetPage(overlay, after)).rows[0]).toMatchObject({ target: '2:0:0:0:0:0' });
  });

  it('of a point is its one destination, and nothing once the overlay is closed', async () => {
    const rows = [{ overlay: 'overlay0', target: '*:*:*:*:*:*', destination: '192.0.2.2:4789' }];
    expect(await targetPage(overlayWith({ point: '192.0.2.2:4789' }), null)).toEqual({ rows, next: null });
    expect(await targetPage(overlayWith({}), null)).toEqual({ rows: [], next: null });
  });
});

describe('healthRow', () => {
  it('is ONLINE, or DEGRADED with the reason', () => {
    const overlay = overlayWith({});
    expect(healthRow(overlay)).toEqual({ overlay: 'overlay0', status: 'ONLINE', details: null, since: null, advice: null });
    overlay.health.degrade('plugin', 'no directory');
    expect(healthRow(overlay)).toEqual({
      overlay: 'overlay0',
      status: 'DEGRADED',
      details: 'no directory',
      since: '2026-01-01T00:00:00.000Z',
      advice: expect.stringMatching(/./),
    });
  });
});

describe('propertyRows', () => {
  it('takes what is not set with -p from the overlay, and what is possible from the plugins there are', () => {
    const names = ['vnetid', 'encap', 'datapath', 'varpd/id', 'search', 'vxlan/listen_ip', 'files/config'];
    const overlay = overlayWith({ properties: names.map((name) => property(name, name === 'files/config' ? '/net.json' : undefined)) });
    const provider = (kind: 'encap' | 'lookup', name: string) => ({ kind, name, package: name, version: '1', root: '/', module: './x.js', api: 1 });
    const table: ProviderTable = { providers: [provider('lookup', 'svp'), provider('lookup', 'files'), provider('encap', 'vxlan')], problems: [] };
    const rows = Object.fromEntries(propertyRows(overlay, table).map((row) => [row.property, row]));
    expect(names.map((name) => rows[name]?.value)).toEqual(['100', 'vxlan', 'tap (auto)', '4', 'files', null, '/net.json']);
    expect(rows.search?.possible).toBe('files,svp');
    expect(rows.encap?.possible).toBe('vxlan');
  });
});

describe('linkPropertyRows', () => {
  const record = overlayRecord('overlay0', { mtu: 1300 });
  const overlay = { facts: factsOf(overlayRecord('overlay0')) } as Overlay;
  const row = (saved: Parameters<typeof linkPropertyRows>[1], name: string) =>
    linkPropertyRows(overlay, saved).find(({ property: found }) => found === name);

  it('shows what holds now beside what is saved, and what can be set', () => {
    expect(row(record, 'mtu')).toEqual({
      link: 'overlay0',
      property: 'mtu',
      access: 'rw',
      value: '1400',
      persistent: '1300',
      default: '1400',
      possible: '576-8900',
    });
    expect(row(record, 'vxlan/listen_port')).toMatchObject({ access: 'r-', value: '4789', persistent: '4789' });
    expect(row(record, 'files/config')).toMatchObject({ access: 'rw', value: '/etc/overlayadm/map.json' });
  });

  it('shows no saved value of a temporary overlay, and nothing that -e, -s and -v have set', () => {
    expect(linkPropertyRows(overlay, undefined).map(({ persistent }) => persistent)).not.toContainEqual(expect.stringMatching(/./));
    for (const name of ['vnetid', 'encap', 'search', 'varpd/id']) expect(row(record, name)).toBeUndefined();
  });
});

describe('brokenRow', () => {
  it('is degraded since when it broke', () => {
    const since = new Date(Date.UTC(2026, 0, 1));
    expect(brokenRow('overlay0', { reason: 'is empty', advice: 'mend it', since })).toEqual({
      overlay: 'overlay0',
      status: 'DEGRADED',
      details: 'is empty',
      since: '2026-01-01T00:00:00.000Z',
      advice: 'mend it',
    });
  });
});

describe('overlayStatistics', () => {
  it('counts what came in, what was sent, and every drop that has occurred by its reason', () => {
    const counters = {
      'rx.frames': 3,
      'rx.bytes': 300,
      'tx.frames': 2,
      'tx.bytes': 2 ** 52,
      'lookup.asked': 4,
      'question.asked': 1,
      'lookup.queued': 9,
    };
    expect(overlayStatistics('overlay0', { ...counters, 'lookup.refused': 2, 'target.drop': 0 })).toEqual({
      link: 'overlay0',
      receivedFrames: '3',
      receivedBytes: '300',
      sentFrames: '2',
      sentBytes: '4503599627370496',
      misses: '5',
      queued: '9',
      drops: { 'lookup.refused': '2' },
    });
  });
});

describe('vnicRow', () => {
  it('shows the address as dladm does, and what it has not as null', () => {
    const vnic = {
      name: 'vnic0',
      overlay: 'overlay0',
      mac: mac(0x0a_0b),
      mtu: 1400,
      netns: undefined,
      vid: undefined,
      index: 3,
      state: 'up',
      persistent: true,
    };
    const row = { vnic: 'vnic0', overlay: 'overlay0', mac: '2:0:0:0:a:b', mtu: 1400, netns: null, vid: null, state: 'up', persistent: true };
    expect(vnicRow(vnic)).toEqual(row);
    expect(vnicRow({ ...vnic, netns: 'blue', vid: 7 })).toEqual({ ...row, netns: 'blue', vid: 7 });
  });
});
