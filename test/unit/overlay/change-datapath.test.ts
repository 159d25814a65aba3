// Another data path for a live overlay: refused while links stand on it; what it knew goes along; when the new one refuses the old one is back.
import { OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { frameDoor } from '../../../src/core/daemon/frames.ts';
import type { DatapathDriver, DatapathPort, DatapathSpec, DriverName } from '../../../src/core/datapath/driver.ts';
import { selectDriver } from '../../../src/core/datapath/select.ts';
import type { CacheExport, EngineCall } from '../../../src/core/engine/messages.ts';
import { readTargets, writeTargets } from '../../../src/core/engine/snapshot.ts';
import type { UpperLink } from '../../../src/core/linux/types.ts';
import type { LookupInstance } from '../../../src/core/lookup/types.ts';
import { changeDatapath, type DatapathChangeParts } from '../../../src/core/overlay/change-datapath.ts';
import { Overlay } from '../../../src/core/overlay/overlay.ts';
import { factsOf, type OverlayRecord } from '../../../src/core/overlay/record.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { Unwind } from '../../../src/core/util/unwind.ts';
import { to } from '../../helpers/engine-rig.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { mac } from '../../helpers/frames.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

const key = (last: number): number => 0x02_00_00_00_00_00 + last;
const record = overlayRecord('overlay0', { vnetid: 5, driver: 'tap', datapath: 'tap' });

/** The record as it is to be with this data path, and perhaps another MTU. */
const wanting = (datapath: string, mtu = 1400): OverlayRecord => ({
  ...record,
  properties: record.properties.map((property) => {
    if (property.fullName === 'datapath') return { ...property, value: datapath };
    return property.fullName === 'mtu' ? { ...property, value: mtu } : property;
  }),
});

/** A driver that notes what it opens. */
class NotedDriver implements DatapathDriver {
  readonly name: DriverName;
  readonly specs: DatapathSpec[] = [];
  /** Why it refuses from the start, and what open() throws. */
  refusal: string | undefined;
  error: Error | undefined;
  readonly #calls: string[];
  readonly #nextId: () => number;

  constructor(name: DriverName, calls: string[], nextId: () => number) {
    this.name = name;
    this.#calls = calls;
    this.#nextId = nextId;
  }

  refuse = (_spec: unknown, except?: string): string | undefined => (except === 'overlay0' ? this.refusal : `${except} is another overlay`);
  isOwnSocket = (): boolean => false;
  ready = async (): Promise<void> => undefined;
  discard = (): void => undefined;

  open = async (spec: DatapathSpec): Promise<DatapathPort> => {
    this.#calls.push(`open ${this.name}`);
    this.specs.push(spec);
    if (this.error !== undefined) throw this.error;
    const id = this.#nextId();
    const calls = this.#calls;
    return {
      driver: this.name,
      id,
      linkIndex: 70 + id,
      adopted: false,
      known: spec.restore?.targets ?? new Uint8Array(0),
      watch: () => void calls.push(`watch ${id}`),
      counters: (counted) => counted,
      keep: () => void calls.push(`keep ${id}`),
      close: async () => void calls.push(`close ${id}`),
      release: async () => undefined,
      setMtu: () => undefined,
      setPoint: () => undefined,
      move: async () => undefined,
    };
  };
}

const TARGETS = [
  { mac: key(9), to: to(2), fixed: true },
  { mac: key(10), to: 'drop', fixed: false },
] as const;

async function rig() {
  const calls: string[] = [];
  let last = 0;
  const nextId = (): number => ++last;
  const tap = new NotedDriver('tap', calls, nextId);
  const kernel = new NotedDriver('kernel', calls, nextId);
  const above: Partial<UpperLink>[] = [];
  const links = { linkMac: mac(5) as ReturnType<typeof mac> | undefined };
  const exported: number[] = [];
  const engine = {
    send: () => undefined,
    // The targets in two parts.
    call: async (message: EngineCall): Promise<CacheExport | undefined> => {
      if (message.op !== 'cacheExport') return undefined;
      exported.push(message.port);
      return { records: writeTargets([TARGETS[message.from === 0 ? 0 : 1]]), next: message.from === 0 ? 1 : -1 };
    },
  };
  const instance: LookupInstance = {
    mode: 'dynamic',
    point: undefined,
    group: false,
    resolves: true,
    servesDhcp: false,
    digests: {},
    ask() {},
    abort() {},
    close() {},
  } as unknown as LookupInstance;
  const shared = { engine, frames: frameDoor, clock: new FakeClock(), log: silentLog };
  const overlay = new Overlay(factsOf(record), {
    ...shared,
    healthLog: silentLog,
    check: () => ({ ok: false, reason: 'nobody asks' }),
    mtuTo: () => undefined,
    isVnic: () => false,
  });
  const reopened: (readonly [number | undefined, number])[] = [];
  const parts = {
    select: selectDriver,
    drivers: [kernel, tap],
    kernel: { link: () => ({ mac: links.linkMac }), linksAbove: () => above },
    overlay: shared,
    compileHeader: () => new Uint8Array(8),
    reopened: (changed: Overlay, before: number) => void reopened.push([changed.port?.id, before]),
    whileRemade: async (name: string, work: () => Promise<unknown>) => {
      calls.push(`hold ${name}`);
      return await work().finally(() => calls.push(`let go of ${name}`));
    },
  } as unknown as DatapathChangeParts;
  overlay.activate(await tap.open({} as DatapathSpec), instance, overlay.newDoor());
  tap.specs.length = 0;
  calls.length = 0;
  const failed: unknown[] = [];
  const unwind = new Unwind((error) => void failed.push(error));
  const change = (next: OverlayRecord) => changeDatapath(parts, overlay, next, unwind);
  const undo = () => unwind[Symbol.asyncDispose]();
  return { calls, tap, kernel, above, links, exported, overlay, reopened, unwind, failed, change, undo };
}

const MOVED = ['hold overlay0', 'close 1', 'open kernel', 'watch 2', 'keep 2', 'let go of overlay0'];

describe('another data path', () => {
  it('takes the place of the old one with MAC address, MTU and targets', async () => {
    const { calls, kernel, exported, overlay, reopened, change } = await rig();
    expect(await change(wanting('kernel', 1300))).toEqual({ driver: 'kernel', datapath: 'kernel' });
    expect(calls).toEqual(MOVED);
    expect([overlay.port?.driver, reopened, exported]).toEqual(['kernel', [[2, 1]], [1, 1]]);
    const [spec] = kernel.specs;
    expect(spec).toMatchObject({ name: 'overlay0', mtu: 1300, vnetid: 5, restore: { mac: mac(5), isMoved: true } });
    expect([...readTargets(Uint8Array.from(spec?.restore?.targets ?? []))]).toEqual(TARGETS);
  });

  it('of a link without address draws one', async () => {
    const { kernel, links, change } = await rig();
    links.linkMac = undefined;
    await change(wanting('kernel'));
    expect(Object.keys(kernel.specs[0]?.restore ?? {})).not.toContain('mac');
  });

  it('by auto is the first that can, with the reasons of those that cannot, and the one there is stays as it is', async () => {
    const { calls, kernel, overlay, change } = await rig();
    kernel.refusal = 'this kernel has no vxlan';
    expect(await change(wanting('auto'))).toEqual({ driver: 'tap', datapath: 'tap (auto; kernel: this kernel has no vxlan)' });
    expect([calls, overlay.port?.id]).toEqual([[], 1]);
    kernel.refusal = undefined;
    expect(await change(wanting('auto'))).toEqual({ driver: 'kernel', datapath: 'kernel (auto)' });
    expect(calls).toEqual(MOVED);
  });

  it('is none when it is the one there is already, also while links stand on it', async () => {
    const { calls, above, change } = await rig();
    above.push({ name: 'vnic0', netns: undefined });
    expect(await change(wanting('tap'))).toEqual({ driver: 'tap', datapath: 'tap' });
    expect(calls).toEqual([]);
  });

  it('is refused while links stand on the old one, with all their names, and nothing is touched', async () => {
    const { calls, above, overlay, exported, change, undo } = await rig();
    above.push({ name: 'vnic0', netns: undefined }, { name: 'eth0', netns: 'blue' });
    await expect(change(wanting('kernel'))).rejects.toMatchObject({
      code: 'LINK_BUSY',
      message: 'datapath: link busy (vnic0, eth0 in blue)',
      details: { overlay: 'overlay0', links: ['vnic0', 'eth0 in blue'] },
      advice: expect.stringContaining('delete-vnic vnic0'),
    });
    await undo();
    expect([calls, overlay.port?.id, exported]).toEqual([['hold overlay0', 'let go of overlay0'], 1, []]);
  });

  it('that refuses from the start is refused with its reason, and nothing is touched', async () => {
    const { calls, kernel, change } = await rig();
    kernel.refusal = 'the port is carried by tap for overlay7';
    await expect(change(wanting('kernel'))).rejects.toMatchObject({
      code: 'DATAPATH_REFUSED',
      details: { reasons: ['kernel: the port is carried by tap for overlay7'] },
    });
    expect(calls).toEqual([]);
  });

  it('that cannot be opened leaves the old one, made anew with what it knew', async () => {
    const { calls, tap, kernel, overlay, reopened, failed, change, undo } = await rig();
    kernel.error = new OverlayError('PORT_IN_USE', 'the port is in use');
    await expect(change(wanting('kernel'))).rejects.toBe(kernel.error);
    expect(calls).toEqual(['hold overlay0', 'close 1', 'open kernel', 'open tap', 'watch 2', 'keep 2', 'let go of overlay0']);
    expect([overlay.port?.driver, overlay.port?.id, reopened]).toEqual(['tap', 2, [[2, 1]]]);
    expect(tap.specs[0]?.restore).toMatchObject({ mac: mac(5), isMoved: true });
    expect([...readTargets(Uint8Array.from(tap.specs[0]?.restore?.targets ?? []))]).toEqual(TARGETS);
    calls.length = 0;
    await undo();
    expect([calls, failed]).toEqual([[], []]);
  });

  it('that cannot be opened, nor the old one, is said to be so, with the first reason', async () => {
    const { tap, kernel, overlay, change } = await rig();
    kernel.error = new Error('the first');
    tap.error = new Error('the second');
    await expect(change(wanting('kernel'))).rejects.toThrow('the first');
    expect(overlay.health.report()?.reason).toContain('neither the new one nor the old one can be made (the second)');
  });

  it('of an overlay that is deleted meanwhile is closed again, and nothing else is made', async () => {
    const { calls, kernel, overlay, change } = await rig();
    const { open } = kernel;
    kernel.open = async (spec) => {
      const port = await open(spec);
      await overlay.close();
      return port;
    };
    await expect(change(wanting('kernel'))).rejects.toMatchObject({ code: 'OVERLAY_NOT_FOUND' });
    expect(calls.slice(-2)).toEqual(['close 2', 'let go of overlay0']);
    expect(calls).not.toContain('open tap');
  });
});

describe('a change that is undone, because something after it refuses,', () => {
  it('has the old data path again, with what is known by then', async () => {
    const { calls, tap, exported, overlay, reopened, failed, change, undo } = await rig();
    await change(wanting('kernel'));
    calls.length = 0;
    await undo();
    expect(calls).toEqual(['hold overlay0', 'close 2', 'open tap', 'watch 3', 'keep 3', 'let go of overlay0']);
    expect([overlay.port?.driver, reopened.at(-1), exported.at(-1), failed]).toEqual(['tap', [3, 2], 2, []]);
    expect(tap.specs[0]?.restore).toMatchObject({ mac: mac(5), isMoved: true });
  });

  it('stays when it is kept', async () => {
    const { calls, unwind, change, undo } = await rig();
    await change(wanting('kernel'));
    unwind.keep();
    await undo();
    expect(calls).toEqual(MOVED);
  });

  it('stays as it is when links stand on the new one by then, or the overlay has gone', async () => {
    const busy = await rig();
    await busy.change(wanting('kernel'));
    busy.above.push({ name: 'vnic0', netns: undefined });
    await busy.undo();
    expect([busy.failed, busy.overlay.port?.driver]).toEqual([[expect.objectContaining({ code: 'LINK_BUSY' })], 'kernel']);
    const gone = await rig();
    await gone.change(wanting('kernel'));
    await gone.overlay.close();
    gone.calls.length = 0;
    await gone.undo();
    expect([gone.failed, gone.calls]).toEqual([[expect.objectContaining({ code: 'OVERLAY_NOT_FOUND' })], ['hold overlay0', 'let go of overlay0']]);
  });
});
