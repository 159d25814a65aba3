// Targets that outlived overlayd, as bytes of whoever could write the file: into a whole engine and out of it again.
import vxlan from '@overlayadm/plugin-vxlan';
import fc from 'fast-check';
import type { CacheExport } from '../../src/core/engine/messages.ts';
import { readTargets, TARGET_RECORD_BYTES, type TargetRecord, writeTargets } from '../../src/core/engine/snapshot.ts';
import { compileHeader } from '../../src/core/wire/header-format.ts';
import { to } from '../helpers/engine-rig.ts';
import { frame, macOf } from '../helpers/frames.ts';
import { type Door, must, type Subject } from './door.ts';
import { EngineSubject, Lent } from './engine-subject.ts';
import { mutate } from './mutate.ts';

const V6 = { family: 6, ip: Uint8Array.from({ length: 16 }, (_, i) => 0x20 + i), port: 4789 } as const;
const TARGETS: readonly TargetRecord[] = [
  { mac: 0x02_00_00_00_00_09, to: to(9), fixed: false },
  { mac: 0x02_00_00_00_00_0a, to: 'drop', fixed: true },
  { mac: 0xfe_ff_ff_ff_ff_ff, to: V6, fixed: true },
];
const SEEDS = [writeTargets(TARGETS), ...TARGETS.map((target) => writeTargets([target]))];
const WORDS = [Uint8Array.of(4), Uint8Array.of(6), Uint8Array.of(3), new Uint8Array(TARGET_RECORD_BYTES)];
const SPEC = {
  mux: 1,
  vnetid: 7,
  mtu: 1400,
  header: compileHeader(vxlan.format, 7),
  carriesVlanTag: true,
  group: false,
  resolves: true,
  servesDhcp: true,
};

const text = (records: Iterable<TargetRecord>): string => [...records].map((record) => Buffer.from(writeTargets([record])).toString('hex')).join(' ');
const byMac = (records: Iterable<TargetRecord>): TargetRecord[] => [...records].toSorted((a, b) => a.mac - b.mac);

class SnapshotSubject implements Subject {
  readonly #engine: EngineSubject;
  readonly #open: number;

  constructor(engine: EngineSubject) {
    this.#engine = engine;
    this.#open = engine.rig.io.open;
  }

  take(input: Uint8Array): void {
    const { rig } = this.#engine;
    const records = [...readTargets(input)];
    must(records.length <= input.length / TARGET_RECORD_BYTES, () => 'there are more targets than there is room for');
    must(text(readTargets(writeTargets(records))) === text(records), () => 'what is written is not what is read');
    const port = this.#engine.openPort({ ...SPEC, targets: input });
    const { records: bytes, next } = rig.call({ op: 'cacheExport', port: port.id, from: 0, count: 4096 }) as CacheExport;
    must(next === -1, () => `${input.length} bytes made more than 4096 places`);
    // What is said twice is what was said last.
    const last = new Map(records.map((record) => [record.mac, record]));
    must(text(byMac(readTargets(bytes))) === text(byMac(last.values())), () => 'the engine has other targets than it was given');
    must((rig.call({ op: 'cacheChanged' }) as readonly number[]).length === 0, () => 'what was loaded counts as changed');
    port.tap.out.push(frame(macOf('02:00:00:00:00:09'), macOf('02:00:00:00:00:01')));
    rig.turn();
    this.#engine.closePort(port);
    this.#engine.forgetPosted();
  }

  finish(): void {
    this.#engine.checkNothingIsHeld(this.#open);
    engines.giveBack(this.#engine);
  }
}

const engines = new Lent(() => new EngineSubject());

export const snapshotDoor: Door = {
  name: 'snapshot',
  batch: 64,
  short: 1_500,
  open: () => new SnapshotSubject(engines.lend()),
  mutant: (random) => mutate(SEEDS, WORDS, random),
  arbitrary: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...SEEDS)),
};
