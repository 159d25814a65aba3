// Requests that are out: each has one owner, is answered at most once, and a late answer finds nobody.
import type { EngineAnswer } from './messages.ts';
import type { Outbox } from './outbox.ts';

/** A cache or a set of questions. `subject` is what begin() was given. */
export interface RequestOwner {
  answer(subject: number, answer: EngineAnswer, now: number): void;
}

export class Requests {
  readonly #outbox: Outbox;
  readonly #open = new Map<number, { readonly owner: RequestOwner; readonly subject: number }>();
  #last = 0;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Ids are never used twice in the life of an engine. */
  begin(owner: RequestOwner, subject: number): number {
    this.#open.set(++this.#last, { owner, subject });
    return this.#last;
  }

  abort(id: number): void {
    if (this.#open.delete(id)) this.#outbox.abort(id);
  }

  answer(answer: EngineAnswer, now: number): void {
    const request = this.#open.get(answer.id);
    if (request === undefined) return;
    this.#open.delete(answer.id);
    request.owner.answer(request.subject, answer, now);
  }
}
