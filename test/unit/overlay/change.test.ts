// Link properties of a live overlay: all of a command or nothing of it, whatever refuses; what is temporary does not get into what is saved.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Destination, defineProperties, type LookupAnswer, type LookupPlugin, OverlayError, type PropertyValues } from '@overlayadm/api';
import direct from '@overlayadm/plugin-direct';
import files from '@overlayadm/plugin-files';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { frame, ipOf, mac, textOf } from '../../helpers/frames.ts';
import { SimHost } from '../../helpers/sim-host.ts';
import { SimUnderlay } from '../../helpers/sim-io.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const properties = defineProperties([
  { name: 'place', type: 'string', access: 'rw', required: false, default: 'here', summary: 'where it looks', live: true },
  { name: 'brand', type: 'string', access: 'rw', required: false, default: 'none', summary: 'what it cannot change', live: false },
]);

/** Answers with what its instance was told; at `nowhere` it does not start, at `later` it does not answer. */
class Tunable {
  readonly asked: string[] = [];
  readonly running: string[] = [];
  /** Set it, and no instance starts before it is resolved. */
  mayStart: Promise<void> = Promise.resolve();
  readonly plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'tunable',
    properties,
    create: (_needs, values) => {
      const { place } = values as PropertyValues<typeof properties>;
      return {
        mode: 'dynamic',
        start: async () => {
          await this.mayStart;
          if (place === 'nowhere') throw new OverlayError('NOWHERE', 'there is nothing there');
          this.running.push(place);
        },
        stop: async () => {
          const index = this.running.indexOf(place);
          if (index >= 0) this.running.splice(index, 1);
        },
        lookup: ({ to }) => {
          this.asked.push(`${place} ${to}`);
          return place === 'later'
            ? new Promise<LookupAnswer>(() => undefined)
            : Promise.resolve({ kind: 'found', destination: PLACES[place] as Destination });
        },
      };
    },
  };
}
const at = (last: number): Destination => ({ ip: ipOf(`192.0.2.${last}`), port: 4789 });
const PLACES: Readonly<Record<string, Destination>> = { here: at(2), there: at(3) };

// What is saved waits for the disk, and the disk for whoever else uses it.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let host: SimHost;
let underlay: SimUnderlay;
let tunable: Tunable;
const listen = { 'vxlan/listen_ip': '192.0.2.1' };
const toSecond = { ...listen, 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

async function start(
  search: 'direct' | 'tunable' | 'files' = 'direct',
  more: Readonly<Record<string, string>> = {},
  temporary = false,
): Promise<void> {
  underlay = new SimUnderlay();
  tunable = new Tunable();
  host = new SimHost(underlay, ['192.0.2.1', '192.0.2.9', '2001:db8::1'], [vxlan, direct, files, tunable.plugin]);
  await host.start();
  await host.create('overlay0', search, 7, { ...(search === 'direct' ? toSecond : listen), ...more }, temporary);
}
afterEach(async () => {
  await host.destroy();
  expect([[...host.kernel.known.keys()], host.store.names, host.io.open]).toEqual([[], [], 1]);
});

const set = (values: Readonly<Record<string, string>> | readonly (readonly [string, string])[], temporary = false, link = 'overlay0') => {
  const pairs = Array.isArray(values) ? values : Object.entries(values);
  return host.call('linkprop.set', { link, properties: pairs.map(([name, text]) => ({ name, text })), temporary });
};
const reset = (names: readonly string[] | null, temporary = false) => host.call('linkprop.reset', { link: 'overlay0', properties: names, temporary });

async function shown(name: string): Promise<readonly [string | null, string | null]> {
  const row = (await host.call('linkprop.list', { link: 'overlay0' })).find(({ property }) => property === name);
  return [row?.value ?? null, row?.persistent ?? null];
}
const recordIn = (place: 'run' | 'state') => JSON.parse(readFileSync(join(host.directories[place], 'overlays', 'overlay0.json'), 'utf8')).overlay;

/** Everything that a change may change. */
async function everything() {
  const rows = await host.call('linkprop.list', { link: 'overlay0' });
  const records = [recordIn('run'), recordIn('state')];
  return { rows, records, links: [...host.kernel.known.values()], held: host.store.names, open: host.io.open, running: [...tunable.running] };
}
async function sendTo(target: number, text = 'x'): Promise<string[]> {
  host.io.tap('overlay0').out.push(frame(mac(target), mac(1), text));
  await host.turns();
  return underlay.carried.splice(0).map(({ from, to, bytes }) => `${from.split(' ')[0]} ${to} ${textOf(bytes.subarray(8))}`);
}

describe('mtu', () => {
  it('changes the link and what is saved, or with -t only the link; a restart keeps it, a reboot what is saved', async () => {
    await start();
    expect(await set({ mtu: '1300' })).toEqual({ warnings: [] });
    expect([host.kernel.link('overlay0')?.mtu, await shown('mtu')]).toEqual([1300, ['1300', '1300']]);
    await set({ mtu: '1200' }, true);
    expect([host.kernel.link('overlay0')?.mtu, await shown('mtu')]).toEqual([1200, ['1200', '1300']]);
    await host.restart();
    expect([host.kernel.link('overlay0')?.mtu, await shown('mtu')]).toEqual([1200, ['1200', '1300']]);
    await host.reboot();
    await host.call('overlay.up', { name: null });
    expect([host.kernel.link('overlay0')?.mtu, await shown('mtu')]).toEqual([1300, ['1300', '1300']]);
  });

  it('that does not fit the underlay is set, with a warning', async () => {
    await start();
    expect(await set({ mtu: '8900' })).toEqual({ warnings: [expect.stringContaining('192.0.2.1 carries 1500')] });
  });

  it('below that of VNICs is refused with their names; above, VNICs stay as they are', async () => {
    await start();
    await host.createVnic('vnic1', 'overlay0');
    await host.createVnic('vnic0', 'overlay0');
    await expect(set({ mtu: '1399' })).rejects.toMatchObject({
      code: 'LINK_BUSY',
      message: 'mtu: link busy (vnic0, vnic1)',
      advice: expect.stringContaining('mtu=1399 vnic0'),
    });
    expect([host.kernel.link('overlay0')?.mtu, await shown('mtu')]).toEqual([1400, ['1400', '1400']]);
    await set({ mtu: '1420' });
    expect([host.kernel.link('overlay0')?.mtu, host.kernel.link('vnic0')?.mtu]).toEqual([1420, 1400]);
  });

  it('that the kernel refuses is as it was', async () => {
    await start();
    const before = await everything();
    host.kernel.failing = 'setMtu';
    await expect(set({ mtu: '1300' })).rejects.toThrow('internal error');
    host.kernel.failing = undefined;
    expect(await everything()).toEqual(before);
  });
});

describe('what is refused', () => {
  it.each<[string, readonly (readonly [string, string])[], string]>([
    ['the port', [['vxlan/listen_port', '4790']], 'PROPERTY_FIXED'],
    ['the vnetid', [['vnetid', '9']], 'PROPERTY_FIXED'],
    ['what the plugin says is not live', [['tunable/brand', 'x']], 'PROPERTY_FIXED'],
    ['what is read-only', [['varpd/id', '9']], 'PROPERTY_READ_ONLY'],
    ['what nobody knows', [['tunable/nosuch', '9']], 'PROPERTY_UNKNOWN'],
    [
      'what is known before what nobody knows',
      [
        ['tunable/nosuch', '9'],
        ['vnetid', '9'],
      ],
      'PROPERTY_FIXED',
    ],
    ['what another plugin knows', [['files/config', '/x']], 'PROPERTY_UNKNOWN'],
    ['a value out of range', [['mtu', '575']], 'PROPERTY_INVALID'],
    ['a value that is none', [['mtu', 'x']], 'PROPERTY_INVALID'],
    ['a value that the plugin refuses', [['vxlan/listen_ip', '224.0.0.1']], 'PROPERTY_INVALID'],
    ['an address of the other family', [['vxlan/listen_ip', '2001:db8::1']], 'PROPERTY_FIXED'],
    ['an address of another host', [['vxlan/listen_ip', '192.0.2.99']], 'ADDRESS_NOT_HERE'],
    [
      'the same twice',
      [
        ['mtu', '1300'],
        ['mtu', '1200'],
      ],
      'PROPERTY_REPEATED',
    ],
    ['an instance that does not start', [['tunable/place', 'nowhere']], 'LOOKUP_START_FAILED'],
    [
      'the last of several',
      [
        ['mtu', '1300'],
        ['vxlan/listen_ip', '192.0.2.9'],
        ['tunable/place', 'nowhere'],
      ],
      'LOOKUP_START_FAILED',
    ],
    [
      'the last of several',
      [
        ['tunable/place', 'there'],
        ['mtu', '1300'],
        ['vnetid', '9'],
      ],
      'PROPERTY_FIXED',
    ],
  ])('%s (%j) changes nothing', async (_what, values, code) => {
    await start('tunable');
    const before = await everything();
    await expect(set(values)).rejects.toMatchObject({ code });
    await host.turns();
    expect(await everything()).toEqual(before);
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
  });

  it('a persistent change of what is temporary; a temporary one is fine', async () => {
    await start('direct', {}, true);
    await expect(set({ mtu: '1300' })).rejects.toMatchObject({ code: 'CHANGE_NOT_PERSISTENT', advice: 'Add -t.' });
    await set({ mtu: '1300' }, true);
    expect(await shown('mtu')).toEqual(['1300', null]);
  });

  it('a change of a link that there is not', async () => {
    await start();
    await expect(set({ mtu: '1300' }, false, 'nosuch')).rejects.toMatchObject({ code: 'LINK_NOT_FOUND' });
  });

  it.each(['run', 'state'] as const)('everything when it cannot be recorded in the %s directory', async (place) => {
    await start('tunable');
    const before = await everything();
    const folder = join(host.directories[place], 'overlays');
    renameSync(folder, `${folder}.away`);
    writeFileSync(folder, '');
    await expect(set({ mtu: '1300', 'vxlan/listen_ip': '192.0.2.9', 'tunable/place': 'there' })).rejects.toMatchObject({ code: 'STATE_NOT_SAVED' });
    rmSync(folder);
    renameSync(`${folder}.away`, folder);
    await host.turns();
    expect(await everything()).toEqual(before);
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
  });
});

describe('a property of the lookup plugin', () => {
  it('of one destination sends there from the next frame on', async () => {
    await start();
    expect(await sendTo(8, 'before')).toEqual(['192.0.2.1 192.0.2.2 4789 before']);
    await set({ 'direct/dest_ip': '192.0.2.3', 'direct/dest_port': '4790' });
    expect(await sendTo(8, 'after')).toEqual(['192.0.2.1 192.0.2.3 4790 after']);
    expect((await host.call('overlay.targets', { name: 'overlay0', after: null })).rows).toMatchObject([{ destination: '192.0.2.3:4790' }]);
    await host.restart();
    expect(await sendTo(8, 'later')).toEqual(['192.0.2.1 192.0.2.3 4790 later']);
  });

  it('that would send to this very host is refused', async () => {
    await start();
    const before = await everything();
    await expect(set({ 'direct/dest_ip': '192.0.2.1' })).rejects.toMatchObject({ code: 'DESTINATION_WRONG' });
    expect(await everything()).toEqual(before);
  });

  it('makes a new instance beside the old one: what is out is answered once, by the new one, and what was known is asked for anew', async () => {
    await start('tunable');
    expect(await sendTo(8, 'known')).toEqual(['192.0.2.1 192.0.2.2 4789 known']);
    await set({ 'tunable/place': 'later' });
    expect(await sendTo(9, 'waits')).toEqual([]);
    expect(await sendTo(8, 'waits too')).toEqual([]);
    tunable.asked.length = 0;
    await set({ 'tunable/place': 'there' });
    await host.turns();
    expect(tunable.asked.toSorted()).toEqual([`there ${mac(8)}`, `there ${mac(9)}`]);
    expect(
      underlay.carried
        .splice(0)
        .map(({ to, bytes }) => `${to} ${textOf(bytes.subarray(8))}`)
        .toSorted(),
    ).toEqual(['192.0.2.3 4789 waits', '192.0.2.3 4789 waits too']);
    expect(tunable.running).toEqual(['there']);
    expect(await host.counters('overlay0')).toMatchObject({ 'lookup.refused': 0 });
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
  });

  it('keeps what a person has set', async () => {
    await start('tunable');
    await host.call('target.set', { overlay: 'overlay0', mac: mac(8), destination: '192.0.2.77:4789' });
    await set({ 'tunable/place': 'there' });
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.77 4789 x']);
  });

  it('that names a file has it read as whoever set it', async () => {
    const folder = temporaryFolder();
    const write = (name: string, last: number): string => {
      const path = join(folder, name);
      writeFileSync(path, JSON.stringify({ [mac(8)]: { ip: `192.0.2.${last}`, port: 4789 } }));
      return path;
    };
    await start('files', { 'files/config': write('one.json', 2) });
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
    const other = write('two.json', 3);
    await set({ 'files/config': other });
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.3 4789 x']);
    expect(recordIn('state').setters).toEqual({ 'files/config': { uid: 0, gid: 0, groups: [] } });
    await expect(set({ 'files/config': join(folder, 'nosuch.json') })).rejects.toMatchObject({ code: 'LOOKUP_START_FAILED' });
    expect(await shown('files/config')).toEqual([other, other]);
  });

  it('set to what it is makes no new instance', async () => {
    await start('tunable');
    await sendTo(8);
    await set({ 'tunable/place': 'here' });
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
    expect(tunable.asked.length).toBe(1);
  });

  it('while the overlay is deleted comes to nothing, and leaves no instance', async () => {
    await start('tunable');
    const gate = Promise.withResolvers<void>();
    tunable.mayStart = gate.promise;
    const setting = set({ 'tunable/place': 'there' }).then(
      () => 'set',
      (error) => error.code,
    );
    await host.turns(20);
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    gate.resolve();
    await host.turns();
    expect([await setting, tunable.running]).toEqual(['OVERLAY_NOT_FOUND', []]);
  });
});

describe('listen_ip', () => {
  it('moves the overlay: it receives and sends there, and nothing is left of the other socket', async () => {
    await start();
    await set({ 'vxlan/listen_ip': '192.0.2.9' });
    expect(await sendTo(8)).toEqual(['192.0.2.9 192.0.2.2 4789 x']);
    expect(host.store.names).toEqual(['mux.c0000209.4789', 'tap.overlay0']);
    expect(await shown('vxlan/listen_ip')).toEqual(['192.0.2.9', '192.0.2.9']);
    const open = host.io.open;
    await host.restart();
    expect([host.io.open, host.store.names]).toEqual([open, ['mux.c0000209.4789', 'tap.overlay0']]);
  });
});

describe('what is temporary', () => {
  it('stays out of what is saved, also when something else is saved later', async () => {
    await start();
    await set({ 'direct/dest_ip': '192.0.2.3', 'vxlan/listen_ip': '192.0.2.9' }, true);
    await set({ mtu: '1300' });
    expect([await shown('direct/dest_ip'), await shown('vxlan/listen_ip')]).toEqual([
      ['192.0.2.3', '192.0.2.2'],
      ['192.0.2.9', '192.0.2.1'],
    ]);
    expect(await sendTo(8, 'now')).toEqual(['192.0.2.9 192.0.2.3 4789 now']);
    await host.reboot();
    await host.call('overlay.up', { name: null });
    expect(await sendTo(8, 'then')).toEqual(['192.0.2.1 192.0.2.2 4789 then']);
  });

  it('is told from what is saved in the same plugin', async () => {
    await start();
    await set({ 'direct/dest_ip': '192.0.2.3' }, true);
    await set({ 'direct/dest_port': '4790' });
    expect(await sendTo(8, 'now')).toEqual(['192.0.2.1 192.0.2.3 4790 now']);
    expect(recordIn('state').lookup.point).toEqual({ ip: '192.0.2.2', port: 4790 });
    await host.reboot();
    await host.call('overlay.up', { name: null });
    expect(await sendTo(8, 'then')).toEqual(['192.0.2.1 192.0.2.2 4790 then']);
  });
});

describe('two changes at once', () => {
  it('are both made', async () => {
    await start('tunable');
    await Promise.all([set({ 'tunable/place': 'there' }), set({ mtu: '1300' }), set({ 'vxlan/listen_ip': '192.0.2.9' })]);
    expect([await shown('tunable/place'), await shown('mtu'), await shown('vxlan/listen_ip')]).toEqual([
      ['there', 'there'],
      ['1300', '1300'],
      ['192.0.2.9', '192.0.2.9'],
    ]);
    expect(await sendTo(8)).toEqual(['192.0.2.9 192.0.2.3 4789 x']);
  });
});

describe('reset-linkprop', () => {
  it('goes back to the default of the plugin, one or all', async () => {
    await start('tunable');
    await set({ 'tunable/place': 'there', mtu: '1300' });
    await reset(['mtu']);
    expect([await shown('mtu'), await shown('tunable/place')]).toEqual([
      ['1400', '1400'],
      ['there', 'there'],
    ]);
    await set({ mtu: '1300' });
    await reset(null, true);
    expect([await shown('mtu'), await shown('tunable/place'), await shown('vxlan/listen_ip')]).toEqual([
      ['1400', '1300'],
      ['here', 'there'],
      ['192.0.2.1', '192.0.2.1'],
    ]);
    expect(await sendTo(8)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
  });

  it('goes back to the configured default before that of the plugin', async () => {
    await start('tunable');
    writeFileSync(
      join(host.directories.config, 'config.json'),
      JSON.stringify({ defaults: { mtu: 1234, 'tunable/place': 'there', 'vxlan/listen_ip': '192.0.2.9' } }),
      { mode: 0o600 },
    );
    await reset(null);
    expect([await shown('mtu'), await shown('tunable/place'), await shown('vxlan/listen_ip')]).toEqual([
      ['1234', '1234'],
      ['there', 'there'],
      ['192.0.2.9', '192.0.2.9'],
    ]);
    expect(await sendTo(8)).toEqual(['192.0.2.9 192.0.2.3 4789 x']);
  });

  it('of what has no default is refused, also of what cannot change', async () => {
    await start();
    const before = await everything();
    await expect(reset(['mtu', 'direct/dest_ip'])).rejects.toMatchObject({
      code: 'PROPERTY_NO_DEFAULT',
      message: 'direct/dest_ip: has no default to go back to',
    });
    await expect(reset(['vxlan/listen_port'])).rejects.toMatchObject({ code: 'PROPERTY_FIXED' });
    await expect(reset(['nosuch'])).rejects.toMatchObject({ code: 'PROPERTY_UNKNOWN', message: "invalid link property 'nosuch'" });
    writeFileSync(join(host.directories.config, 'config.json'), '{"defaults": {"mtu": "x"}}', { mode: 0o600 });
    await expect(reset(['mtu'])).rejects.toMatchObject({ code: expect.stringMatching(/^(PROPERTY_INVALID|CONFIG_INVALID)$/) });
    writeFileSync(join(host.directories.config, 'config.json'), '{', { mode: 0o600 });
    await expect(reset(null)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await everything()).toEqual(before);
  });
});

describe('targets that a person changes', () => {
  it('are set, removed and flushed', async () => {
    await start('tunable');
    await host.call('target.set', { overlay: 'overlay0', mac: '2:0:0:0:0:5', destination: '192.0.2.5:4789' });
    await host.call('target.set', { overlay: 'overlay0', mac: '02:00:00:00:00:06', destination: 'DROP' });
    expect(
      (await host.call('overlay.targets', { name: 'overlay0', after: null })).rows.map(({ target, destination }) => `${target} ${destination}`),
    ).toEqual(['2:0:0:0:0:5 192.0.2.5:4789', '2:0:0:0:0:6 drop']);
    expect(await sendTo(5)).toEqual(['192.0.2.1 192.0.2.5 4789 x']);
    expect(await sendTo(6)).toEqual([]);
    await host.call('target.remove', { overlay: 'overlay0', mac: '2:0:0:0:0:5' });
    await expect(host.call('target.remove', { overlay: 'overlay0', mac: '2:0:0:0:0:5' })).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND' });
    expect(tunable.asked).toEqual([]);
    expect(await sendTo(5)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
    await host.call('target.flush', { overlay: 'overlay0' });
    expect((await host.call('overlay.targets', { name: 'overlay0', after: null })).rows).toEqual([]);
    expect(await sendTo(6)).toEqual(['192.0.2.1 192.0.2.2 4789 x']);
  });

  it('are refused where there is no table of them, and for overlays that there are not', async () => {
    await start();
    const refused = { code: 'NOT_SUPPORTED', message: 'operation not supported' };
    await expect(host.call('target.set', { overlay: 'overlay0', mac: '2:0:0:0:0:5', destination: 'drop' })).rejects.toMatchObject(refused);
    await expect(host.call('target.remove', { overlay: 'overlay0', mac: '2:0:0:0:0:5' })).rejects.toMatchObject(refused);
    await expect(host.call('target.flush', { overlay: 'overlay0' })).rejects.toMatchObject(refused);
    await expect(host.call('target.flush', { overlay: 'nosuch' })).rejects.toMatchObject({ code: 'OVERLAY_NOT_FOUND' });
  });
});
