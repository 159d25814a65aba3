// What the engine does with frames and messages, turn by turn.
import { describe, expect, it } from 'vitest';
import type { CacheEntry } from '../../../src/core/engine/messages.ts';
import { MAX_ASKERS_PER_QUESTION, MAX_QUEUED_BYTES_PER_TARGET, NEGATIVE_TTL_MS } from '../../../src/core/util/limits.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { EngineRig, to } from '../../helpers/engine-rig.ts';
import { arpRequest, frame, mac, textOf } from '../../helpers/frames.ts';

/** The inner frame of a VXLAN datagram. */
const inner = (bytes: Uint8Array): Uint8Array => bytes.subarray(8);
const key = (number: number): number => macToKey(mac(number));

describe('a frame out', () => {
  it('to a target that is not known waits, is asked for once, and is sent in order when the answer comes', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(...['a', 'b', 'c'].map((text) => frame(mac(9), mac(1), text)));
    rig.turn();
    const asked = rig.asked();
    expect(asked.map(({ port, kind }) => ({ port, kind }))).toEqual([{ port: 1, kind: 0 }]);
    expect(asked[0]?.frame).toEqual(frame(mac(9), mac(1), 'a'));
    expect(rig.sent()).toEqual([]);
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'found', to: to(2) });
    const sent = rig.sent();
    expect(sent.map(({ bytes }) => textOf(inner(bytes)))).toEqual(['a', 'b', 'c']);
    expect(sent.map((datagram) => datagram.to)).toEqual(Array(3).fill('192.0.2.2 4789'));
    expect([...(sent[0]?.bytes.subarray(0, 8) ?? [])]).toEqual([8, 0, 0, 0, 0, 0, 101, 0]);
  });

  it('to a known target leaves in the same turn, with one send for the whole batch', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: to(2), fixed: false });
    rig.turn();
    rig.io.sends = 0;
    for (let i = 0; i < 50; i++) tap.out.push(frame(mac(9), mac(1), String(i)));
    rig.turn();
    expect(rig.sent().map(({ bytes }) => textOf(inner(bytes)))).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
    expect(rig.io.sends).toBe(1);
    expect(rig.counters(1)).toMatchObject({ 'tx.frames': 50, 'lookup.asked': 0 });
  });

  it('of one flow always takes the same source port, flows together more than one', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { point: to(2) });
    for (let flow = 0; flow < 32; flow++) tap.out.push(frame(mac(9), mac(flow), 'a'), frame(mac(9), mac(flow), 'b'));
    rig.turn();
    const ports = rig.sent().map(({ from }) => from);
    for (let flow = 0; flow < 32; flow++) expect(ports[2 * flow]).toBe(ports[2 * flow + 1]);
    expect(new Set(ports).size).toBe(2);
  });

  it('is dropped and counted beyond the bytes one target may queue, from the very first frame on', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    const big = frame(mac(9), mac(1), 'x'.repeat(8000));
    const fits = Math.floor(MAX_QUEUED_BYTES_PER_TARGET / big.length);
    for (let i = 0; i < fits + 5; i++) tap.out.push(big);
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'target.queue-full': 5, 'lookup.queued': fits });
    rig.answer({ id: rig.asked()[0]?.id ?? 0, kind: 'found', to: to(2) });
    expect(rig.sent().length).toBe(fits);
  });

  it('is dropped and counted when there is no memory for waiting frames, and what waits is not harmed', () => {
    const rig = new EngineRig(1, undefined, 4096);
    const tap = rig.open(1);
    for (let i = 0; i < 6; i++) tap.out.push(frame(mac(10 + i), mac(1), 'x'.repeat(1000)));
    rig.turn();
    const asked = rig.asked();
    expect(asked.length).toBe(4);
    expect(rig.counters(1)).toMatchObject({ 'target.pool-full': 2 });
    rig.answer(...asked.map(({ id }) => ({ id, kind: 'found', to: to(2) }) as const));
    expect(rig.sent().length).toBe(4);
  });

  it('that is refused is dropped, and its target is not asked for again until the refusal is over', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(frame(mac(9), mac(1), 'a'), frame(mac(9), mac(1), 'b'));
    rig.turn();
    rig.answer({ id: rig.asked()[0]?.id ?? 0, kind: 'drop' });
    tap.out.push(frame(mac(9), mac(1), 'c'));
    rig.turn();
    expect(rig.asked()).toEqual([]);
    expect(rig.counters(1)).toMatchObject({ 'lookup.refused': 2, 'target.refused': 1 });
    expect(rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 10 })).toEqual([]);
    rig.now += NEGATIVE_TTL_MS;
    tap.out.push(frame(mac(9), mac(1), 'd'));
    rig.turn();
    expect(rig.asked().length).toBe(1);
  });

  it.each([
    ['set', { op: 'cacheSet', port: 1, mac: key(9), to: to(2), fixed: false }, 0, 1],
    ['invalidated', { op: 'cacheInvalidate', port: 1, mac: key(9) }, 1, 0],
  ] as const)('ends a refusal at once when its target is %s', (_what, message, asks, sends) => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    rig.answer({ id: rig.asked()[0]?.id ?? 0, kind: 'drop' });
    rig.send(message);
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    expect(rig.asked().length).toBe(asks);
    expect(rig.sent().length).toBe(sends);
  });

  it('that is too big for the path is counted and reported with destination and size, once a second', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { point: to(2) });
    rig.underlay.carry = ({ bytes }) => (bytes.length > 1000 ? 90 : 0);
    tap.out.push(frame(mac(9), mac(1), 'x'.repeat(1400)), frame(mac(9), mac(1), 'x'.repeat(1400)), frame(mac(9), mac(1), 'small'));
    rig.turn();
    const reports = rig.posted.filter(({ op }) => op === 'tooBig');
    expect(reports).toEqual([{ op: 'tooBig', port: 1, to: to(2), packetBytes: 1414 + 8 + 28 }]);
    expect(rig.counters(1)).toMatchObject({ 'too-big': 2, 'tx.frames': 1, 'tx.bytes': 19 });
  });

  it('without an Ethernet header, or with a tag where tags are not carried, is counted by name', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { point: to(2), carriesVlanTag: false });
    tap.out.push(new Uint8Array(13), frame(mac(9), mac(1), 'tag!', 0x8100), frame(mac(9), mac(1), 'tag!', 0x88a8));
    rig.turn();
    expect(rig.sent()).toEqual([]);
    expect(rig.counters(1)).toMatchObject({ 'frame.short': 1, 'frame.vlan-not-carried': 2 });
  });

  it('to a target that somebody has set to drop is dropped, and listed so', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: 'drop', fixed: true });
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'target.drop': 1, 'tx.frames': 0 });
    expect(rig.call({ op: 'cacheGet', port: 1, mac: key(9) })).toEqual({ mac: key(9), to: 'drop' });
  });
});

describe('an answer', () => {
  it('that comes twice, or for a request that was given up, changes nothing', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(frame(mac(9), mac(1), 'a'));
    rig.turn();
    const id = rig.asked()[0]?.id ?? 0;
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: to(3), fixed: true });
    rig.turn();
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.3 4789']);
    expect(rig.aborted()).toEqual([id]);
    rig.answer({ id, kind: 'found', to: to(2) }, { id: 12345, kind: 'found', to: to(2) });
    expect(rig.call({ op: 'cacheGet', port: 1, mac: key(9) })).toEqual({ mac: key(9), to: to(3) });
  });

  it('under way when its target is invalidated is not used: it is asked for again', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(frame(mac(9), mac(1), 'a'));
    rig.turn();
    const [first] = rig.asked();
    rig.send({ op: 'cacheInvalidate', port: 1, mac: key(9) });
    rig.turn();
    const [second] = rig.asked();
    expect(second?.frame).toEqual(first?.frame);
    rig.answer({ id: first?.id ?? 0, kind: 'found', to: to(2) });
    expect(rig.sent()).toEqual([]);
    rig.answer({ id: second?.id ?? 0, kind: 'found', to: to(3) });
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.3 4789']);
  });
});

describe('a frame in', () => {
  const deliver = (rig: EngineRig, bytes: Uint8Array): void => {
    rig.underlay.send({ from: '192.0.2.2 50000', to: '192.0.2.1 4789', bytes });
    rig.turn();
  };
  const datagram = (vnetid: number, payload: Uint8Array, flags = 8): Uint8Array => Uint8Array.of(flags, 0, 0, 0, 0, 0, vnetid, 0, ...payload);

  it('reaches the TAP of its overlay, and of no other', () => {
    const rig = new EngineRig();
    const [one, two] = [rig.open(1), rig.open(2)];
    deliver(rig, datagram(102, frame(mac(1), mac(9), 'hello')));
    expect(one.in).toEqual([]);
    expect(two.in.map(textOf)).toEqual(['hello']);
    expect(rig.counters(2)).toMatchObject({ 'rx.frames': 1, 'rx.bytes': 19 });
  });

  it('has its reserved bits ignored', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    deliver(rig, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 101, 0xff, ...frame(mac(1), mac(9), 'x')));
    expect(tap.in.map(textOf)).toEqual(['x']);
  });

  it.each([
    ['shorter than its header', Uint8Array.of(8, 0, 0, 0, 0, 0, 101), 'vxlan.short'],
    ['without the I flag', datagram(101, frame(mac(1), mac(9)), 0), 'vxlan.i-flag-clear'],
    ['for a vnetid nobody has', datagram(77, frame(mac(1), mac(9))), 'mux.unknown-vnetid'],
    ['without a whole Ethernet header', datagram(101, new Uint8Array(13)), 'rx.short'],
    ['larger than any frame', datagram(101, new Uint8Array(20_000)), 'rx.too-long'],
    ['larger than a datagram can be', new Uint8Array(70_000), 'mux.truncated'],
    ['of no bytes', new Uint8Array(0), 'vxlan.short'],
  ])('%s is dropped and counted', (_what, bytes, counter) => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    deliver(rig, bytes);
    expect(tap.in).toEqual([]);
    expect(rig.counters(1)[counter]).toBe(1);
  });

  it('is counted when the TAP does not take it', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.failure = 5;
    deliver(rig, datagram(101, frame(mac(1), mac(9))));
    expect(rig.counters(1)).toMatchObject({ 'tap.failed': 1, 'rx.frames': 0, 'rx.bytes': 0 });
  });
});

describe('a question', () => {
  it('is asked once however many ask it; each further asker is told of', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (const asker of [1, 2, 1, 3]) tap.out.push(arpRequest(mac(asker), `10.0.0.${asker}`, '10.0.0.9'));
    rig.turn();
    const asked = rig.asked();
    expect(asked.map(({ kind }) => kind)).toEqual([1, 2, 2]);
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect(rig.counters(1)).toMatchObject({ 'question.asked': 1, 'question.repeated': 1 });
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'done' });
    tap.out.push(arpRequest(mac(1), '10.0.0.1', '10.0.0.9'));
    rig.turn();
    expect(rig.asked().length).toBe(1);
  });

  it('keeps no other from being asked', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (let i = 0; i < 1000; i++) tap.out.push(arpRequest(mac(1), '10.0.0.1', `10.1.${i >> 8}.${i & 255}`));
    tap.out.push(arpRequest(mac(1), '10.0.0.1', '10.0.0.9'));
    for (let i = 0; i < 20; i++) rig.turn();
    expect(rig.asked().length).toBe(1001);
    expect(rig.counters(1)).toMatchObject({ 'question.limit': 0 });
  });

  it('has a bounded number of askers', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    for (let i = 0; i < MAX_ASKERS_PER_QUESTION + 4; i++) tap.out.push(arpRequest(mac(i), '10.0.0.1', '10.0.0.9'));
    rig.turn();
    expect(rig.asked().length).toBe(MAX_ASKERS_PER_QUESTION);
    expect(rig.counters(1)).toMatchObject({ 'question.limit': 4 });
  });

  it('that nobody can answer is dropped and counted', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { resolves: false });
    tap.out.push(arpRequest(mac(1), '10.0.0.1', '10.0.0.9'), frame(mac(0x01000001), mac(1)));
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'question.not-served': 1 });
  });

  it('by unicast ARP is a question when the target is unknown, a frame like any other when it is known', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    const probe = arpRequest(mac(1), '10.0.0.1', '10.0.0.9');
    probe.set([2, 0, 0, 0, 0, 9]);
    tap.out.push(probe);
    rig.turn();
    expect(rig.asked().map(({ kind }) => kind)).toEqual([1]);
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: to(2), fixed: false });
    tap.out.push(probe);
    rig.turn();
    expect(rig.sent().map(({ bytes }) => inner(bytes))).toEqual([probe]);
  });

  it('is none in a group frame of another kind: that is dropped, or looked up when the plugin wants it', () => {
    const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 5, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 42);
    const rig = new EngineRig();
    const [without, wanted] = [rig.open(1), rig.open(2, { group: true })];
    without.out.push(group);
    wanted.out.push(group, group);
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'group.not-served': 1 });
    const asked = rig.asked();
    expect(asked.map(({ port, kind }) => [port, kind])).toEqual([[2, 0]]);
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'found', to: to(7) });
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.7 4789', '192.0.2.7 4789']);
    expect(rig.call({ op: 'cacheIterate', port: 2, after: -1, count: 10 })).toEqual([]);
  });
});

describe('in point mode', () => {
  it('every frame goes to the point, group frames too, and nothing is asked', () => {
    const rig = new EngineRig();
    const tap = rig.open(1, { point: to(2) });
    tap.out.push(frame(mac(9), mac(1), 'a'), arpRequest(mac(1), '10.0.0.1', '10.0.0.9'));
    rig.turn();
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.2 4789', '192.0.2.2 4789']);
    expect(rig.asked()).toEqual([]);
  });
});

describe('the target cache', () => {
  it('is listed in pages in the order of MACs', () => {
    const rig = new EngineRig();
    rig.open(1);
    const numbers = Array.from({ length: 1203 }, (_, i) => (i * 7919) % 1203);
    for (const number of numbers) rig.send({ op: 'cacheSet', port: 1, mac: key(number), to: to(2), fixed: false });
    for (let i = 0; i < 40; i++) rig.turn();
    const seen: number[] = [];
    for (let after = -1, pages = 0; pages < 4; pages++) {
      const page = rig.call({ op: 'cacheIterate', port: 1, after, count: 500 }) as readonly CacheEntry[];
      seen.push(...page.map((entry) => entry.mac));
      after = page.at(-1)?.mac ?? after;
    }
    expect(seen).toEqual(Array.from({ length: 1203 }, (_, i) => key(i)));
  });

  it('is emptied by a flush, pending targets are asked for again', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(5), to: to(2), fixed: true });
    tap.out.push(frame(mac(9), mac(1)));
    rig.turn();
    expect(rig.asked().length).toBe(1);
    expect(rig.call({ op: 'cacheFlush', port: 1 })).toBe(true);
    expect(rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 10 })).toEqual([]);
    expect(rig.asked().length).toBe(1);
  });

  it('that is outdated keeps what a person has set, and asks for the rest anew without losing a frame', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(5), to: to(2), fixed: true });
    rig.send({ op: 'cacheSet', port: 1, mac: key(6), to: to(2), fixed: false });
    rig.send({ op: 'cacheOutdated', port: 1 });
    tap.out.push(frame(mac(5), mac(1)), frame(mac(6), mac(1), 'x'));
    rig.turn();
    expect(rig.sent().length).toBe(1);
    const asked = rig.asked();
    expect(asked.length).toBe(1);
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'found', to: to(3) });
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.3 4789']);
  });

  it('says whether there was an entry to remove', () => {
    const rig = new EngineRig();
    rig.open(1);
    rig.send({ op: 'cacheSet', port: 1, mac: key(5), to: to(2), fixed: true });
    expect(rig.call({ op: 'cacheRemove', port: 1, mac: key(5) })).toBe(true);
    expect(rig.call({ op: 'cacheRemove', port: 1, mac: key(5) })).toBe(false);
  });
});

describe('an overlay that is closed', () => {
  it('gives up its lookups and questions, and counts what waited', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(frame(mac(9), mac(1)), frame(mac(9), mac(1)), frame(mac(10), mac(1)), arpRequest(mac(1), '10.0.0.1', '10.0.0.9'));
    rig.turn();
    const asked = rig.asked();
    const counters = rig.call({ op: 'closePort', port: 1 });
    expect(counters).toMatchObject({ 'lookup.teardown': 4 });
    expect(rig.aborted().toSorted()).toEqual(asked.map(({ id }) => id).toSorted());
    rig.answer(...asked.map(({ id }) => ({ id, kind: 'found', to: to(2) }) as const));
    expect(rig.sent()).toEqual([]);
    expect(rig.call({ op: 'cacheIterate', port: 1, after: -1, count: 10 })).toBeUndefined();
  });
});

describe('a TAP that somebody deletes', () => {
  it('is told of once, and the other overlays go on', () => {
    const rig = new EngineRig();
    const [gone, other] = [rig.open(1), rig.open(2, { point: to(2) })];
    gone.failure = 77;
    rig.turn();
    rig.turn();
    expect(rig.posted.filter(({ op }) => op === 'tapFailed')).toEqual([{ op: 'tapFailed', port: 1, errno: 77 }]);
    other.out.push(frame(mac(9), mac(1)));
    rig.turn();
    expect(rig.sent().length).toBe(1);
  });
});

describe('what the daemon makes', () => {
  it('is injected towards the VNICs, or sent as if it came from them', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send({ op: 'inject', port: 1, frame: frame(mac(1), mac(9), 'in') });
    rig.send({ op: 'cacheSet', port: 1, mac: key(9), to: to(2), fixed: false });
    rig.send({ op: 'resend', port: 1, frame: frame(mac(9), mac(1), 'out') });
    rig.turn();
    expect(tap.in.map(textOf)).toEqual(['in']);
    expect(rig.sent().map(({ bytes }) => textOf(inner(bytes)))).toEqual(['out']);
  });
});
