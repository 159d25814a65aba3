// Descriptors that outlive overlayd: what it was started with, by every word of whoever started it, and what the holder is told.
import { describe, expect, it } from 'vitest';
import { HeldDescriptors, type Inheritance, inheritedNumbers, readInheritance } from '../../../src/core/daemon/held-descriptors.ts';
import { silentLog } from '../../../src/core/util/log.ts';

const PID = 4711;
const given = (environment: Record<string, string>) => {
  const { holder, descriptors } = readInheritance(environment, PID);
  return { holder, descriptors: Object.fromEntries(descriptors) };
};
const passed = (count: string, names?: string) => ({
  LISTEN_PID: String(PID),
  LISTEN_FDS: count,
  ...(names === undefined ? {} : { LISTEN_FDNAMES: names }),
});

describe('readInheritance', () => {
  it('of nothing is nobody and nothing', () => {
    expect(given({})).toEqual({ holder: { kind: 'none' }, descriptors: {} });
  });

  it('gives each descriptor the name that it was passed on with, from 3 on', () => {
    expect(given(passed('3', 'lock:tap.overlay0:mux.c0000201.4789')).descriptors).toEqual({ lock: 3, 'tap.overlay0': 4, 'mux.c0000201.4789': 5 });
  });

  it.each<[string, Record<string, string>, object]>([
    ['meant for another process', { ...passed('1', 'lock'), LISTEN_PID: '1' }, {}],
    ['meant for nobody', { LISTEN_FDS: '1', LISTEN_FDNAMES: 'lock' }, {}],
    ['in no number', passed('one', 'lock'), {}],
    ['of a negative number', passed('-1', 'lock'), {}],
    ['of no number', passed('', 'lock'), {}],
    ['without names', passed('2'), { '': 3, unnamed1: 4 }],
    ['with too few names', passed('2', 'lock'), { lock: 3, unnamed1: 4 }],
    ['with too many names', passed('1', 'lock:tap.overlay0'), { lock: 3 }],
  ])('takes descriptors %s for what they are', (_what, environment, descriptors) => {
    expect(given(environment).descriptors).toEqual(descriptors);
  });

  it.each<[string, Record<string, string>, object]>([
    ['the keeper', { OVERLAYD_KEEPER_FD: '7' }, { kind: 'keeper', fd: 7 }],
    [
      'the keeper, also below a service manager',
      { OVERLAYD_KEEPER_FD: '7', OVERLAYD_HOLDER: 'systemd', NOTIFY_SOCKET: '/n' },
      { kind: 'keeper', fd: 7 },
    ],
    ['systemd, which says how much it holds', { FDSTORE: '128', NOTIFY_SOCKET: '/run/n' }, { kind: 'service-manager', socket: '/run/n' }],
    ['systemd before 254, which does not', { OVERLAYD_HOLDER: 'systemd', NOTIFY_SOCKET: '@n' }, { kind: 'service-manager', socket: '@n' }],
    ['nobody: systemd holds nothing of this unit', { FDSTORE: '0', NOTIFY_SOCKET: '/run/n' }, { kind: 'none' }],
    ['nobody: there is nobody to tell', { OVERLAYD_HOLDER: 'systemd' }, { kind: 'none' }],
    ['nobody: an empty socket is none', { OVERLAYD_HOLDER: 'systemd', NOTIFY_SOCKET: '' }, { kind: 'none' }],
    ['nobody: a service manager that only wants to know when we are ready', { NOTIFY_SOCKET: '/run/n' }, { kind: 'none' }],
    ['nobody: the number is none', { OVERLAYD_KEEPER_FD: 'x' }, { kind: 'none' }],
  ])('knows the holder: %s', (_what, environment, holder) => {
    expect(given(environment).holder).toEqual(holder);
  });

  it('names the numbers that must stay open', () => {
    expect(inheritedNumbers(readInheritance({ ...passed('2', 'a:b'), OVERLAYD_KEEPER_FD: '9' }, PID))).toEqual([3, 4, 9]);
    expect(inheritedNumbers(readInheritance(passed('1', 'a'), PID))).toEqual([3]);
  });
});

function rig(inheritance: Partial<Inheritance> = {}, closed: readonly number[] = []) {
  const told: (readonly [number | string, string, readonly number[]])[] = [];
  const adopted: number[] = [];
  const shut: number[] = [];
  const warned: string[] = [];
  let failure: Error | undefined;
  const tell = (where: number | string, state: string, fds: readonly number[] = []): void => {
    if (failure !== undefined) throw failure;
    told.push([where, state, fds]);
  };
  const io = {
    adopt: (fd: number): void => {
      if (closed.includes(fd)) throw Object.assign(new Error('EBADF: fcntl'), { code: 'EBADF' });
      adopted.push(fd);
    },
    close: (fd: number): void => void shut.push(fd),
    notify: tell,
    notifyOver: tell,
  };
  const held = new HeldDescriptors(io, { holder: { kind: 'keeper', fd: 9 }, descriptors: new Map([['lock', 3]]), ...inheritance });
  const log = { ...silentLog, warn: (_fields: object, text: string) => void warned.push(text) };
  const fail = (error?: Error): void => {
    failure = error;
  };
  return { held, told, adopted, shut, warned, log, fail };
}

describe('descriptors that were held', () => {
  const descriptors = new Map([
    ['lock', 3],
    ['tap.overlay0', 4],
  ]);

  it('are given each once; what nobody takes is named', () => {
    const { held } = rig({ descriptors });
    expect(held.names()).toEqual(['lock', 'tap.overlay0']);
    expect([held.take('lock'), held.take('lock'), held.take('nosuch')]).toEqual([3, undefined, undefined]);
    expect(held.names()).toEqual(['tap.overlay0']);
  });

  it('are not passed on to programs that we start, nor is the socket of the keeper', () => {
    expect(rig({ descriptors }).adopted).toEqual([3, 4, 9]);
    expect(rig({ descriptors, holder: { kind: 'none' } }).adopted).toEqual([3, 4]);
  });

  it('that are not open are none', () => {
    const { held } = rig({ descriptors }, [4]);
    expect([held.names(), held.take('tap.overlay0')]).toEqual([['lock'], undefined]);
  });

  it('that nobody wants are closed, here and at the holder', () => {
    const { held, told, shut } = rig({ descriptors });
    held.discard('tap.overlay0');
    held.discard('gone');
    expect(shut).toEqual([4]);
    expect(told.map(([, state]) => state)).toEqual(['FDSTOREREMOVE=1\nFDNAME=tap.overlay0', 'FDSTOREREMOVE=1\nFDNAME=gone']);
    expect(held.names()).toEqual(['lock']);
  });
});

describe('the holder', () => {
  it.each<[Inheritance['holder'], number | string]>([
    [{ kind: 'keeper', fd: 9 }, 9],
    [{ kind: 'service-manager', socket: '/run/n' }, '/run/n'],
  ])('(%o) is told in the words of sd_notify', (holder, where) => {
    const { held, told } = rig({ holder });
    held.keep('tap.overlay0', 12);
    held.forget('tap.overlay0');
    held.tell('READY=1');
    expect(told).toEqual([
      [where, 'FDSTORE=1\nFDNAME=tap.overlay0\nFDPOLL=0', [12]],
      [where, 'FDSTOREREMOVE=1\nFDNAME=tap.overlay0', []],
      [where, 'READY=1', []],
    ]);
    expect(held.kind).toBe(holder.kind);
  });

  it('that is nobody is told nothing, which is said once', () => {
    const { held, told, warned, log } = rig({ holder: { kind: 'none' } });
    held.logTo(log);
    held.keep('tap.overlay0', 12);
    held.discard('lock');
    expect([told, warned]).toEqual([[], ['nobody holds the descriptors of overlays: when overlayd ends their links lose their carrier']]);
  });

  it('that cannot be told keeps nobody from going on, and is mentioned when it begins', () => {
    const { held, told, warned, log, fail } = rig();
    held.keep('a', 11);
    fail(new Error('EPIPE: sendmsg'));
    held.keep('b', 12);
    held.logTo(log);
    expect(warned).toEqual([]);
    fail();
    held.keep('c', 13);
    fail(new Error('EPIPE: sendmsg'));
    for (let i = 0; i < 3; i++) held.keep('d', 14);
    expect(warned).toEqual(['the holder of descriptors cannot be told']);
    fail();
    held.keep('e', 15);
    expect(told.map(([, state]) => /FDNAME=(.)/.exec(state)?.[1])).toEqual(['a', 'c', 'e']);
  });
});
