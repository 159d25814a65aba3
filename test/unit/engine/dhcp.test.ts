// DHCP in the engine: the broadcast of a server goes to its client alone, along the path of every unicast frame.
import { describe, expect, it } from 'vitest';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { EngineRig, to } from '../../helpers/engine-rig.ts';
import { macOf } from '../../helpers/frames.ts';
import { bytes, CLIENT, discover, hex, TAG } from '../wire/frames.ts';

const reply = (tag = ''): Uint8Array => discover({ tag, op: '02', ports: '0043 0044' });
const inner = (datagram: Uint8Array): string => hex(datagram.subarray(8));
/** The frame as it leaves: only the Ethernet destination differs. */
const redirected = (frame: Uint8Array): string => CLIENT + hex(frame.subarray(6));
const known = { op: 'cacheSet', port: 1, mac: macToKey(macOf('02:08:20:00:00:aa')), to: to(2), fixed: false } as const;

describe('the broadcast of a DHCP server to a client that asked for one', () => {
  it('goes to the known client at once, changed in nothing but the MAC address it goes to', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    rig.send(known);
    tap.out.push(reply(), reply(TAG));
    rig.turn();
    expect(rig.sent().map((datagram) => [datagram.to, inner(datagram.bytes)])).toEqual([
      ['192.0.2.2 4789', redirected(reply())],
      ['192.0.2.2 4789', redirected(reply(TAG))],
    ]);
    expect(rig.asked()).toEqual([]);
    expect(rig.counters(1)).toMatchObject({ 'question.redirected': 2, 'tx.frames': 2, 'group.not-served': 0 });
  });

  it('waits for an unknown client like any frame, and makes its entry', () => {
    const rig = new EngineRig();
    const tap = rig.open(1);
    tap.out.push(reply(), reply());
    rig.turn();
    const asked = rig.asked();
    expect(asked.map(({ kind, frame }) => [kind, hex(frame.subarray(0, 6))])).toEqual([[0, CLIENT]]);
    rig.answer({ id: asked[0]?.id ?? 0, kind: 'found', to: to(3) });
    expect(rig.sent().map((datagram) => datagram.to)).toEqual(['192.0.2.3 4789', '192.0.2.3 4789']);
    tap.out.push(reply());
    rig.turn();
    expect([rig.sent().length, rig.asked().length]).toEqual([1, 0]);
  });

  it.each([
    ['the plugin does not serve DHCP', { servesDhcp: false }, reply()],
    ['its client is no one interface', {}, Uint8Array.from([...reply().subarray(0, 70), ...bytes('ffffffffffff'), ...reply().subarray(76)])],
  ])('is a group frame like any other when %s', (_what, options, frame) => {
    const rig = new EngineRig();
    const [without, wanted] = [rig.open(1, options), rig.open(2, { ...options, group: true })];
    rig.send(known);
    without.out.push(frame);
    wanted.out.push(frame);
    rig.turn();
    expect(rig.counters(1)).toMatchObject({ 'group.not-served': 1, 'question.redirected': 0 });
    expect(rig.asked().map(({ port, kind }) => [port, kind])).toEqual([[2, 0]]);
    expect(rig.sent()).toEqual([]);
  });

  it('goes to the point in point mode as it is', () => {
    const rig = new EngineRig();
    rig.open(1, { point: to(2) }).out.push(reply());
    rig.turn();
    expect(rig.sent().map((datagram) => inner(datagram.bytes))).toEqual([hex(reply())]);
  });
});
