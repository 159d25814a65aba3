// Datagrams at the socket to which kernel links punt, of these links and of anybody else on this host: a whole engine with overlays of every kind.
import vxlan from '@overlayadm/plugin-vxlan';
import fc from 'fast-check';
import type { EngineAnswer, PortSpec } from '../../src/core/engine/messages.ts';
import { KIND } from '../../src/core/engine/outbox.ts';
import { compileHeader } from '../../src/core/wire/header-format.ts';
import { PUNT_PORT, to } from '../helpers/engine-rig.ts';
import { droppedByMux, NO_FLOW, whyNotConserved } from './conservation.ts';
import { type Door, must, type Subject } from './door.ts';
import { EngineSubject, Lent } from './engine-subject.ts';
import { arbitraryFrame, FRAME_SEEDS, FRAME_WORDS, mutantFrame } from './frames.ts';
import { mutate } from './mutate.ts';

const HEADER_BYTES = 8;
const DATAGRAMS_PER_TURN = 16;
const TURN_MS = 7;
const OURS = '192.0.2.1 50999';
/** Whoever may send to loopback. */
const OTHERS = ['192.0.2.77 4789', '127.0.0.1 50999', '192.0.3.1 50999'] as const;

const KINDS: readonly Pick<PortSpec, 'carriesVlanTag' | 'group' | 'resolves' | 'servesDhcp' | 'point'>[] = [
  { carriesVlanTag: true, group: false, resolves: true, servesDhcp: true },
  { carriesVlanTag: false, group: true, resolves: true, servesDhcp: true },
  { carriesVlanTag: true, group: true, resolves: false, servesDhcp: false },
  { carriesVlanTag: false, group: false, resolves: false, servesDhcp: false, point: to(8) },
];
const FIRST_VNETID = 7;
const FIRST_LINK = 21;
const headers = KINDS.map((_, index) => compileHeader(vxlan.format, FIRST_VNETID + index));
const withHeader = (header: Uint8Array, frame: Uint8Array): Uint8Array => Uint8Array.from(Buffer.concat([header, frame]));

class PuntSubject implements Subject {
  readonly #engine: EngineSubject;
  readonly #open: number;
  readonly #ports: readonly number[];
  readonly #askers = new Map<number, number>();
  readonly #before: Readonly<Record<string, number>>;
  /** Frames that came, by their length: what leaves is one of them, at most with another MAC and another checksum. */
  readonly #given = new Map<number, Uint8Array[]>();
  #answered = 0;
  #datagrams = 0;
  #fromOthers = 0;

  constructor(engine: EngineSubject) {
    this.#engine = engine;
    this.#open = engine.rig.io.open;
    this.#ports = KINDS.map((kind, index) => {
      const header = headers[index] as Uint8Array;
      return engine.openKernel(FIRST_LINK + index, { ...kind, vnetid: FIRST_VNETID + index, mtu: 1400, header });
    });
    this.#before = this.#counters();
  }

  take(input: Uint8Array): void {
    const { underlay } = this.#engine.rig;
    const from = this.#datagrams % 5 === 4 ? (OTHERS[this.#datagrams % OTHERS.length] as string) : OURS;
    underlay.send({ from, to: `127.0.0.1 ${PUNT_PORT}`, bytes: input });
    this.#datagrams++;
    if (from !== OURS) this.#fromOthers++;
    const frame = input.slice(HEADER_BYTES);
    this.#given.set(frame.length, [...(this.#given.get(frame.length) ?? []), frame]);
    underlay.carried.length = 0;
    if (this.#datagrams % DATAGRAMS_PER_TURN === 0) this.#turn();
  }

  finish(): void {
    for (let turns = 0; turns < 4; turns++) this.#turn();
    const counters = this.#counters();
    const dropped = droppedByMux(counters) - droppedByMux(this.#before);
    const refused = (counters['punt.wrong-source'] ?? 0) - (this.#before['punt.wrong-source'] ?? 0);
    must(refused === this.#fromOthers, () => `${this.#fromOthers} datagrams came from others, ${refused} were refused for it`);
    const counted = this.#ports.map((port) => this.#engine.closeKernel(port));
    const total = Object.fromEntries(Object.keys(counted[0] ?? {}).map((name) => [name, counted.reduce((all, each) => all + (each[name] ?? 0), 0)]));
    const why = whyNotConserved(total, { ...NO_FLOW, punted: this.#datagrams - dropped, answered: this.#answered });
    must(why === undefined, () => why ?? '');
    this.#engine.checkNothingIsHeld(this.#open);
    this.#engine.forgetPosted();
    engines.giveBack(this.#engine);
  }

  #counters(): Readonly<Record<string, number>> {
    return this.#engine.rig.counters(this.#ports[0] ?? 0);
  }

  #turn(): void {
    const { rig } = this.#engine;
    rig.now += TURN_MS;
    rig.turn();
    rig.send({ op: 'answers', answers: this.#answers() });
    rig.turn();
    for (const { bytes } of rig.underlay.carried) this.#checkSent(bytes.subarray(HEADER_BYTES));
    this.#engine.forgetPosted();
  }

  /** By the number of the request: a quarter is refused, a sixteenth waits until the overlay goes. */
  #answers(): EngineAnswer[] {
    const { rig } = this.#engine;
    const asked = rig.asked();
    for (const { id, kind } of asked) if (kind !== KIND.target) this.#askers.set(id, (this.#askers.get(id) ?? 0) + 1);
    return [...new Map(asked.map((each) => [each.id, each])).values()].flatMap(({ id, kind }): EngineAnswer[] => {
      if (id % 16 === 5) return [];
      if (id % 4 === 1) return [{ id, kind: 'drop' }];
      if (kind === KIND.target) return [{ id, kind: 'found', to: to(9) }];
      this.#answered += this.#askers.get(id) ?? 0;
      return [{ id, kind: 'done' }];
    });
  }

  #checkSent(sent: Uint8Array): void {
    const alike = (this.#given.get(sent.length) ?? []).some((frame) => {
      let different = 0;
      for (let at = 6; at < sent.length; at++) different += Number(sent[at] !== frame[at]);
      return different <= 2;
    });
    must(alike, () => `nobody sent ${Buffer.from(sent).toString('hex')}`);
  }
}

const engines = new Lent(() => {
  const engine = new EngineSubject();
  engine.openPunt();
  return engine;
});

export const puntDoor: Door = {
  name: 'punt',
  batch: 256,
  short: 6_000,
  open: () => new PuntSubject(engines.lend()),
  mutant: (random) =>
    random.once(2)
      ? withHeader(random.pick(headers), mutantFrame(random))
      : mutate(
          headers.flatMap((header) => FRAME_SEEDS.map((frame) => withHeader(header, frame))),
          [...FRAME_WORDS, ...headers],
          random,
        ),
  arbitrary: fc.tuple(fc.oneof(fc.constantFrom(...headers), fc.uint8Array({ maxLength: 12 })), arbitraryFrame).map((parts) => withHeader(...parts)),
};
