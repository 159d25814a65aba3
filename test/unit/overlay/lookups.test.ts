// From misses to questions and from answers to operations: each request is answered once, whatever the plugin says.
import { type Destination, OverlayError } from '@overlayadm/api';
import { describe, expect, it } from 'vitest';
import { frameDoor } from '../../../src/core/daemon/frames.ts';
import type { EngineCall, ToEngine } from '../../../src/core/engine/messages.ts';
import type { Answer, Ask } from '../../../src/core/lookup/types.ts';
import { checkDestination } from '../../../src/core/overlay/destination.ts';
import { OverlayLookups } from '../../../src/core/overlay/lookups.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { arpRequest, frame, ipOf, mac, macOf } from '../../helpers/frames.ts';

function rig({ own = false, vnic = false } = {}) {
  const sent: ToEngine[] = [];
  const asked: Ask[] = [];
  const aborted: number[] = [];
  const wrong: string[] = [];
  const unanswered: string[] = [];
  const lookups = new OverlayLookups({
    port: 7,
    engine: {
      send: (message) => void sent.push(message),
      call: (message: EngineCall) => Promise.reject(new OverlayError('UNEXPECTED', message.op)),
    },
    instance: { ask: (asks) => void asked.push(...asks), abort: (ids) => void aborted.push(...ids) },
    frames: frameDoor,
    log: silentLog,
    check: (destination: Destination) => checkDestination(destination, { needs: ['ip', 'port'], family: 4, point: false, isOwnSocket: () => own }),
    isVnic: () => vnic,
    unanswered: (target) => void unanswered.push(target),
    wrongDestination: (target, reason) => void wrong.push(`${target}: ${reason}`),
  });
  return { sent, asked, aborted, wrong, unanswered, lookups };
}

const good: Destination = { ip: ipOf('192.0.2.2'), port: 4789 };
const target = (id: number) => ({ id, kind: 'target', frame: frame(mac(9), mac(1)) }) as const;
const question = (id: number, from = 1) => ({ id, kind: 'question', frame: arpRequest(mac(from), '10.0.0.1', '10.0.0.9') }) as const;

describe('a miss', () => {
  it('is asked for with the facts of its frame, and its answer is told to the engine', () => {
    const { sent, asked, lookups } = rig();
    lookups.missed([target(5)]);
    expect(asked).toEqual([{ id: 5, kind: 'lookup', to: mac(9), from: mac(1), etherType: 0x88b5 }]);
    lookups.answered([{ id: 5, kind: 'found', destination: good }]);
    expect(sent).toEqual([{ op: 'answers', answers: [{ id: 5, kind: 'found', to: { family: 4, ip: Uint8Array.of(192, 0, 2, 2), port: 4789 } }] }]);
    expect(lookups.outstanding).toBe(0);
  });

  it('that is no frame is refused at once, and not asked for', () => {
    const { sent, asked, lookups } = rig();
    lookups.missed([
      { id: 1, kind: 'target', frame: new Uint8Array(5) },
      { id: 2, kind: 'question', frame: frame(mac(9), mac(1)) },
    ]);
    expect(asked).toEqual([]);
    const answers = [1, 2].map((id) => ({ id, kind: 'drop' }));
    expect(sent).toEqual([{ op: 'answers', answers }]);
    expect(lookups.outstanding).toBe(0);
  });

  it.each<[string, Answer, number]>([
    ['a refusal', { id: 5, kind: 'drop', reason: 'no such target' }, 0],
    ['a destination that cannot be right', { id: 5, kind: 'found', destination: { ip: ipOf('127.0.0.1'), port: 1 } }, 1],
    ['an answer of the wrong kind', { id: 5, kind: 'resolved', mac: mac(9) }, 0],
  ])('with %s is refused, once', (_what, answer, wrongs) => {
    const { sent, wrong, lookups } = rig();
    lookups.missed([target(5)]);
    lookups.answered([answer, answer]);
    lookups.answered([answer]);
    expect(sent).toEqual([{ op: 'answers', answers: [{ id: 5, kind: 'drop' }] }]);
    expect(wrong.length).toBe(wrongs);
    expect(lookups.outstanding).toBe(0);
  });

  it('whose target is on this host is refused; that is amiss only when the target is no VNIC of this host', () => {
    for (const vnic of [true, false]) {
      const { sent, wrong, lookups } = rig({ own: true, vnic });
      lookups.missed([target(5)]);
      lookups.answered([{ id: 5, kind: 'found', destination: good }]);
      expect(sent).toEqual([{ op: 'answers', answers: [{ id: 5, kind: 'drop' }] }]);
      expect(wrong.length).toBe(vnic ? 0 : 1);
    }
  });

  it('that was given up is told to the plugin, and a late answer says nothing', () => {
    const { sent, aborted, lookups } = rig();
    lookups.missed([target(5), question(6)]);
    lookups.aborted([5, 6, 77]);
    expect(aborted).toEqual([5, 6]);
    lookups.answered([
      { id: 5, kind: 'found', destination: good },
      { id: 6, kind: 'resolved', mac: mac(9) },
    ]);
    expect(sent).toEqual([]);
    expect(lookups.outstanding).toBe(0);
  });

  it('nobody asked for gets no answer', () => {
    const { sent, lookups } = rig();
    lookups.answered([{ id: 99, kind: 'found', destination: good }]);
    expect(sent).toEqual([]);
  });
});

describe('a question', () => {
  it('that is resolved is answered to each asker, after its target is known, and ends', () => {
    const { sent, asked, lookups } = rig();
    lookups.missed([question(5, 1), { ...question(5, 2), kind: 'asker' }]);
    expect(asked).toEqual([{ id: 5, kind: 'resolve', ip: '10.0.0.9' }]);
    lookups.answered([{ id: 5, kind: 'resolved', mac: mac(9), destination: good }]);
    expect(sent.map(({ op }) => op)).toEqual(['cacheSet', 'inject', 'inject', 'answers']);
    expect(sent[0]).toMatchObject({ port: 7, mac: macToKey(mac(9)), fixed: false });
    const injected = sent.flatMap((message) => (message.op === 'inject' ? [message.frame] : []));
    expect(injected.map((reply) => [...reply.subarray(0, 6)].at(-1))).toEqual([1, 2]);
    expect(sent.at(-1)).toEqual({ op: 'answers', answers: [{ id: 5, kind: 'done' }] });
  });

  it.each([
    ['the zero address', '00:00:00:00:00:00'],
    ['a group address', '01:00:5e:00:00:01'],
    ['broadcast', 'ff:ff:ff:ff:ff:ff'],
  ])('that is resolved to %s is refused: no guest learns it', (_what, address) => {
    const { sent, wrong, lookups } = rig();
    lookups.missed([question(5)]);
    lookups.answered([{ id: 5, kind: 'resolved', mac: macOf(address) }]);
    expect(sent).toEqual([{ op: 'answers', answers: [{ id: 5, kind: 'drop' }] }]);
    expect(wrong.length).toBe(1);
  });

  it('with a destination that cannot be right is answered, but nothing is cached', () => {
    const { sent, wrong, lookups } = rig();
    lookups.missed([question(5)]);
    lookups.answered([{ id: 5, kind: 'resolved', mac: mac(9), destination: { ip: ipOf('127.0.0.1'), port: 1 } }]);
    expect(sent.map(({ op }) => op)).toEqual(['inject', 'answers']);
    expect(wrong.length).toBe(1);
  });

  it('keeps its own copy of the frame: the memory of a batch is not kept with it', () => {
    const { sent, lookups } = rig();
    const batch = new Uint8Array(100_000);
    const { frame: asked } = question(5);
    batch.set(asked, 500);
    lookups.missed([{ id: 5, kind: 'question', frame: batch.subarray(500, 500 + asked.length) }]);
    batch.fill(0);
    lookups.answered([{ id: 5, kind: 'resolved', mac: mac(9) }]);
    expect(sent.map(({ op }) => op)).toEqual(['inject', 'answers']);
  });
});

describe('a target that is known and asked for anew', () => {
  const key = macToKey(mac(9));
  /** The one question that is out. */
  function verified(options?: Parameters<typeof rig>[0]) {
    const parts = rig(options);
    parts.lookups.verify([mac(9)]);
    const [ask] = parts.asked;
    if (ask?.kind !== 'lookup') throw new Error('not asked');
    return { ...parts, id: ask.id, ask };
  }

  it('is asked for as a guest nobody is would ask, under a number that no request of the engine has', () => {
    const { ask, lookups } = verified();
    expect(ask).toMatchObject({ kind: 'lookup', to: mac(9), etherType: 0x0800 });
    expect(ask.id).toBeGreaterThan(2 ** 51);
    expect(Number.isSafeInteger(ask.id)).toBe(true);
    expect(lookups.outstanding).toBe(1);
  });

  it.each<[string, (id: number) => Answer, readonly object[]]>([
    ['another destination replaces what is known', (id) => ({ id, kind: 'found', destination: good }), [{ op: 'cacheSet', fixed: false }]],
    ['a refusal ends it', (id) => ({ id, kind: 'drop', reason: 'files.no-such-target' }), [{ op: 'cacheInvalidate' }]],
    ['no answer in time keeps it', (id) => ({ id, kind: 'drop', reason: 'lookup.timeout' }), []],
    ['a host that dies again and again keeps it', (id) => ({ id, kind: 'drop', reason: 'lookup.crashed' }), []],
    ['an answer of the wrong kind keeps it', (id) => ({ id, kind: 'resolved', mac: mac(1) }), []],
  ])('%s', (_what, answer, operations) => {
    const { sent, lookups, id, wrong, unanswered } = verified();
    lookups.answered([answer(id)]);
    lookups.answered([answer(id)]);
    expect(unanswered).toEqual(operations.length === 0 ? [mac(9)] : []);
    expect(sent).toEqual(operations.map((operation) => expect.objectContaining({ port: 7, mac: key, ...operation })));
    expect([lookups.outstanding, wrong]).toEqual([0, []]);
  });

  it('with a destination that cannot be right is over, and that is amiss', () => {
    const { sent, lookups, id, wrong } = verified();
    lookups.answered([{ id, kind: 'found', destination: { ip: ipOf('127.0.0.1'), port: 1 } }]);
    expect(sent).toEqual([{ op: 'cacheInvalidate', port: 7, mac: key }]);
    expect(wrong.length).toBe(1);
  });

  it('that is on this host by now is over, and nothing is amiss', () => {
    const { sent, lookups, id, wrong } = verified({ own: true });
    lookups.answered([{ id, kind: 'found', destination: good }]);
    expect([sent, wrong]).toEqual([[{ op: 'cacheInvalidate', port: 7, mac: key }], []]);
  });

  it('is not asked of another instance: it is outdated then anyway', () => {
    const { sent, lookups, id } = verified();
    const asked: Ask[] = [];
    lookups.replaceInstance({ ask: (asks) => void asked.push(...asks), abort: () => undefined });
    lookups.answered([{ id, kind: 'drop', reason: 'no' }]);
    expect([asked, sent, lookups.outstanding]).toEqual([[], [], 0]);
  });
});

describe('another instance', () => {
  it('is asked what is out, with its askers, and an abort goes to it', () => {
    const { sent, aborted, lookups } = rig();
    lookups.missed([target(5), question(6, 1), { ...question(6, 2), kind: 'asker' }]);
    const asked: Ask[] = [];
    const ended: number[] = [];
    lookups.replaceInstance({ ask: (asks) => void asked.push(...asks), abort: (ids) => void ended.push(...ids) });
    expect(asked).toEqual([{ id: 6, kind: 'resolve', ip: '10.0.0.9' }]);
    // The engine asks for the target under another number.
    lookups.aborted([5]);
    expect([ended, aborted]).toEqual([[5], []]);
    lookups.answered([{ id: 6, kind: 'resolved', mac: mac(9) }]);
    expect(sent.map(({ op }) => op)).toEqual(['inject', 'inject', 'answers']);
  });

  it('is not asked anything when nothing is out', () => {
    const { lookups } = rig();
    let calls = 0;
    lookups.replaceInstance({ ask: () => void calls++, abort: () => undefined });
    expect(calls).toBe(0);
  });
});
