// Outstanding requests of one instance: every one leaves exactly once, by an answer, a time-out, an abort or a refusal.
import { LOOKUP_TIMEOUT_MS, MAX_ASKS } from '../util/limits.ts';
import type { Answer, Ask } from '../varpd/protocol.ts';

interface Outstanding {
  readonly ask: Ask;
  /** ms of the clock */
  readonly deadline: number;
  /** How often it was put to a host. */
  asks: number;
}

type Kind = Ask['kind'];
const ANSWERS: Readonly<Record<Kind, Answer['kind']>> = { lookup: 'found', resolve: 'resolved', dhcp: 'resolved' };

/** Numbers in order, each taken in constant time. */
class Fifo {
  #items: number[];
  #head = 0;

  constructor(items: number[] = []) {
    this.#items = items;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  rest(): readonly number[] {
    return this.#items.slice(this.#head);
  }

  push(item: number): void {
    this.#items.push(item);
  }

  shift(): number | undefined {
    const item = this.#items[this.#head++];
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** Time is passed in, ms. */
export class Requests {
  /** In the order of their deadlines, because all have the same time. */
  readonly #byId = new Map<number, Outstanding>();
  /** Ids that the host was not asked yet; some may be outstanding no more. */
  #waiting = new Fifo();

  get size(): number {
    return this.#byId.size;
  }

  add(asks: readonly Ask[], now: number): void {
    for (const ask of asks) {
      this.#byId.set(ask.id, { ask, deadline: now + LOOKUP_TIMEOUT_MS, asks: 0 });
      this.#waiting.push(ask.id);
    }
  }

  /** At most `most` that this host was not asked yet, oldest first; they count as asked. */
  unsent(most: number): readonly Ask[] {
    const asks: Ask[] = [];
    while (asks.length < most && this.#waiting.length > 0) {
      const request = this.#byId.get(this.#waiting.shift() as number);
      // Answered, aborted or given up while it waited.
      if (request === undefined) continue;
      request.asks++;
      asks.push(request.ask);
    }
    return asks;
  }

  all(): readonly Ask[] {
    return [...this.#byId.values()].map(({ ask }) => ask);
  }

  /** `late` for an id that is not outstanding any more; `wrong` when this is no answer to that question. */
  take(answer: Answer): 'taken' | 'late' | 'wrong' {
    const request = this.#byId.get(answer.id);
    if (request === undefined) return 'late';
    if (answer.kind !== 'drop' && answer.kind !== ANSWERS[request.ask.kind]) return 'wrong';
    this.#byId.delete(answer.id);
    return 'taken';
  }

  remove(ids: readonly number[]): readonly number[] {
    return ids.filter((id) => this.#byId.delete(id));
  }

  /** Takes out what should have been answered by now. */
  expire(now: number): readonly number[] {
    const late: number[] = [];
    for (const [id, { deadline }] of this.#byId) {
      if (deadline > now) break;
      late.push(id);
    }
    return this.remove(late);
  }

  /** Another host takes over: it is asked everything, and what the one before was asked does not count, for it did not die. */
  moved(): void {
    const waiting = new Set(this.#waiting.rest());
    for (const [id, request] of this.#byId) if (!waiting.has(id)) request.asks--;
    this.#waiting = new Fifo([...this.#byId.keys()]);
  }

  /** The host died: takes out what was put to hosts too often already; the rest waits for the next one. */
  hostDied(): readonly number[] {
    const tired = this.remove([...this.#byId].filter(([, { asks }]) => asks >= MAX_ASKS).map(([id]) => id));
    this.#waiting = new Fifo([...this.#byId.keys()]);
    return tired;
  }
}

export const dropAll = (ids: readonly number[], reason: string): readonly Answer[] => ids.map((id) => ({ id, kind: 'drop', reason }));
