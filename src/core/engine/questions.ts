// Group frames of one overlay: ARP, ND and DHCP questions, each asked once however many ask it, and frames to group addresses.
import {
  MAX_ASKERS_PER_QUESTION,
  MAX_GROUP_FRAMES,
  MAX_QUESTIONS_PER_OVERLAY,
  MAX_QUESTIONS_PER_SOURCE,
  MAX_QUEUED_BYTES_PER_OVERLAY,
} from '../util/limits.ts';
import type { QuestionKind, QuestionView } from '../wire/question.ts';
import type { Counters, PortCounter } from './counters.ts';
import type { EngineAnswer, WireDestination } from './messages.ts';
import { HEAD_BYTES, KIND, type Outbox } from './outbox.ts';
import type { RequestOwner, Requests } from './requests.ts';

/** What it needs of the overlay it belongs to. */
export interface QuestionHost {
  readonly id: number;
  readonly arena: Uint8Array;
  readonly counters: Counters<PortCounter>;
  readonly outbox: Outbox;
  readonly requests: Requests;
  /** Sends a frame that was kept, to a destination that is not cached. */
  sendTo(frame: Uint8Array, to: WireDestination): void;
}

interface Question {
  readonly key: string;
  readonly id: number;
  /** MAC of the first asker, as a number: whose share of the bound it takes. */
  readonly source: number;
  readonly askers: Set<number>;
  /** Frames that wait for the destination of a group address; a question's frames go to the daemon instead. */
  readonly frames: Uint8Array[];
  /** Of its frames, here or (a question's) at the daemon. */
  bytes: number;
}

export class Questions implements RequestOwner {
  readonly #host: QuestionHost;
  readonly #byKey = new Map<string, Question>();
  readonly #bySubject = new Map<number, Question>();
  readonly #perSource = new Map<number, number>();
  #last = 0;
  /** Of all frames that wait for an answer: guests may pad a question as they like. */
  #bytes = 0;

  constructor(host: QuestionHost) {
    this.#host = host;
  }

  /** A frame of `length` bytes at `view.to` that asks what `view` says. */
  ask(kind: Exclude<QuestionKind, 'none'>, view: QuestionView, length: number): void {
    const key = this.#key(kind, view.vlan, view.keyAt, view.keyLength);
    const source = macNumber(this.#host.arena, view.from);
    const known = this.#byKey.get(key);
    if (known !== undefined) return this.#askAgain(known, source, view.to, length);
    if (!this.#hasRoom(length)) return this.#host.counters.count('question.limit');
    const question = this.#begin(key, source);
    if (question === undefined) return;
    this.#take(question, length);
    this.#tell(question.id, KIND.question, view.to, length);
  }

  /** A group frame that is no question, for a lookup plugin that wants these. */
  lookup(view: QuestionView, length: number): void {
    const key = this.#key('group', view.vlan, view.to, 6);
    const known = this.#byKey.get(key);
    if (known !== undefined && known.frames.length >= MAX_GROUP_FRAMES) return this.#host.counters.count('target.queue-full');
    if (!this.#hasRoom(length)) return this.#host.counters.count('target.overlay-full');
    const question = known ?? this.#begin(key, macNumber(this.#host.arena, view.from));
    if (question === undefined) return;
    this.#take(question, length);
    question.frames.push(this.#host.arena.slice(view.to, view.to + length));
    if (known === undefined) this.#tell(question.id, KIND.target, view.to, Math.min(length, HEAD_BYTES));
  }

  answer(subject: number, answer: EngineAnswer): void {
    const question = this.#end(subject);
    if (question === undefined) return;
    if (answer.kind === 'found') for (const frame of question.frames) this.#host.sendTo(frame, answer.to);
    else if (question.frames.length > 0) this.#host.counters.count('lookup.refused', question.frames.length);
    else if (answer.kind === 'drop') this.#host.counters.count('question.unanswered', question.askers.size);
  }

  teardown(): void {
    for (const [subject, question] of this.#bySubject) {
      this.#host.requests.abort(question.id);
      this.#end(subject);
      this.#host.counters.count('lookup.teardown', Math.max(question.frames.length, question.askers.size));
    }
  }

  #askAgain(question: Question, source: number, at: number, length: number): void {
    const { counters } = this.#host;
    if (question.askers.has(source)) return counters.count('question.repeated');
    if (question.askers.size >= MAX_ASKERS_PER_QUESTION || !this.#hasRoom(length)) return counters.count('question.limit');
    question.askers.add(source);
    this.#take(question, length);
    this.#tell(question.id, KIND.asker, at, length);
  }

  #begin(key: string, source: number): Question | undefined {
    const { counters, requests } = this.#host;
    const ofSource = this.#perSource.get(source) ?? 0;
    if (this.#byKey.size >= MAX_QUESTIONS_PER_OVERLAY || ofSource >= MAX_QUESTIONS_PER_SOURCE) {
      counters.count('question.limit');
      return undefined;
    }
    const subject = ++this.#last;
    const question: Question = { key, id: requests.begin(this, subject), source, askers: new Set([source]), frames: [], bytes: 0 };
    this.#byKey.set(key, question);
    this.#bySubject.set(subject, question);
    this.#perSource.set(source, ofSource + 1);
    counters.count('question.asked');
    return question;
  }

  #end(subject: number): Question | undefined {
    const question = this.#bySubject.get(subject);
    if (question === undefined) return undefined;
    this.#bySubject.delete(subject);
    this.#byKey.delete(question.key);
    this.#bytes -= question.bytes;
    const left = (this.#perSource.get(question.source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(question.source, left);
    else this.#perSource.delete(question.source);
    return question;
  }

  #hasRoom(length: number): boolean {
    return this.#bytes + length <= MAX_QUEUED_BYTES_PER_OVERLAY;
  }

  #take(question: Question, length: number): void {
    question.bytes += length;
    this.#bytes += length;
  }

  #tell(id: number, kind: number, at: number, length: number): void {
    const { outbox, arena } = this.#host;
    const room = outbox.room(length);
    room.bytes.set(arena.subarray(at, at + length), room.at);
    outbox.add(id, this.#host.id, kind, length);
  }

  /** Kind, VLAN and what is asked for, byte for byte. */
  #key(kind: string, vlan: number, at: number, length: number): string {
    const arena = this.#host.arena;
    let key = `${kind} ${vlan} `;
    for (let i = at; i < at + length; i++) key += String.fromCharCode(arena[i] as number);
    return key;
  }
}

function macNumber(bytes: Uint8Array, at: number): number {
  let key = 0;
  for (let i = at; i < at + 6; i++) key = key * 256 + (bytes[i] as number);
  return key;
}
