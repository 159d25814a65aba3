// One turn of the engine: what it takes, in which order, and what it leaves behind.
import vxlan from '@overlayadm/plugin-vxlan';
import { describe, expect, it } from 'vitest';
import { Engine } from '../../../src/core/engine/engine.ts';
import { Memory } from '../../../src/core/engine/memory.ts';
import type { FromEngine, ToEngine } from '../../../src/core/engine/messages.ts';
import { MAX_MESSAGES_PER_TURN } from '../../../src/core/util/limits.ts';
import { SimIo, SimUnderlay } from '../../helpers/sim-io.ts';

/** An engine whose waits are recorded: how long it would have slept, and whether something was ready. */
class WaitingIo extends SimIo {
  readonly waits: { readonly ms: number; readonly ready: number }[] = [];
  /** Nothing more can be watched: fs.epoll.max_user_watches of the kernel. */
  full = false;

  override pollAdd(poll: number, fd: number, token: number): void {
    if (this.full) throw new Error('ENOSPC: epoll_ctl');
    super.pollAdd(poll, fd, token);
  }

  override wait(poll: number, tokens: Uint32Array, ms = 0): number {
    const ready = super.wait(poll, tokens);
    this.waits.push({ ms, ready });
    return ready;
  }
}

function rig() {
  const io = new WaitingIo(new SimUnderlay());
  const inbox: ToEngine[] = [];
  const posted: FromEngine[] = [];
  const wake = io.openWake();
  const door = { io, wake, now: () => 0, take: () => inbox.shift(), post: (message: FromEngine) => void posted.push(message) };
  return { io, inbox, posted, wake, door };
}

const counters = (call: number): ToEngine => ({ op: 'counters', call, port: 1 });

describe('a message', () => {
  it('that comes when the engine has just found no more is not slept on: its wake is not taken with the wakes before it', () => {
    const { io, inbox, posted, wake, door } = rig();
    let late: ToEngine | undefined = counters(2);
    const take = (): ToEngine | undefined => {
      const message = inbox.shift();
      if (message === undefined && late !== undefined) {
        // The daemon's thread, at this very moment.
        inbox.push(late);
        late = undefined;
        io.wake(wake);
      }
      return message;
    };
    const engine = new Engine({ ...door, take }, new Memory(4096));
    inbox.push(counters(1));
    io.wake(wake);
    engine.turn();
    expect(posted).toEqual([{ op: 'done', call: 1, result: undefined }]);
    engine.turn();
    expect(io.waits.at(-1)).toMatchObject({ ready: 1 });
    expect(posted.at(-1)).toEqual({ op: 'done', call: 2, result: undefined });
  });

  it('beyond those of one turn is taken in the next one, which does not wait', () => {
    const { io, inbox, posted, door } = rig();
    const engine = new Engine(door, new Memory(4096));
    for (let call = 1; call <= MAX_MESSAGES_PER_TURN + 1; call++) inbox.push(counters(call));
    engine.turn(500);
    expect(posted.length).toBe(MAX_MESSAGES_PER_TURN);
    engine.turn(500);
    expect(posted.length).toBe(MAX_MESSAGES_PER_TURN + 1);
    expect(io.waits.map(({ ms }) => ms)).toEqual([500, 0]);
  });

  it('for an overlay that is gone is answered when it is a call, and changes nothing', () => {
    const { inbox, posted, door } = rig();
    const engine = new Engine(door, new Memory(4096));
    inbox.push({ op: 'inject', port: 7, frame: new Uint8Array(20) }, { op: 'cacheGet', call: 1, port: 7, mac: 5 });
    inbox.push({ op: 'closePort', call: 2, port: 7 }, { op: 'closeMux', call: 3, mux: 7 });
    inbox.push({ op: 'answers', answers: [{ id: 99, kind: 'drop' }] });
    engine.turn();
    expect(posted).toEqual([1, 2, 3].map((call) => ({ op: 'done', call, result: undefined })));
  });
});

describe('what the engine cannot open', () => {
  const socket = { family: 4, port: 4789, receiveBufferBytes: 0, sendBufferBytes: 0 } as const;

  it('is answered with why, leaves nothing of it, and can be tried again', () => {
    const { io, inbox, posted, door } = rig();
    const engine = new Engine(door, new Memory(4096));
    const fd = io.openUdp({ ...socket, address: Uint8Array.of(192, 0, 2, 1), sendOnly: false });
    const tap = io.openTap({ name: 'overlay0', exclusive: true });
    const mux = { mux: 1, encap: 'vxlan', format: vxlan.format, socket: fd, sendSockets: [fd] };
    const traits = { carriesVlanTag: true, group: false, resolves: false, servesDhcp: false } as const;
    const port = { port: 1, mux: 1, tap, vnetid: 1, mtu: 1400, header: new Uint8Array(8), ...traits };
    const open = (message: ToEngine): FromEngine | undefined => {
      inbox.push(message);
      engine.turn();
      return posted.at(-1);
    };
    const done = (call: number) => ({ op: 'done', call, result: undefined });
    const refused = (call: number, failure: string) => ({ ...done(call), failure: expect.stringContaining(failure) });
    expect(open({ op: 'openPort', call: 1, spec: port })).toEqual(refused(1, 'mux 1, which is not open'));
    io.full = true;
    expect(open({ op: 'openMux', call: 2, spec: mux })).toEqual(refused(2, 'ENOSPC'));
    expect(open({ op: 'openPort', call: 3, spec: port })).toEqual(refused(3, 'mux 1, which is not open'));
    io.full = false;
    expect(open({ op: 'openMux', call: 4, spec: mux })).toEqual(done(4));
    io.full = true;
    expect(open({ op: 'openPort', call: 5, spec: port })).toEqual(refused(5, 'ENOSPC'));
    expect(open({ op: 'counters', call: 6, port: 1 })).toEqual(done(6));
    io.full = false;
    expect(open({ op: 'openPort', call: 7, spec: port })).toEqual(done(7));
    expect(open({ op: 'counters', call: 8, port: 1 })).toMatchObject({ call: 8, result: { 'tx.frames': 0 } });
  });
});

describe('an engine that is told to stop', () => {
  it('answers when it has let go of its descriptors: its thread may end any moment after that', () => {
    const { io, inbox, posted, wake, door } = rig();
    const engine = new Engine(door, new Memory(4096));
    inbox.push({ op: 'stop', call: 1 });
    engine.turn();
    expect(engine.isStopped).toBe(true);
    expect(posted).toEqual([{ op: 'done', call: 1, result: undefined }]);
    io.close(wake);
    expect(io.open).toBe(0);
  });
});
