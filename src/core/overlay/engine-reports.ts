// What the engine reports finds its overlay: by the number of its port, or by the requests that it has out.
import type { EngineLink, FromEngine } from '../engine/messages.ts';
import type { Miss } from './lookups.ts';
import type { Overlay } from './overlay.ts';

const MISS_KINDS = ['target', 'question', 'asker'] as const;

export class EngineReports {
  readonly #engine: Pick<EngineLink, 'send'>;
  readonly #byPort = new Map<number, Overlay>();

  constructor(engine: Pick<EngineLink, 'send'>) {
    this.#engine = engine;
  }

  add(overlay: Overlay): void {
    const { port } = overlay;
    if (port === undefined) return;
    this.#byPort.set(port.id, overlay);
    // Rows that were there before the overlay have been seen already.
    if (port.driver === 'kernel') this.#engine.send({ op: 'reportAgain', port: port.id });
  }

  /** It has another port now; `before`: the number of the old one. */
  move(overlay: Overlay, before: number): void {
    this.#byPort.delete(before);
    this.add(overlay);
  }

  remove(overlay: Overlay): void {
    this.#byPort.delete(overlay.port?.id ?? -1);
  }

  take(message: Exclude<FromEngine, { readonly op: 'done' | 'notice' }>): void {
    switch (message.op) {
      case 'lookups':
        return this.#missed(message);
      case 'aborts':
        for (const overlay of this.#byPort.values()) overlay.aborted(message.ids);
        return;
      case 'tooBig':
        return this.#byPort.get(message.port)?.tooBig(message);
      case 'tapFailed':
        return this.#byPort.get(message.port)?.tapFailed(message.errno);
      case 'foreignRows':
        return this.#byPort.get(message.port)?.foreignRows(message.rows);
      case 'rowsRefused':
        return this.#byPort.get(message.port)?.rowsRefused(message.errno);
      case 'manyRows':
        return this.#byPort.get(message.port)?.manyRows(message.rows);
    }
  }

  #missed({ ids, ports, kinds, ends, bytes }: Extract<FromEngine, { readonly op: 'lookups' }>): void {
    const byPort = new Map<number, Miss[]>();
    let start = 0;
    for (let row = 0; row < ids.length; row++) {
      const end = ends[row] as number;
      const miss = { id: ids[row] as number, kind: MISS_KINDS[kinds[row] as number] ?? 'target', frame: bytes.subarray(start, end) };
      start = end;
      const misses = byPort.get(ports[row] as number);
      if (misses === undefined) byPort.set(ports[row] as number, [miss]);
      else misses.push(miss);
    }
    for (const [port, misses] of byPort) this.#ask(this.#byPort.get(port), misses);
  }

  /** An overlay that is not complete yet, or no more, has nobody to ask: what would wait for an answer is dropped. */
  #ask(overlay: Overlay | undefined, misses: readonly Miss[]): void {
    if (overlay !== undefined) return overlay.missed(misses);
    const answers = misses.flatMap(({ id, kind }) => (kind === 'asker' ? [] : [{ id, kind: 'drop' } as const]));
    if (answers.length > 0) this.#engine.send({ op: 'answers', answers });
  }
}
