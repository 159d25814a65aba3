// Frames at the TAP: a whole engine with overlays of every kind, and a daemon that answers, refuses, repeats itself or says nothing.
import type { MacAddress } from '@overlayadm/api';
import vxlan from '@overlayadm/plugin-vxlan';
import type { EngineAnswer, PortSpec } from '../../src/core/engine/messages.ts';
import { KIND } from '../../src/core/engine/outbox.ts';
import { arpAnswer, dhcpRedirect, ndAnswer, readQuestion } from '../../src/core/proxy/answers.ts';
import { MAX_FRAME_BYTES } from '../../src/core/util/limits.ts';
import { compileHeader } from '../../src/core/wire/header-format.ts';
import { to } from '../helpers/engine-rig.ts';
import { type Flow, NO_FLOW, whyNotConserved } from './conservation.ts';
import { type Door, must, type Subject } from './door.ts';
import { EngineSubject, Lent, type OpenPort } from './engine-subject.ts';
import { arbitraryFrame, mutantFrame } from './frames.ts';

const ANSWER_MAC = '02:08:20:00:00:09' as MacAddress;
/** Inputs between two turns of the engine. */
const FRAMES_PER_TURN = 16;
const TURN_MS = 7;
const HEADER_BYTES = 8;
const UNKNOWN_ID = 2 ** 40;

const KINDS: readonly Pick<PortSpec, 'carriesVlanTag' | 'group' | 'resolves' | 'servesDhcp' | 'point'>[] = [
  { carriesVlanTag: true, group: false, resolves: true, servesDhcp: true },
  { carriesVlanTag: false, group: true, resolves: true, servesDhcp: true },
  { carriesVlanTag: true, group: true, resolves: false, servesDhcp: false },
  { carriesVlanTag: false, group: false, resolves: false, servesDhcp: false, point: to(8) },
];

/** What a kernel says to a datagram: mostly nothing, and everything that the sender tells apart. */
function kernelAnswer(datagram: Uint8Array): number {
  if (datagram.length > 1458) return 90;
  const last = (datagram.at(-1) ?? 0) & 31;
  return last === 7 ? 11 : last === 8 ? 101 : last === 9 ? 105 : 0;
}

type Writable = { -readonly [K in keyof Flow]: Flow[K] };

interface Asked {
  readonly port: number;
  readonly kind: number;
  readonly frames: Uint8Array[];
}

const text = (frame: Uint8Array): string => Buffer.from(frame.buffer, frame.byteOffset + 6, Math.max(0, frame.length - 6)).toString('latin1');

class TapSubject implements Subject {
  readonly #engine: EngineSubject;
  readonly #open: number;
  readonly #ports: readonly OpenPort[];
  readonly #flows = new Map<number, Writable>();
  readonly #asked = new Map<number, Asked>();
  /** All that may come out, behind the target's MAC, which a redirected frame changes. */
  readonly #given = new Set<string>();
  #inputs = 0;

  constructor(engine: EngineSubject) {
    this.#engine = engine;
    this.#open = engine.rig.io.open;
    engine.rig.underlay.carry = ({ bytes }) => kernelAnswer(bytes);
    this.#ports = KINDS.map((kind, index) =>
      engine.openPort({ ...kind, mux: 1, vnetid: 7 + index, mtu: 1400, header: compileHeader(vxlan.format, 7 + index) }),
    );
    for (const { id } of this.#ports) this.#flows.set(id, { ...NO_FLOW });
  }

  take(input: Uint8Array): void {
    // The kernel cuts what is longer than the room it is given.
    const frame = input.subarray(0, MAX_FRAME_BYTES);
    if (frame.length >= 6) this.#given.add(text(frame));
    for (const { id, tap } of this.#ports) {
      tap.out.push(frame);
      this.#flow(id).read++;
    }
    this.#inputs++;
    if (this.#inputs % 41 === 0) this.#fromDaemon(frame);
    if (this.#inputs % FRAMES_PER_TURN === 0) this.#turn();
  }

  finish(): void {
    while (this.#ports.some(({ tap }) => tap.out.length > 0)) this.#turn();
    this.#turn();
    // What is asked and not answered by now is lookup.teardown.
    for (const port of this.#ports) {
      const why = whyNotConserved(this.#engine.closePort(port), this.#flow(port.id));
      must(why === undefined, () => `overlay ${port.id}: ${why}`);
    }
    this.#engine.checkNothingIsHeld(this.#open);
    this.#engine.forgetPosted();
    engines.giveBack(this.#engine);
  }

  #flow(id: number): Writable {
    const flow = this.#flows.get(id);
    must(flow !== undefined, () => `overlay ${id} is not open`);
    return flow;
  }

  /** Frames and changes of the cache that the daemon sends unasked. */
  #fromDaemon(frame: Uint8Array): void {
    const { rig } = this.#engine;
    const port = this.#ports[this.#inputs % this.#ports.length]?.id ?? 0;
    this.#flow(port).resent++;
    this.#flow(port).injected++;
    rig.send({ op: 'resend', port, frame });
    rig.send({ op: 'inject', port, frame });
    const mac = frame.subarray(0, 6).reduce((key, byte) => key * 256 + byte, 0);
    if (this.#inputs % 3 === 0) rig.send({ op: 'cacheSet', port, mac, to: this.#inputs % 2 === 0 ? 'drop' : to(7), fixed: false });
    else rig.send({ op: 'cacheInvalidate', port, mac });
    if (this.#inputs % 5 === 0) rig.send({ op: 'cacheFlush', call: 0, port });
    if (this.#inputs % 7 === 0) rig.send({ op: 'movePort', call: 0, port, mux: 1 + (this.#inputs % 2) });
    if (this.#inputs % 11 === 0) rig.send({ op: 'cacheExport', call: 0, port, from: 0, count: 64 });
  }

  #turn(): void {
    const { rig } = this.#engine;
    rig.now += TURN_MS;
    rig.turn();
    this.#takeRequests();
    rig.turn();
    for (const { bytes } of rig.underlay.carried) {
      must(this.#given.has(text(bytes.subarray(HEADER_BYTES))), () => `nobody sent ${Buffer.from(bytes).toString('hex')}`);
    }
    for (const { tap } of this.#ports) tap.in.length = 0;
    this.#engine.forgetPosted();
  }

  #takeRequests(): void {
    const { rig } = this.#engine;
    for (const id of rig.aborted()) this.#asked.delete(id);
    for (const { id, port, kind, frame } of rig.asked()) {
      if (kind === KIND.asker) this.#asked.get(id)?.frames.push(frame);
      else this.#asked.set(id, { port, kind, frames: [frame] });
    }
    const answers = [...this.#asked].flatMap(([id, asked]) => this.#answersTo(id, asked));
    rig.send({ op: 'answers', answers: [...answers, { id: UNKNOWN_ID, kind: 'drop' }, ...answers.slice(0, 1)] });
  }

  /** By the number of the request: a quarter is refused, a quarter of the rest waits for ever. */
  #answersTo(id: number, asked: Asked): EngineAnswer[] {
    if (id % 16 === 5) return [];
    this.#asked.delete(id);
    if (id % 4 === 1) return [{ id, kind: 'drop' }];
    if (asked.kind === KIND.target) return [{ id, kind: 'found', to: to(9) }];
    for (const frame of asked.frames) this.#answerQuestion(asked.port, frame);
    return [{ id, kind: 'done' }];
  }

  /** As the daemon does it, once for every asker. */
  #answerQuestion(port: number, frame: Uint8Array): void {
    const { rig } = this.#engine;
    const flow = this.#flow(port);
    flow.answered++;
    const question = readQuestion(Uint8Array.from(frame).fill(0xff, 0, frame[0] === 0x33 ? 0 : 6));
    must(question !== undefined, () => `the daemon finds no question in ${Buffer.from(frame).toString('hex')}`);
    const redirected = dhcpRedirect(frame, ANSWER_MAC);
    const reply = arpAnswer(frame, ANSWER_MAC) ?? ndAnswer(frame, ANSWER_MAC);
    if (redirected !== undefined) {
      flow.resent++;
      this.#given.add(text(redirected));
      rig.send({ op: 'resend', port, frame: redirected });
    } else if (reply !== undefined) {
      flow.injected++;
      rig.send({ op: 'inject', port, frame: reply });
    }
  }
}

/** With a second mux, to which overlays move and from which they come back. */
function openEngine(): EngineSubject {
  const engine = new EngineSubject();
  engine.rig.openMux(2, 2);
  return engine;
}

const engines = new Lent(openEngine);

export const tapDoor: Door = {
  name: 'tap',
  batch: 512,
  short: 10_000,
  open: () => new TapSubject(engines.lend()),
  mutant: mutantFrame,
  arbitrary: arbitraryFrame,
};
