// Datagrams at the mux: a whole engine, VXLAN and a format whose header says its own length.
import type { HeaderFormat } from '@overlayadm/api';
import vxlan from '@overlayadm/plugin-vxlan';
import fc from 'fast-check';
import { compileHeader } from '../../src/core/wire/header-format.ts';
import { droppedByMux, NO_FLOW, whyNotConserved } from './conservation.ts';
import { type Door, must, type Subject } from './door.ts';
import { EngineSubject, Lent, type OpenPort } from './engine-subject.ts';
import { arbitraryFrame, FRAME_SEEDS, FRAME_WORDS, mutantFrame } from './frames.ts';
import { mutate } from './mutate.ts';

const COUNTED: HeaderFormat = {
  carrier: { over: 'udp' },
  template: [0, 0, 0x65, 0x58, 0, 0, 0, 0],
  vnetid: { bit: 32, bits: 24 },
  accept: [
    { at: 0, mask: [0xc0], value: [0], dropReason: 'counted.version' },
    { at: 2, mask: [0xff, 0xff], value: [0x65, 0x58], dropReason: 'counted.protocol' },
  ],
  length: { kind: 'counted', count: { bit: 2, bits: 6 }, unitBytes: 4 },
  entropy: 'udp-source-port',
};
const LISTEN = { family: 4, address: Uint8Array.of(192, 0, 2, 1), receiveBufferBytes: 0, sendBufferBytes: 0, sendOnly: false } as const;
const HEADER_BYTES = 8;

interface Encap {
  readonly mux: number;
  readonly udpPort: number;
  readonly format: HeaderFormat;
}

const PORTS = [
  { vnetid: 1, mtu: 1400, carriesVlanTag: true },
  { vnetid: 2, mtu: 576, carriesVlanTag: false },
  { vnetid: 0xffffff, mtu: 8900, carriesVlanTag: true },
] as const;

const withHeader = (header: Uint8Array, frame: Uint8Array): Uint8Array => Uint8Array.from(Buffer.concat([header, frame]));

class MuxSubject implements Subject {
  readonly #engines: Lent;
  readonly #engine: EngineSubject;
  readonly #encap: Encap;
  readonly #open: number;
  readonly #ports: readonly OpenPort[];
  readonly #droppedBefore: number;
  #datagrams = 0;
  #segmented = 0;
  #segments = 0;

  constructor(engines: Lent, encap: Encap) {
    const engine = engines.lend();
    this.#engines = engines;
    this.#engine = engine;
    this.#encap = encap;
    this.#open = engine.rig.io.open;
    this.#ports = PORTS.map((port) =>
      engine.openPort({ ...port, mux: encap.mux, header: compileHeader(encap.format, port.vnetid), group: false, resolves: true, servesDhcp: true }),
    );
    this.#droppedBefore = this.#dropped();
  }

  take(input: Uint8Array): void {
    const { rig, watch } = this.#engine;
    const to = `192.0.2.1 ${this.#encap.udpPort}`;
    // One that is dropped comes first, so that there is a slot before that of the input.
    for (const bytes of [Uint8Array.of(1, 2, 3), input]) rig.underlay.send({ from: '192.0.2.9 1', to, bytes });
    this.#datagrams += 2;
    for (const { tap } of this.#ports) tap.failure = input.length % 61 === 60 ? 5 : 0;
    watch.rows = 0;
    rig.turn();
    if (watch.rows > 1) {
      this.#segmented++;
      this.#segments += watch.rows;
    }
    for (const [index, { tap }] of this.#ports.entries()) this.#checkFrames(input, tap.in.splice(0), PORTS[index]?.mtu ?? 0);
    this.#engine.forgetPosted();
  }

  finish(): void {
    for (const { tap } of this.#ports) tap.failure = 0;
    const dropped = this.#dropped() - this.#droppedBefore;
    const counted = this.#ports.map((port) => this.#engine.closePort(port));
    const total = Object.fromEntries(Object.keys(counted[0] ?? {}).map((name) => [name, counted.reduce((all, each) => all + (each[name] ?? 0), 0)]));
    const why = whyNotConserved(total, { ...NO_FLOW, datagrams: this.#datagrams - dropped, segments: this.#segments });
    must(why === undefined, () => why ?? '');
    must(total['rx.segmented'] === this.#segmented, () => `${this.#segmented} datagrams became several frames, counted are ${total['rx.segmented']}`);
    this.#engine.checkNothingIsHeld(this.#open);
    this.#engines.giveBack(this.#engine);
  }

  #dropped(): number {
    return droppedByMux(this.#engine.rig.counters(this.#ports[0]?.id ?? 0));
  }

  /** One frame is what was behind the header, at most with another checksum; of several each fits the MTU. */
  #checkFrames(input: Uint8Array, frames: readonly Uint8Array[], mtu: number): void {
    const [first] = frames;
    if (first === undefined) return;
    const units = this.#encap.format.length.kind === 'counted' ? (input[0] ?? 0) & 0x3f : 0;
    const inner = input.subarray(HEADER_BYTES + 4 * units);
    if (frames.length === 1) {
      must(first.length === inner.length, () => `a frame of ${inner.length} bytes became one of ${first.length}`);
      const different = first.reduce((count, byte, at) => count + Number(byte !== inner[at]), 0);
      must(different <= 2, () => `${different} bytes of a frame were changed`);
      return;
    }
    const long = frames.find((frame) => frame.length > mtu + 18);
    must(long === undefined, () => `a segment has ${long?.length} bytes, the MTU is ${mtu}`);
  }
}

function muxDoor(name: string, encap: Encap, headers: readonly Uint8Array[]): Door {
  const engines = new Lent(() => openEngine(encap));
  const seeds = [...headers.flatMap((header) => FRAME_SEEDS.map((frame) => withHeader(header, frame))), ...headers];
  return {
    name,
    batch: 256,
    short: 8_000,
    open: () => new MuxSubject(engines, encap),
    mutant: (random) =>
      random.once(2) ? withHeader(random.pick(headers), mutantFrame(random)) : mutate(seeds, [...FRAME_WORDS, ...headers], random),
    arbitrary: fc.tuple(fc.oneof(fc.constantFrom(...headers), fc.uint8Array({ maxLength: 12 })), arbitraryFrame).map((parts) => withHeader(...parts)),
  };
}

function openEngine({ mux, udpPort, format }: Encap): EngineSubject {
  const engine = new EngineSubject();
  if (mux === 1) return engine;
  const socket = engine.rig.io.openUdp({ ...LISTEN, port: udpPort });
  engine.rig.call({ op: 'openMux', spec: { mux, encap: 'counted', format, socket, sendSockets: [socket] } });
  return engine;
}

const vnis = PORTS.map(({ vnetid }) => [vnetid >> 16, (vnetid >> 8) & 255, vnetid & 255] as const);
const vxlanHeaders = vnis.map((vni) => Uint8Array.of(8, 0, 0, 0, ...vni, 0));
const countedHeaders = vnis.flatMap((vni) => [0, 1, 63].map((units) => Uint8Array.of(units, 0, 0x65, 0x58, ...vni, 0, ...new Uint8Array(4 * units))));

export const muxDoors: readonly Door[] = [
  muxDoor('mux', { mux: 1, udpPort: 4789, format: vxlan.format }, vxlanHeaders),
  muxDoor('mux-counted', { mux: 2, udpPort: 6081, format: COUNTED }, countedHeaders),
];
