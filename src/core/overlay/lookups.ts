// Between the engine and a lookup instance: misses become questions for the plugin, its answers become operations of the engine.
import { type Destination, isGroupMac, type MacAddress, macToDisplay } from '@overlayadm/api';
import type { EngineAnswer, EngineLink, WireDestination } from '../engine/messages.ts';
import type { Answer, Ask, LookupInstance } from '../lookup/types.ts';
import type { FrameQuestion } from '../proxy/answers.ts';
import type { Log } from '../util/log.ts';
import { macToKey } from '../util/mac-key.ts';
import type { CheckedDestination } from './destination.ts';
import { isInterfaceMac } from './interface-mac.ts';

/** Reads and makes frames; handed in, so that this folder knows no wire format. */
export interface FrameDoor {
  /** What a lookup needs to know of the head of a frame; undefined when it is none. */
  readTarget(
    head: Uint8Array,
  ): { readonly to: MacAddress; readonly from: MacAddress; readonly etherType: number; readonly vlan?: number } | undefined;
  readQuestion(frame: Uint8Array): FrameQuestion | undefined;
  arpAnswer(question: Uint8Array, mac: MacAddress): Uint8Array | undefined;
  ndAnswer(question: Uint8Array, mac: MacAddress): Uint8Array | undefined;
  dhcpRedirect(question: Uint8Array, server: MacAddress): Uint8Array | undefined;
}

type Asked = Pick<LookupInstance, 'ask' | 'abort'>;

export interface LookupParts {
  readonly port: number;
  readonly engine: EngineLink;
  readonly instance: Asked;
  readonly frames: FrameDoor;
  readonly log: Log;
  check(destination: Destination): CheckedDestination;
  isVnic(mac: MacAddress): boolean;
  /** What verify() asked could not be answered just now. */
  unanswered(target: MacAddress): void;
  /** A destination that cannot be right: which target, and why not. */
  wrongDestination(target: string, reason: string): void;
}

/** Request `id` missed with this frame. The kinds are those of LookupBatch. */
export interface Miss {
  readonly id: number;
  readonly kind: 'target' | 'question' | 'asker';
  readonly frame: Uint8Array;
}

/** Requests of our own have numbers that the engine, which counts up from 1, never reaches. */
const FIRST_OWN_ID = 2 ** 52;
/** Who asks when no guest does: locally administered, and nobody's. */
const NOBODY = '02:00:00:00:00:00' as MacAddress;
const ETHERTYPE_IPV4 = 0x0800;
/** Refusals that are none: the question could not be answered just now (lookup/instance.ts). */
const NO_ANSWER = new Set(['lookup.crashed', 'lookup.timeout']);

interface OpenQuestion {
  readonly question: FrameQuestion;
  /** One frame of each asker; each gets an answer of its own. */
  readonly frames: Uint8Array[];
}

export class OverlayLookups {
  readonly #parts: LookupParts;
  readonly #questions = new Map<number, OpenQuestion>();
  /** Targets of outstanding lookups, for messages about their answers. */
  readonly #targets = new Map<number, Extract<Ask, { readonly kind: 'lookup' }>>();
  /** Targets that are asked for anew though they are known. */
  readonly #verified = new Map<number, MacAddress>();
  #instance: Asked;
  #lastOwnId = FIRST_OWN_ID;

  constructor(parts: LookupParts) {
    this.#parts = parts;
    this.#instance = parts.instance;
  }

  /** Lookups and questions that are out. */
  get outstanding(): number {
    return this.#questions.size + this.#targets.size + this.#verified.size;
  }

  /**
   * What is out is put to this one, in the order in which it was asked: questions and group frames. Targets that are pending the
   * engine itself asks for anew, when it is told that everything is outdated.
   */
  replaceInstance(instance: Asked): void {
    this.#instance = instance;
    this.#verified.clear();
    const groups = [...this.#targets.values()].filter(({ to }) => isGroupMac(to));
    const asks = [...groups, ...[...this.#questions].map(([id, { question }]) => askOf(id, question))];
    if (asks.length > 0) instance.ask(asks.toSorted((a, b) => a.id - b.id));
  }

  /** Asks for targets that are known: a different answer replaces what is known, a refusal ends it, no answer changes nothing. */
  verify(targets: readonly MacAddress[]): void {
    const asks = targets.map((to): Ask => {
      const id = ++this.#lastOwnId;
      this.#verified.set(id, to);
      return { id, kind: 'lookup', to, from: NOBODY, etherType: ETHERTYPE_IPV4 };
    });
    if (asks.length > 0) this.#instance.ask(asks);
  }

  /** Nobody hears the answers any more: what verify() has asked has to be asked once more. */
  giveBack(): void {
    for (const target of this.#verified.values()) this.#parts.unanswered(target);
    this.#verified.clear();
  }

  missed(misses: readonly Miss[]): void {
    const asks: Ask[] = [];
    const refused: EngineAnswer[] = [];
    for (const miss of misses) {
      if (miss.kind === 'asker') {
        this.#questions.get(miss.id)?.frames.push(miss.frame.slice());
        continue;
      }
      const ask = miss.kind === 'target' ? this.#askTarget(miss) : this.#askQuestion(miss);
      if (ask === undefined) refused.push({ id: miss.id, kind: 'drop' });
      else asks.push(ask);
    }
    if (refused.length > 0) this.#parts.engine.send({ op: 'answers', answers: refused });
    if (asks.length > 0) this.#instance.ask(asks);
  }

  aborted(ids: readonly number[]): void {
    const mine = ids.filter((id) => this.#questions.delete(id) || this.#targets.delete(id));
    if (mine.length > 0) this.#instance.abort(mine);
  }

  answered(answers: readonly Answer[]): void {
    const out = answers.flatMap((answer) => this.#take(answer) ?? []);
    if (out.length > 0) this.#parts.engine.send({ op: 'answers', answers: out });
  }

  #askTarget({ id, frame }: Miss): Ask | undefined {
    const target = this.#parts.frames.readTarget(frame);
    if (target === undefined) return undefined;
    const ask = { id, kind: 'lookup', ...target } as const;
    this.#targets.set(id, ask);
    return ask;
  }

  #askQuestion({ id, frame }: Miss): Ask | undefined {
    const question = this.#parts.frames.readQuestion(frame);
    if (question === undefined) return undefined;
    // A copy: the frame stands in the memory of its whole batch, which would live as long as the question.
    this.#questions.set(id, { question, frames: [frame.slice()] });
    return askOf(id, question);
  }

  /** What the engine is told; undefined for an answer that nobody waits for. */
  #take(answer: Answer): EngineAnswer | undefined {
    const known = this.#verified.get(answer.id);
    if (known !== undefined) return this.#takeVerified(known, answer);
    const question = this.#questions.get(answer.id);
    const target = this.#targets.get(answer.id)?.to;
    if (question === undefined && target === undefined) return undefined;
    this.#questions.delete(answer.id);
    this.#targets.delete(answer.id);
    if (answer.kind === 'resolved' && question !== undefined) return this.#proxy(answer.id, question, answer.mac, answer.destination);
    if (answer.kind === 'found' && target !== undefined) return this.#found(answer.id, target, answer.destination);
    const reason = answer.kind === 'drop' ? answer.reason : 'answer of the wrong kind';
    this.#parts.log.debug({ target, reason }, 'lookup refused');
    return { id: answer.id, kind: 'drop' };
  }

  #takeVerified(target: MacAddress, answer: Answer): undefined {
    const { engine, port } = this.#parts;
    this.#verified.delete(answer.id);
    const mac = macToKey(target);
    if (answer.kind === 'found') {
      const to = this.#isOwn(answer.destination) ? undefined : this.#checked(macToDisplay(target), answer.destination);
      engine.send(to === undefined ? { op: 'cacheInvalidate', port, mac } : { op: 'cacheSet', port, mac, to, fixed: false });
    } else if (answer.kind === 'drop' && !NO_ANSWER.has(answer.reason)) engine.send({ op: 'cacheInvalidate', port, mac });
    else this.#parts.unanswered(target);
  }

  #found(id: number, target: MacAddress, destination: Destination): EngineAnswer {
    // DHCP that is sent on to a VNIC of this host: macvlan has given it the broadcast that it was, and nothing is amiss.
    if (this.#isOwn(destination) && this.#parts.isVnic(target)) return { id, kind: 'drop' };
    const checked = this.#checked(macToDisplay(target), destination);
    return checked === undefined ? { id, kind: 'drop' } : { id, kind: 'found', to: checked };
  }

  #checked(target: string, destination: Destination): WireDestination | undefined {
    const checked = this.#parts.check(destination);
    if (checked.ok) return checked.to;
    this.#parts.wrongDestination(target, checked.reason);
    return undefined;
  }

  /** A broadcast question for a VNIC of this host gets here too; macvlan carries what follows, and nothing is amiss. */
  #isOwn(destination: Destination): boolean {
    const checked = this.#parts.check(destination);
    return !checked.ok && checked.own === true;
  }

  #proxy(id: number, { question, frames }: OpenQuestion, mac: MacAddress, destination: Destination | undefined): EngineAnswer {
    const { engine, port } = this.#parts;
    if (!isInterfaceMac(mac)) {
      this.#parts.wrongDestination(macToDisplay(mac), 'it is not the address of one interface');
      return { id, kind: 'drop' };
    }
    const to = destination === undefined || this.#isOwn(destination) ? undefined : this.#checked(macToDisplay(mac), destination);
    // Before the answer, so that the first frame to the address that the guest now learns finds its target known.
    if (to !== undefined) engine.send({ op: 'cacheSet', port, mac: macToKey(mac), to, fixed: false });
    for (const asked of frames) {
      const frame = this.#answerFrame(question.kind, asked, mac);
      if (frame !== undefined) engine.send({ op: question.kind === 'dhcp' ? 'resend' : 'inject', port, frame });
    }
    return { id, kind: 'done' };
  }

  #answerFrame(kind: FrameQuestion['kind'], asked: Uint8Array, mac: MacAddress): Uint8Array | undefined {
    const { frames } = this.#parts;
    if (kind === 'arp') return frames.arpAnswer(asked, mac);
    return kind === 'nd' ? frames.ndAnswer(asked, mac) : frames.dhcpRedirect(asked, mac);
  }
}

const askOf = (id: number, question: FrameQuestion): Ask =>
  question.kind === 'dhcp' ? { id, kind: 'dhcp', client: question.client } : { id, kind: 'resolve', ip: question.ip };
