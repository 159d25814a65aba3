// The life of overlays under adverse conditions: lookups that are out, ten clients at once, a listen address that comes and goes.
import { defineProperties, type LookupHost, type LookupPlugin, OverlayError } from '@overlayadm/api';
import direct from '@overlayadm/plugin-direct';
import vxlan from '@overlayadm/plugin-vxlan';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Client } from '../../src/core/rpc/client.ts';
import { MAX_LOG_LINES, SEND_SOCKETS, UNDERLAY_POLL_MS } from '../../src/core/util/limits.ts';
import { type Log, silentLog } from '../../src/core/util/log.ts';
import { frame, mac, textOf } from '../helpers/frames.ts';
import { SimHost } from '../helpers/sim-host.ts';
import { SimUnderlay } from '../helpers/sim-io.ts';

/** A lookup plugin that never answers and never stops. */
class Mute {
  readonly signals: AbortSignal[] = [];
  host: LookupHost | undefined;
  readonly plugin: LookupPlugin = {
    kind: 'lookup',
    name: 'mute',
    properties: defineProperties([]),
    create: (_needs, _values, host) => {
      this.host = host;
      return {
        mode: 'dynamic',
        start: async () => undefined,
        stop: () => new Promise(() => undefined),
        lookup: (_request, signal) => {
          this.signals.push(signal);
          return new Promise(() => undefined);
        },
      };
    },
  };
}

const ADDRESSES = ['192.0.2.1', '2001:db8::1'];
// What is saved waits for the disk, and the disk for whoever else uses it.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const running: SimHost[] = [];

async function start(mute = new Mute(), log: Log = silentLog): Promise<SimHost> {
  const host = new SimHost(new SimUnderlay(), ADDRESSES, [vxlan, direct, mute.plugin], log);
  running.push(host);
  await host.start();
  return host;
}

afterEach(async () => {
  for (const host of running.splice(0)) await host.destroy();
});

const listen = { 'vxlan/listen_ip': '192.0.2.1' };
const good = { ...listen, 'direct/dest_ip': '192.0.2.2', 'direct/dest_port': '4789' };

describe('delete-overlay with 10,000 lookups out', () => {
  const LOOKUPS = 10_000;

  it('returns at once, aborts every one of them, and waits neither for their answers nor for stop()', async () => {
    const mute = new Mute();
    const host = await start(mute);
    await host.create('overlay1', 'direct', 2, good);
    const before = host.io.open;
    await host.create('overlay0', 'mute', 1, listen);
    const { out } = host.io.tap('overlay0');
    for (let i = 0; i < LOOKUPS; i++) out.push(frame(mac(1000 + i), mac(1)));
    for (let tries = 0; mute.signals.length < LOOKUPS && tries < 100; tries++) await host.turns();
    expect(mute.signals.length).toBe(LOOKUPS);
    expect(await host.counters('overlay0')).toMatchObject({ 'lookup.asked': LOOKUPS, 'lookup.queued': LOOKUPS });
    // No time passes and nothing is answered: whatever it waited for would not come.
    const now = host.clock.now();
    await host.call('overlay.delete', { name: 'overlay0', temporary: false });
    expect(host.clock.now()).toBe(now);
    expect(host.io.open).toBe(before);
    expect([...host.kernel.known.keys()]).toEqual(['overlay1']);
    await host.turns();
    expect(mute.signals.every(({ aborted }) => aborted)).toBe(true);
    await host.create('overlay0', 'mute', 1, listen);
  });
});

describe('an engine that cannot watch a descriptor', () => {
  it.each([
    ['of the socket', 1],
    ['of the device', 2],
  ])('(%s) refuses this one overlay: what was made for it is undone, and the others go on', async (_what, nth) => {
    const host = await start();
    await host.create('overlay1', 'direct', 2, { ...good, 'vxlan/listen_port': '4790' });
    const before = { links: [...host.kernel.known.keys()], descriptors: host.io.open };
    let calls = 0;
    const refuse = vi.spyOn(host.io, 'pollAdd').mockImplementation(() => {
      if (++calls === nth) throw new Error('ENOSPC: epoll_ctl');
    });
    await expect(host.create('overlay0', 'direct', 1, good)).rejects.toMatchObject({
      code: 'ENGINE_REFUSED',
      message: expect.stringContaining('(data path)'),
      advice: expect.stringMatching(/./),
    });
    refuse.mockRestore();
    expect({ links: [...host.kernel.known.keys()], descriptors: host.io.open }).toEqual(before);
    expect((await host.create('overlay0', 'direct', 1, good)).name).toBe('overlay0');
    host.io.tap('overlay1').out.push(frame(mac(9), mac(1)));
    await host.turns();
    expect(await host.counters('overlay1')).toMatchObject({ 'tx.frames': 1 });
  });
});

describe('a listen address', () => {
  const health = async (host: SimHost, name: string) => (await host.call('overlay.health', { name })).details;

  it('that disappears degrades the overlays that listen on it, and they heal by themselves when it is back', async () => {
    const lines: string[] = [];
    const note = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const host = await start(new Mute(), { ...silentLog, warn: note, info: note });
    await host.create('overlay0', 'direct', 1, good);
    await host.create('overlay1', 'direct', 2, good);
    await host.create('overlay2', 'direct', 3, { ...good, 'vxlan/listen_ip': '2001:db8::1', 'direct/dest_ip': '2001:db8::2' });
    lines.length = 0;
    host.kernel.addresses.delete('192.0.2.1');
    await host.clock.advance(UNDERLAY_POLL_MS);
    const gone = '192.0.2.1 is no longer an address of this host';
    expect([await health(host, 'overlay0'), await health(host, 'overlay1'), await health(host, 'overlay2')]).toEqual([gone, gone, null]);
    await host.clock.advance(10 * UNDERLAY_POLL_MS);
    host.kernel.addresses.add('192.0.2.1');
    await host.clock.advance(UNDERLAY_POLL_MS);
    expect([await health(host, 'overlay0'), await health(host, 'overlay1')]).toEqual([null, null]);
    const told = lines.filter((line) => line.startsWith('health')).map((line) => JSON.parse(line.slice('health '.length)));
    expect(told.map(({ overlay, status, causes }) => [overlay, status, ...causes])).toEqual([
      ['overlay0', 'DEGRADED', 'underlay'],
      ['overlay1', 'DEGRADED', 'underlay'],
      ['overlay0', 'ONLINE'],
      ['overlay1', 'ONLINE'],
    ]);
  });
});

describe('a plugin that toggles degrade and restore', () => {
  it('does not flood the log, and does not drown what there is to say of other overlays', async () => {
    const lines: { readonly overlay: unknown }[] = [];
    const note = (fields: object): void => void lines.push({ overlay: 'overlay' in fields ? fields.overlay : undefined });
    const mute = new Mute();
    const host = await start(mute, { ...silentLog, warn: note, info: note });
    await host.create('overlay1', 'direct', 2, good);
    await host.create('overlay0', 'mute', 1, listen);
    lines.length = 0;
    for (let i = 0; i < 2000; i++) {
      mute.host?.degrade(`reason ${i}`);
      mute.host?.restore();
    }
    await host.turns();
    expect(lines.length).toBeLessThanOrEqual(MAX_LOG_LINES);
    expect(lines.length).toBeGreaterThan(0);
    expect(await host.call('overlay.health', { name: 'overlay0' })).toMatchObject({ status: 'ONLINE' });
    host.io.tap('overlay1').failure = 77;
    await host.turns();
    expect(lines.at(-1)).toEqual({ overlay: 'overlay1' });
  });
});

describe('ten clients that create, delete and show in a random order, while overlayd stops and crashes', () => {
  const CLIENTS = 10;
  const ROUNDS = 16;
  /** overlayd is started again every so many rounds, and nobody but its clients notices. */
  const RESTART_ROUNDS = 4;
  const NAMES = ['overlay0', 'overlay1', 'overlay2', 'overlay3', 'overlay4', 'overlay5'];
  const VNICS = ['vnic0', 'vnic1', 'vnic2'];
  const PORTS = [4789, 4790];
  const VNETIDS = [1, 2, 3];

  interface Where {
    readonly vnetid: number;
    readonly port: number;
  }
  type Operation =
    | { readonly kind: 'create'; readonly name: string; readonly where: Where }
    | { readonly kind: 'delete'; readonly name: string }
    | { readonly kind: 'add'; readonly vnic: string; readonly name: string }
    | { readonly kind: 'remove'; readonly vnic: string }
    | { readonly kind: 'show' };
  interface Outcome {
    readonly operation: Operation;
    /** Undefined when it succeeded. */
    readonly code: string | undefined;
    readonly seen: readonly string[];
  }
  const REFUSALS: Readonly<Record<Operation['kind'], readonly string[]>> = {
    create: ['OVERLAY_EXISTS', 'VNETID_IN_USE'],
    delete: ['OVERLAY_NOT_FOUND', 'OVERLAY_BUSY'],
    add: ['OVERLAY_NOT_FOUND', 'VNIC_EXISTS'],
    remove: ['VNIC_NOT_FOUND'],
    show: [],
  };

  /** Mulberry32: the same operations in every run. */
  function dice(seed: number): <T>(from: readonly T[]) => T {
    let state = seed;
    return (from) => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return from[((mixed ^ (mixed >>> 14)) >>> 0) % from.length] as (typeof from)[number];
    };
  }

  function draw(pick: ReturnType<typeof dice>): Operation {
    switch (pick(['create', 'create', 'create', 'delete', 'delete', 'add', 'remove', 'show'] as const)) {
      case 'create':
        return { kind: 'create', name: pick(NAMES), where: { vnetid: pick(VNETIDS), port: pick(PORTS) } };
      case 'delete':
        return { kind: 'delete', name: pick(NAMES) };
      case 'add':
        return { kind: 'add', vnic: pick(VNICS), name: pick(NAMES) };
      case 'remove':
        return { kind: 'remove', vnic: pick(VNICS) };
      case 'show':
        return { kind: 'show' };
    }
  }

  async function perform(client: Client, operation: Operation): Promise<readonly string[]> {
    switch (operation.kind) {
      case 'create': {
        const properties = Object.entries({ ...good, 'vxlan/listen_port': String(operation.where.port) }).map(([name, text]) => ({ name, text }));
        await client.call('overlay.create', {
          name: operation.name,
          encap: 'vxlan',
          search: 'direct',
          vnetid: operation.where.vnetid,
          properties,
          temporary: false,
        });
        return [];
      }
      case 'delete':
        await client.call('overlay.delete', { name: operation.name, temporary: false });
        return [];
      case 'add':
        await client.call('vnic.create', { name: operation.vnic, overlay: operation.name, properties: [], temporary: false });
        return [];
      case 'remove':
        await client.call('vnic.delete', { name: operation.vnic, temporary: false });
        return [];
      case 'show':
        return client.call('overlay.names', { saved: false });
    }
  }

  async function outcome(client: Client, operation: Operation): Promise<Outcome> {
    try {
      return { operation, code: undefined, seen: await perform(client, operation) };
    } catch (error) {
      if (!OverlayError.is(error)) throw error;
      return { operation, code: error.code, seen: [] };
    }
  }

  /** What there is according to those who made it. A round's operations happen in an order that nobody knows. */
  class Model {
    readonly overlays = new Map<string, Where>();
    readonly vnics = new Set<string>();

    check(outcomes: readonly Outcome[], now: ReadonlyMap<string, Where>, vnicsNow: readonly string[]): void {
      const done = (kind: Operation['kind'], name: string): Operation[] =>
        outcomes
          .filter((each) => each.code === undefined)
          .flatMap(({ operation }) => (operation.kind === kind && nameOf(operation) === name ? [operation] : []));
      for (const { operation, code } of outcomes) if (code !== undefined) expect(REFUSALS[operation.kind]).toContain(code);
      for (const name of NAMES) {
        const made = done('create', name);
        const count = Number(this.overlays.has(name)) + made.length - done('delete', name).length;
        expect([name, Number(now.has(name))]).toEqual([name, count]);
        const known = this.overlays.get(name);
        const candidates = [...(known === undefined ? [] : [known]), ...made.flatMap((each) => (each.kind === 'create' ? [each.where] : []))];
        if (now.has(name)) expect(candidates).toContainEqual(now.get(name));
      }
      for (const vnic of VNICS) {
        const count = Number(this.vnics.has(vnic)) + done('add', vnic).length - done('remove', vnic).length;
        expect([vnic, Number(vnicsNow.includes(vnic))]).toEqual([vnic, count]);
      }
      this.#checkShown(outcomes, done);
      this.overlays.clear();
      for (const [name, where] of now) this.overlays.set(name, where);
      this.vnics.clear();
      for (const vnic of vnicsNow) this.vnics.add(vnic);
    }

    #checkShown(outcomes: readonly Outcome[], done: (kind: Operation['kind'], name: string) => readonly Operation[]): void {
      for (const { operation, seen } of outcomes.filter(({ operation: { kind } }) => kind === 'show')) {
        expect(operation.kind).toBe('show');
        for (const name of NAMES) {
          if (seen.includes(name)) expect(this.overlays.has(name) || done('create', name).length > 0).toBe(true);
          else expect(!this.overlays.has(name) || done('delete', name).length > 0).toBe(true);
        }
      }
    }
  }

  const nameOf = (operation: Operation): string | undefined =>
    operation.kind === 'show' ? undefined : operation.kind === 'add' || operation.kind === 'remove' ? operation.vnic : operation.name;

  async function overlaysOf(client: Client): Promise<Map<string, Where>> {
    const found = new Map<string, Where>();
    for (const name of await client.call('overlay.names', { saved: false })) {
      const rows = await client.call('overlay.properties', { name });
      const value = (property: string): number => Number(rows.find((row) => row.property === property)?.value);
      found.set(name, { vnetid: value('vnetid'), port: value('vxlan/listen_port') });
    }
    return found;
  }

  it.each([1, 2, 3])('leave exactly what the model says: overlays, VNICs, links, sockets and descriptors (seed %i)', async (seed) => {
    const host = await start();
    const empty = host.io.open;
    const connectAll = () => Promise.all(Array.from({ length: CLIENTS }, () => host.connect()));
    let clients = await connectAll();
    const pick = dice(seed);
    const model = new Model();
    let over = false;
    const turning = (async () => {
      while (!over) await host.turns(1);
    })();
    const succeeded = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      if (round % RESTART_ROUNDS === RESTART_ROUNDS - 1) {
        await host[pick(['stop', 'crash'] as const)]();
        await host.start();
        clients = await connectAll();
      }
      const first = clients[0] as Client;
      const outcomes = await Promise.all(clients.map((client) => outcome(client, draw(pick))));
      for (const { operation, code } of outcomes) {
        const key = code ?? operation.kind;
        succeeded.set(key, (succeeded.get(key) ?? 0) + 1);
      }
      const vnics = (await first.call('vnic.list', { overlay: null })).map(({ vnic }) => vnic);
      const now = await overlaysOf(first);
      model.check(outcomes, now, vnics);
      const places = [...now.values()].map(({ vnetid, port }) => `${vnetid} ${port}`);
      expect(new Set(places).size).toBe(places.length);
      expect([...host.kernel.known.keys()].toSorted()).toEqual([...now.keys(), ...vnics].toSorted());
      const ports = new Set([...now.values()].map(({ port }) => port));
      expect(host.io.open).toBe(empty + now.size + ports.size * (1 + SEND_SOCKETS));
    }
    // Every way out was taken, or the test shows nothing.
    expect([...succeeded.keys()]).toEqual(
      expect.arrayContaining(['create', 'delete', 'add', 'remove', 'show', 'OVERLAY_EXISTS', 'VNETID_IN_USE', 'OVERLAY_NOT_FOUND', 'OVERLAY_BUSY']),
    );
    const first = clients[0] as Client;
    for (const vnic of model.vnics) await first.call('vnic.delete', { name: vnic, temporary: false });
    for (const name of model.overlays.keys()) await first.call('overlay.delete', { name, temporary: false });
    over = true;
    await turning;
    expect(host.io.open).toBe(empty);
    expect(host.kernel.known.size).toBe(0);
  });
});

describe('overlays that share', () => {
  const ports = { overlay0: [1, 4789], overlay1: [2, 4789], overlay2: [3, 4789], overlay3: [1, 4790] } as const;
  const NAMES = [...Object.keys(ports), 'overlay4', 'overlay5'];

  /** Three overlays on one address and port, one on another port, two on IPv6; the vnetids come again where they may. */
  async function hostOf(underlay: SimUnderlay, last: number): Promise<SimHost> {
    const other = 3 - last;
    const host = new SimHost(underlay, [`192.0.2.${last}`, `2001:db8::${last}`], [vxlan, direct]);
    running.push(host);
    await host.start();
    for (const [name, [vnetid, port]] of Object.entries(ports)) {
      const to = { 'direct/dest_ip': `192.0.2.${other}`, 'direct/dest_port': String(port) };
      await host.create(name, 'direct', vnetid, { 'vxlan/listen_ip': `192.0.2.${last}`, 'vxlan/listen_port': String(port), ...to });
    }
    for (const [name, vnetid] of [
      ['overlay4', 1],
      ['overlay5', 2],
    ] as const) {
      const to = { 'direct/dest_ip': `2001:db8::${other}`, 'direct/dest_port': '4789' };
      await host.create(name, 'direct', vnetid, { 'vxlan/listen_ip': `2001:db8::${last}`, ...to });
    }
    return host;
  }

  async function twoOf(): Promise<readonly [SimHost, SimHost]> {
    const underlay = new SimUnderlay();
    return [await hostOf(underlay, 1), await hostOf(underlay, 2)];
  }

  const send = (host: SimHost, name: string, text: string): void => void host.io.tap(name).out.push(frame(mac(2), mac(1), text));
  const got = (host: SimHost, name: string): string[] => host.io.tap(name).in.splice(0).map(textOf);

  it('one address and port, other ports, and both families get the frames that are theirs, and no others', async () => {
    const [a, b] = await twoOf();
    for (const name of NAMES) for (let i = 0; i < 5; i++) send(a, name, `${name} ${i}`);
    for (const name of NAMES) for (let i = 0; i < 5; i++) send(b, name, `${name} back ${i}`);
    for (let turn = 0; turn < 10; turn++) for (const host of [a, b]) await host.turns(1);
    for (const name of NAMES) {
      expect(got(b, name)).toEqual([0, 1, 2, 3, 4].map((i) => `${name} ${i}`));
      expect(got(a, name)).toEqual([0, 1, 2, 3, 4].map((i) => `${name} back ${i}`));
    }
  });

  it('lose nothing when one of them is deleted and made again under traffic', async () => {
    const [a, b] = await twoOf();
    const others = NAMES.filter((name) => name !== 'overlay1');
    let sent = 0;
    /** A frame on every other overlay at each turn of the host that deletes. */
    const during = async (work: Promise<unknown>): Promise<void> => {
      let over = false;
      const end = (): void => {
        over = true;
      };
      work.then(end, end);
      while (!over) {
        for (const name of others) send(a, name, `${name} ${sent}`);
        sent++;
        await b.turns(1);
        await a.turns(1);
      }
      await work;
    };
    await during(b.call('overlay.delete', { name: 'overlay1', temporary: false }));
    await during(a.call('overlay.delete', { name: 'overlay1', temporary: false }));
    await during(b.create('overlay1', 'direct', 2, { 'vxlan/listen_ip': '192.0.2.2', 'direct/dest_ip': '192.0.2.1', 'direct/dest_port': '4789' }));
    for (const host of [a, b]) await host.turns();
    expect(sent).toBeGreaterThan(5);
    for (const name of others) expect(got(b, name)).toEqual(Array.from({ length: sent }, (_, i) => `${name} ${i}`));
  });

  it('a frame for an overlay that was deleted reaches nobody and is counted', async () => {
    const [a, b] = await twoOf();
    await b.call('overlay.delete', { name: 'overlay1', temporary: false });
    send(a, 'overlay1', 'x');
    await a.turns(5);
    await b.turns(5);
    for (const name of NAMES.filter((each) => each !== 'overlay1')) expect(got(b, name)).toEqual([]);
    expect(await b.counters('overlay0')).toMatchObject({ 'mux.unknown-vnetid': 1 });
    expect(await b.counters('overlay3')).toMatchObject({ 'mux.unknown-vnetid': 0 });
  });

  it.each([
    ['the same address and port', '192.0.2.1', '4789', 'overlay2'],
    ['the other port', '192.0.2.1', '4790', undefined],
    ['the other family', '2001:db8::1', '4789', undefined],
    ['a port of its own', '192.0.2.1', '4791', undefined],
  ])('a vnetid that is in use: on %s', async (_what, listenIp, port, taken) => {
    const [a] = await twoOf();
    const before = a.io.open;
    const to = { 'direct/dest_ip': listenIp.replace(/1$/, '2'), 'direct/dest_port': port };
    const made = a.create('overlay9', 'direct', 3, { 'vxlan/listen_ip': listenIp, 'vxlan/listen_port': port, ...to });
    if (taken === undefined) return expect(await made).toMatchObject({ name: 'overlay9' });
    await expect(made).rejects.toMatchObject({ code: 'VNETID_IN_USE', message: expect.stringContaining(`by ${taken}`) });
    expect(a.io.open).toBe(before);
  });
});
