// Targets are written down a moment after they change, each overlay for itself, and read again only for the overlay they are of.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineCall } from '../../../src/core/engine/messages.ts';
import { type TargetRecord, writeTargets } from '../../../src/core/engine/snapshot.ts';
import type { Overlay } from '../../../src/core/overlay/overlay.ts';
import { readSnapshot, TargetSnapshots } from '../../../src/core/overlay/target-snapshots.ts';
import { MAX_SNAPSHOT_SHARE, SNAPSHOT_MS } from '../../../src/core/util/limits.ts';
import { silentLog } from '../../../src/core/util/log.ts';
import { macToKey } from '../../../src/core/util/mac-key.ts';
import { to } from '../../helpers/engine-rig.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { mac } from '../../helpers/frames.ts';
import { overlayRecord } from '../../helpers/overlay-record.ts';

const target = (last: number): TargetRecord => ({ mac: macToKey(mac(last)), to: to(last), fixed: false });

/** Overlays `overlay1`, `overlay2`, ... on ports of the same number; tables of ten targets a part. */
function rig(count = 1) {
  const clock = new FakeClock();
  const targets = new Map<number, readonly TargetRecord[]>();
  const changed = new Set<number>();
  const digests: Record<string, string> = {};
  const files = new Map<string, Uint8Array>();
  const writes: string[] = [];
  const warned: string[] = [];
  const failing = new Set<string>();
  /** What happens while the engine works. */
  let meanwhile: () => void = () => undefined;
  const call = async (message: EngineCall) => {
    if (message.op === 'cacheChanged') {
      const ports = [...changed];
      changed.clear();
      return ports;
    }
    if (message.op !== 'cacheExport') throw new Error(message.op);
    meanwhile();
    const records = targets.get(message.port);
    if (records === undefined) return undefined;
    const next = message.from + 10;
    return { records: writeTargets(records.slice(message.from, next)), next: next < records.length ? next : -1 };
  };
  const refuse = (name: string): void => {
    if (failing.has(name)) throw new Error('ENOSPC: no space left on device');
  };
  const overlays = Array.from({ length: count }, (_, i) => {
    const port = i + 1;
    targets.set(port, []);
    return { facts: { name: `overlay${port}`, id: 10 + port }, port: { id: port }, instance: { digests } } as unknown as Overlay;
  });
  const snapshots = new TargetSnapshots({
    engine: { send: () => undefined, call },
    clock,
    log: { ...silentLog, warn: (_fields, message) => void warned.push(message) },
    files: {
      read: async (name) => {
        refuse(name);
        return files.get(name);
      },
      write: async (name, parts) => {
        await new Promise((resolve) => setImmediate(resolve));
        refuse(name);
        writes.push(name);
        files.set(name, Buffer.concat(parts));
      },
      remove: async (name) => {
        refuse(name);
        files.delete(name);
      },
    },
    overlays: () => overlays,
  });
  const learn = (port: number, records: readonly TargetRecord[]): void => {
    targets.set(port, records);
    changed.add(port);
  };
  const past = async (name: string, id: number) => await snapshots.load(overlayRecord(name, { id }));
  const onExport = (act: () => void): void => {
    meanwhile = act;
  };
  return { clock, snapshots, learn, past, digests, files, writes, warned, failing, targets, overlays, onExport };
}

describe('snapshots of targets', () => {
  it('are written when something has changed, SNAPSHOT_MS later, and otherwise not', async () => {
    const { clock, snapshots, learn, past, writes } = rig(2);
    snapshots.start();
    const known = Array.from({ length: 25 }, (_, i) => target(i + 1));
    learn(2, known);
    await clock.advance(SNAPSHOT_MS - 1);
    expect(writes).toEqual([]);
    await clock.advance(1);
    expect(writes).toEqual(['overlay2']);
    expect(await past('overlay2', 12)).toEqual({ targets: writeTargets(known), digests: {} });
    await clock.advance(10 * SNAPSHOT_MS);
    expect(writes).toEqual(['overlay2']);
  });

  it('are written when a file of the plugin has changed, with its digest', async () => {
    const { clock, snapshots, past, digests, writes } = rig();
    snapshots.start();
    await clock.advance(SNAPSHOT_MS);
    expect(writes).toEqual([]);
    digests.config = 'abc';
    await clock.advance(3 * SNAPSHOT_MS);
    expect(writes).toEqual(['overlay1']);
    expect((await past('overlay1', 11)).digests).toEqual({ config: 'abc' });
  });

  it('are those of another overlay that had the name before: nothing of them is used', async () => {
    const { clock, snapshots, learn, past } = rig();
    snapshots.start();
    learn(1, [target(1)]);
    await clock.advance(SNAPSHOT_MS);
    expect(await past('overlay1', 12)).toEqual({ targets: new Uint8Array(0), digests: {} });
    expect(await past('overlay9', 11)).toEqual({ targets: new Uint8Array(0), digests: {} });
  });

  it('that cannot be written are told of once, and written when they can be, also those of the others', async () => {
    const { clock, snapshots, learn, writes, warned, failing, past } = rig(2);
    snapshots.start();
    failing.add('overlay1');
    learn(1, [target(1)]);
    learn(2, [target(2)]);
    await clock.advance(5 * SNAPSHOT_MS);
    expect(warned).toEqual(['targets cannot be written down']);
    failing.clear();
    await clock.advance(2 * SNAPSHOT_MS);
    expect(writes.toSorted()).toEqual(['overlay1', 'overlay2']);
    expect((await past('overlay1', 11)).targets).toEqual(writeTargets([target(1)]));
  });

  it('that cannot be read are told of, and the overlay begins with nothing', async () => {
    const { past, warned, failing } = rig();
    failing.add('overlay1');
    expect(await past('overlay1', 11)).toEqual({ targets: new Uint8Array(0), digests: {} });
    expect(warned).toEqual(['targets from before cannot be read']);
  });

  it('of an overlay that goes while they are taken are not written', async () => {
    const { clock, snapshots, learn, writes, targets, onExport } = rig();
    snapshots.start();
    learn(
      1,
      Array.from({ length: 30 }, (_, i) => target(i + 1)),
    );
    let parts = 0;
    onExport(() => {
      if (++parts === 2) targets.delete(1);
    });
    await clock.advance(SNAPSHOT_MS);
    expect([parts, writes]).toEqual([2, []]);
  });

  it('that are being written when the overlay is deleted do not come back', async () => {
    const { clock, snapshots, learn, files, writes } = rig();
    snapshots.start();
    learn(1, [target(1)]);
    const round = clock.advance(SNAPSHOT_MS);
    await Promise.resolve();
    const removed = snapshots.remove('overlay1');
    await Promise.all([round, removed]);
    await snapshots.remove('overlay1');
    expect([writes, [...files.keys()]]).toEqual([['overlay1'], []]);
  });

  it('are written a last time at the end, and no timer is left', async () => {
    const { clock, snapshots, learn, writes } = rig();
    snapshots.start();
    learn(1, [target(1)]);
    await snapshots.finish();
    expect([writes, clock.timers]).toEqual([['overlay1'], 0]);
    await clock.advance(10 * SNAPSHOT_MS);
    expect(clock.timers).toBe(0);
  });

  it('take at most MAX_SNAPSHOT_SHARE of the time', async () => {
    const { clock, snapshots, learn, onExport } = rig();
    snapshots.start();
    const slow = 400;
    let rounds = 0;
    // The engine was busy: the clock goes on while it is waited for.
    const now = clock.now.bind(clock);
    let late = 0;
    clock.now = () => now() + late;
    onExport(() => {
      rounds++;
      late += slow;
    });
    for (let ms = 0; ms < 20_000; ms += SNAPSHOT_MS) {
      learn(1, [target(1)]);
      await clock.advance(SNAPSHOT_MS);
    }
    expect(rounds).toBeGreaterThan(1);
    expect(rounds * slow).toBeLessThanOrEqual(MAX_SNAPSHOT_SHARE * (20_000 + rounds * slow) + slow);
  });
});

describe('readSnapshot', () => {
  const snapshot = (head: unknown, records = writeTargets([target(1)])): Uint8Array =>
    Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), records]);

  it('gives targets and digests of a snapshot of this overlay', () => {
    expect(readSnapshot(snapshot({ version: 1, id: 7, digests: { config: 'abc' } }), 7)).toEqual({
      targets: writeTargets([target(1)]),
      digests: { config: 'abc' },
    });
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['no head', writeTargets([target(1)])],
    ['a head without an end', Buffer.from('{"version":1,"id":7,"digests":{}}')],
    ['a head that is no JSON', Buffer.from('{"version":1,"id":7,\n')],
    ['a head that is no object', Buffer.from('7\n')],
    ['a head that is null', Buffer.from('null\n')],
    ['another version', snapshot({ version: 2, id: 7, digests: {} })],
    ['another id', snapshot({ version: 1, id: 8, digests: {} })],
    ['a head that is too long', snapshot({ version: 1, id: 7, digests: { config: 'x'.repeat(20_000) } })],
  ])('takes %s for none', (_what, bytes) => {
    expect(readSnapshot(bytes, 7)).toBeUndefined();
  });

  it('takes digests that are no texts for none', () => {
    for (const digests of [undefined, null, 7, 'x', { config: 7 }, []])
      expect(readSnapshot(snapshot({ version: 1, id: 7, digests }), 7)?.digests).toEqual({});
  });

  it('is total', () => {
    const half = fc.uint8Array().map((bytes) => Buffer.concat([Buffer.from('{"version":1,"id":7}\n'), bytes]));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          half,
          fc.json().map((text) => Buffer.from(`${text}\n`)),
        ),
        (bytes) => {
          const read = readSnapshot(bytes, 7);
          if (read !== undefined) expect(read.targets.length).toBeLessThanOrEqual(bytes.length);
        },
      ),
    );
  });
});
