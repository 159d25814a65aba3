// An overlay from its record: what is in the way leaves nothing open, and no plugin is asked before it forwards.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import type { DatapathPort, DatapathSpec } from '../../../src/core/datapath/driver.ts';
import type { InstancePast, InstanceSpec, LookupInstance } from '../../../src/core/lookup/types.ts';
import type { OpenParts } from '../../../src/core/overlay/open.ts';
import { NO_PAST, restoreOverlay } from '../../../src/core/overlay/restore.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { ipOf } from '../../helpers/frames.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

function rig({ wrong = undefined as string | undefined, failure = undefined as Error | undefined } = {}) {
  const done: string[] = [];
  const opened: DatapathSpec[] = [];
  const made: { readonly spec: InstanceSpec; readonly past: InstancePast }[] = [];
  const traits = { mode: 'dynamic', point: undefined, group: false, resolves: true, servesDhcp: true, digests: {} } as const;
  const instance: LookupInstance = { ...traits, ask() {}, abort() {}, close: () => void done.push('instance closed') };
  const port: DatapathPort = {
    driver: 'tap',
    id: 3,
    linkIndex: 9,
    adopted: true,
    known: new Uint8Array(0),
    watch: () => undefined,
    counters: (counted) => counted,
    keep: () => void done.push('kept'),
    close: async () => void done.push('port closed'),
    release: async () => void done.push('port released'),
    setMtu() {},
    setPoint() {},
    move: async () => undefined,
  };
  const driver = {
    name: 'tap',
    refuse: () => undefined,
    isOwnSocket: () => false,
    open: async (spec: DatapathSpec) => {
      opened.push(spec);
      if (failure !== undefined) throw failure;
      return port;
    },
  } as const;
  const restoreInstance = (spec: InstanceSpec, past: InstancePast): LookupInstance => {
    made.push({ spec, past });
    return instance;
  };
  // Whatever else would be asked of plugins, kernel or configuration is not there.
  const parts = {
    hosts: { restoreInstance },
    kernel: {},
    drivers: [driver],
    checkFormat: () => wrong,
    compileHeader: () => Uint8Array.of(8, 0, 0, 0, 0, 0, 100, 0),
    overlay: { engine: { send: () => undefined, call: async () => undefined }, frames: {}, clock: new FakeClock(), log: silentLog },
    localAddresses: () => [],
    isVnic: () => false,
  } as unknown as OpenParts;
  return { parts, done, opened, made };
}

describe('restoreOverlay', () => {
  it('opens with what was known, asks no plugin, and goes on where it was', async () => {
    const { parts, done, opened, made } = rig();
    const targets = new Uint8Array(26);
    const { overlay, adopted } = await restoreOverlay(parts, overlayRecord('overlay0', { mtu: 1300 }), { targets, digests: { config: 'abc' } });
    expect(opened).toMatchObject([{ name: 'overlay0', mtu: 1300, vnetid: 100, restore: { targets } }]);
    expect(made).toMatchObject([
      {
        spec: { overlay: 'overlay0', plugin: 'files', values: { config: '/etc/overlayadm/map.json' }, setters: { config: { uid: 1000 } } },
        past: { created: { mode: 'dynamic', resolves: true }, digests: { config: 'abc' } },
      },
    ]);
    expect([adopted, done, overlay.facts.mtu, overlay.port?.id]).toEqual([true, ['kept'], 1300, 3]);
  });

  it('sends to its one destination, as it was', async () => {
    const { parts, opened } = rig();
    const lookup = { mode: 'point', point: { ip: ipOf('192.0.2.2'), port: 4789 }, group: false, resolves: false, servesDhcp: false } as const;
    await restoreOverlay(parts, overlayRecord('overlay0', { lookup }), NO_PAST);
    expect(opened[0]?.point).toEqual({ family: 4, ip: Uint8Array.of(192, 0, 2, 2), port: 4789 });
  });

  it.each<[string, Parameters<typeof rig>[0], Parameters<typeof overlayRecord>[1], string, readonly string[]]>([
    ['a header format that makes no sense', { wrong: 'vnetid is beyond the header' }, {}, 'STATE_DAMAGED', []],
    ['a data path that there is not', {}, { driver: 'kernel' }, 'DATAPATH_REFUSED', []],
    ['no destination', {}, { lookup: { mode: 'point', group: false, resolves: false, servesDhcp: false } }, 'DESTINATION_WRONG', []],
    [
      'a device that cannot be had',
      { failure: new OverlayError('LINK_EXISTS', 'overlay0: a link of this name exists') },
      {},
      'LINK_EXISTS',
      ['instance closed'],
    ],
  ])('is refused with %s, and leaves nothing open', async (_what, options, changes, code, done) => {
    const parts = rig(options);
    await expect(restoreOverlay(parts.parts, overlayRecord('overlay0', changes), NO_PAST)).rejects.toMatchObject({ code });
    expect(parts.done).toEqual(done);
  });
});
