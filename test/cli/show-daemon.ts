// An overlayd without a network that has something to show: two overlays, three VNICs, plugins.
import { OverlayError } from '@overlayadm/api';
import type {
  HealthRow,
  LinkPropertyRow,
  LinkRow,
  LinkStatistics,
  PluginList,
  PropertyRow,
  TargetRow,
  VnicRow,
} from '../../src/core/rpc/protocol.ts';
import type { Handlers } from '../../src/core/rpc/server.ts';

const missing = (code: string, name: string) => new OverlayError(code, `${name}: object not found`, { advice: 'Look.' });

export const property = (overlay: string, name: string, value: string | null): PropertyRow => ({
  overlay,
  property: name,
  access: 'rw',
  required: false,
  value,
  default: null,
  possible: null,
});

const target = (overlay: string, n: number): TargetRow => ({
  overlay,
  target: `2:8:20:0:0:${n}`,
  destination: n === 2 ? 'drop' : '[2001:db8::1]:4789',
});

export const VNICS: readonly VnicRow[] = [
  { vnic: 'vnic0', overlay: 'overlay0', mac: '02:08:20:00:00:01', mtu: 1400, vid: null, netns: 'blue', state: 'up', persistent: true },
  { vnic: 'vnic1', overlay: 'overlay1', mac: '02:08:20:00:00:02', mtu: 1400, vid: 7, netns: null, state: 'up', persistent: false },
  {
    vnic: 'vnic2',
    overlay: 'overlay1',
    mac: '02:08:20:00:00:03',
    mtu: 1400,
    vid: null,
    netns: 'red',
    state: 'waiting for namespace red',
    persistent: true,
  },
];

export const LINKS: readonly LinkRow[] = [
  { link: 'overlay0', class: 'overlay', mtu: 1400, state: 'up', over: null, netns: null },
  { link: 'overlay1', class: 'overlay', mtu: 1400, state: 'up', over: null, netns: null },
  ...VNICS.map(({ vnic, mtu, state, overlay, netns }): LinkRow => ({ link: vnic, class: 'vnic', mtu, state, over: overlay, netns })),
];

export const PLUGINS: PluginList = {
  plugins: [
    {
      kind: 'encap',
      name: 'vxlan',
      package: '@overlayadm/plugin-vxlan',
      version: '0.1.0',
      api: 1,
      properties: ['vxlan/listen_ip'],
      uid: 0,
      pid: 12,
      problem: null,
    },
    { kind: 'lookup', name: 'odd', package: 'odd', version: '9.0.0', api: 7, properties: null, uid: 998, pid: null, problem: 'api 7, 1 is known' },
  ],
  problems: ['twice: left out, its name is taken by odd'],
};

const health = (overlay: string): HealthRow => {
  if (overlay === 'overlay1')
    return { overlay, status: 'DEGRADED', details: 'no \u001b[31mroute, 2 times', since: '2026-11-20T15:20:11.000Z', advice: 'mend it' };
  if (overlay === 'overlay3') return { overlay, status: 'DOWN', details: 'saved, not up', since: null, advice: 'overlayadm up-overlay overlay3' };
  return { overlay, status: 'ONLINE', details: null, since: null, advice: null };
};

const notUp = (name: string) => new OverlayError('OVERLAY_DOWN', `${name}: saved, but not up`, { advice: `Bring up ${name}.` });

const linkProperties = (link: string): LinkPropertyRow[] => {
  const row = (name: string, value: string | null, persistent: string | null, rest: Partial<LinkPropertyRow> = {}): LinkPropertyRow => ({
    link,
    property: name,
    access: 'rw',
    value,
    persistent,
    default: null,
    possible: null,
    ...rest,
  });
  const mtu = row('mtu', '1400', '1450', { default: '1400', possible: '576-8900' });
  return link.startsWith('vnic') ? [mtu, row('netns', null, 'blue')] : [mtu];
};

/** Counters that grow by one with every question. */
export function counting(): (link: string) => LinkStatistics {
  let asked = 0;
  return (link) => {
    const n = String(++asked);
    const isVnic = link.startsWith('vnic');
    const counts = { receivedFrames: n, receivedBytes: `${n}00`, sentFrames: n, sentBytes: `${n}00` };
    return {
      link,
      ...counts,
      misses: isVnic ? null : n,
      queued: isVnic ? null : n,
      drops: isVnic ? {} : { 'target.refused': n, 'target.queue-full': '3' },
    };
  };
}

function existing(kind: string, name: string): string {
  if (name === 'lo') throw new OverlayError(`${kind}_NOT_FOUND`, 'lo is not an overlay');
  if (name === 'odd0') throw new OverlayError('OVERLAY_ODD', 'odd0: its state cannot be read', { advice: 'Look.' });
  if (kind !== 'HEALTH' && name === 'overlay3') throw notUp(name);
  if (!/^(overlay|vnic)[0-9]$/.test(name)) throw missing(`${kind}_NOT_FOUND`, name);
  return name;
}

export function showHandlers(): Partial<Handlers> {
  const statistics = counting();
  return {
    'overlay.names': async ({ saved }) => ['overlay0', 'gone', 'overlay1', ...(saved ? ['overlay2', 'overlay3'] : [])],
    'overlay.properties': async ({ name }) => [property(existing('OVERLAY', name), 'mtu', '1400'), property(name, 'vxlan/listen_ip', '2001:db8::1')],
    'overlay.health': async ({ name }) => health(existing(name === 'overlay3' ? 'HEALTH' : 'OVERLAY', name)),
    'overlay.targets': async ({ name, after }) => {
      if (after === null) return { rows: [target(existing('OVERLAY', name), 1), target(name, 2)], next: 'second' };
      if (name === 'overlay1') throw missing('OVERLAY_NOT_FOUND', name);
      return { rows: after === 'second' ? [target(name, 3)] : [], next: after === 'second' ? 'third' : null };
    },
    'vnic.list': async ({ overlay }) => VNICS.filter((vnic) => vnic.overlay === (overlay ?? vnic.overlay)),
    'link.list': async () => LINKS,
    'link.statistics': async ({ link }) => statistics(existing('LINK', link)),
    'linkprop.list': async ({ link }) => linkProperties(existing('LINK', link)),
    'plugin.list': async () => PLUGINS,
  };
}
