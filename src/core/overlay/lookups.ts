// Between the engine and a lookup instance: misses become questions for the plugin, its answers become operations of the engine.
import { type Destination, isGroupMac, type MacAddress, macToDisplay } from '@overlayadm/api';
import type { EngineAnswer, EngineLink, WireDestination } from '../engine/messages.ts';
import type { Answer, Ask, LookupInstance } from '../lookup/types.ts';
import type { FrameQuestion } from '../proxy/answers.ts';
import type { Log } from '../util/log.ts';
import { macToKey } from '../util/mac-key.ts';
import type { CheckedDestination } from './destination.ts';

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

export interface LookupParts {
  readonly port: number;
  readonly engine: EngineLink;
  readonly instance: Pick<LookupInstance, 'ask' | 'abort'>;
  readonly frames: FrameDoor;
  readonly log: Log;
  check(destination: Destination): CheckedDestination;
  isVnic(mac: MacAddress): boolean;
  /** A destination that cannot be right: which target, and why not. */
  wrongDestination(target: string, reason: string): void;
}

/** Request `id` missed with this frame. The kinds are those of LookupBatch. */
export interface Miss {
  readonly id: number;
  readonly kind: 'target' | 'question' | 'asker';
  readonly frame: Uint8Array;
}

const ZERO_MAC = '00:00:00:00:00:00';

interface OpenQuestion {
  readonly question: FrameQuestion;
  /** One frame of each asker; each gets an answer of its own. */
  readonly frames: Uint8Array[];
}

export class OverlayLookups {
  readonly #parts: LookupParts;
  readonly #questions = new Map<number, OpenQuestion>();
  /** Targets of outstanding lookups, for messages about their answers. */
  readonly #targets = new Map<number, MacAddress>();

  constructor(parts: LookupParts) {
    this.#parts = parts;
  }

  /** Lookups and questions that are out. */
  get outstanding(): number {
    return this.#questions.size + this.#targets.size;
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
    if (asks.length > 0) this.#parts.instance.ask(asks);
  }

  aborted(ids: readonly number[]): void {
    const mine = ids.filter((id) => this.#questions.delete(id) || this.#targets.delete(id));
    if (mine.length > 0) this.#parts.instance.abort(mine);
  }

  answered(answers: readonly Answer[]): void {
    const out = answers.flatMap((answer) => this.#take(answer) ?? []);
    if (out.length > 0) this.#parts.engine.send({ op: 'answers', answers: out });
  }

  #askTarget({ id, frame }: Miss): Ask | undefined {
    const target = this.#parts.frames.readTarget(frame);
    if (target === undefined) return undefined;
    this.#targets.set(id, target.to);
    return { id, kind: 'lookup', ...target };
  }

  #askQuestion({ id, frame }: Miss): Ask | undefined {
    const question = this.#parts.frames.readQuestion(frame);
    if (question === undefined) return undefined;
    // A copy: the frame stands in the memory of its whole batch, which would live as long as the question.
    this.#questions.set(id, { question, frames: [frame.slice()] });
    return question.kind === 'dhcp' ? { id, kind: 'dhcp', client: question.client } : { id, kind: 'resolve', ip: question.ip };
  }

  /** What the engine is told; undefined for an answer that nobody waits for. */
  #take(answer: Answer): EngineAnswer | undefined {
    const question = this.#questions.get(answer.id);
    const target = this.#targets.get(answer.id);
    if (question === undefined && target === undefined) return undefined;
    this.#questions.delete(answer.id);
    this.#targets.delete(answer.id);
    if (answer.kind === 'resolved' && question !== undefined) return this.#proxy(answer.id, question, answer.mac, answer.destination);
    if (answer.kind === 'found' && target !== undefined) return this.#found(answer.id, target, answer.destination);
    const reason = answer.kind === 'drop' ? answer.reason : 'answer of the wrong kind';
    this.#parts.log.debug({ target, reason }, 'lookup refused');
    return { id: answer.id, kind: 'drop' };
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
    if (isGroupMac(mac) || mac === ZERO_MAC) {
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
