// All overlays of this host: made, found, deleted; what the engine reports finds its overlay here.
import { messageOf, OverlayError } from '@overlayadm/api';
import type { FromEngine } from '../engine/messages.ts';
import type { KernelNetwork } from '../linux/types.ts';
import { type Created, type CreateParts, type CreateRequest, createOverlay } from './create.ts';
import type { Miss } from './lookups.ts';
import { checkLinkName, freeOverlayName } from './names.ts';
import type { Overlay } from './overlay.ts';
import { UnderlayWatch } from './underlay-watch.ts';

export interface OverlaysParts extends CreateParts {
  readonly kernel: KernelNetwork;
  /** Called when an overlay has gone, for what stood on it. */
  gone(name: string): void;
}

const MISS_KINDS = ['target', 'question', 'asker'] as const;

const shuttingDown = (): OverlayError => new OverlayError('SHUTTING_DOWN', 'overlayd is stopping', { advice: 'Try again in a moment.' });

export class Overlays {
  readonly #parts: OverlaysParts;
  readonly #byName = new Map<string, Overlay>();
  readonly #byPort = new Map<number, Overlay>();
  /** Names being made or deleted: nobody else may have them. */
  readonly #reserved = new Set<string>();
  readonly #watch: UnderlayWatch;
  #closed = false;

  constructor(parts: OverlaysParts) {
    this.#parts = parts;
    this.#watch = new UnderlayWatch({ clock: parts.overlay.clock, kernel: parts.kernel, log: parts.overlay.log });
  }

  names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /** @throws OverlayError OVERLAY_NOT_FOUND */
  get(name: string): Overlay {
    const overlay = this.#byName.get(name);
    if (overlay !== undefined) return overlay;
    throw new OverlayError('OVERLAY_NOT_FOUND', this.#exists(name) ? `${name} is not an overlay` : `${name}: object not found`, {
      details: { overlay: name },
      advice: '"overlayadm show-overlay" shows the overlays there are.',
    });
  }

  /** @throws OverlayError of the step that refused; OVERLAY_EXISTS, LINK_NAME, SHUTTING_DOWN. */
  async create(request: Omit<CreateRequest, 'name'> & { readonly name?: string }): Promise<Created> {
    if (this.#closed) throw shuttingDown();
    const name = request.name ?? freeOverlayName((candidate) => this.#isTaken(candidate) || this.#exists(candidate));
    checkLinkName(name);
    if (this.#isTaken(name)) {
      throw new OverlayError('OVERLAY_EXISTS', `overlay creation failed (name): ${name}: object already exists`, {
        details: { overlay: name, step: 'name' },
        advice: `Choose another name, or delete it with "overlayadm delete-overlay ${name}".`,
      });
    }
    this.#reserved.add(name);
    try {
      const created = await createOverlay(this.#parts, { ...request, name });
      this.#byName.set(name, created.overlay);
      this.#byPort.set(created.overlay.port?.id ?? -1, created.overlay);
      this.#watch.add(created.overlay);
      this.#parts.overlay.log.info({ overlay: name, vnetid: request.vnetid, encap: request.encap, search: request.search }, 'overlay created');
      if (!this.#closed) return created;
      await this.#close(created.overlay);
      throw shuttingDown();
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** @throws OverlayError OVERLAY_NOT_FOUND, OVERLAY_BUSY with the names of what stands on it. */
  async delete(name: string): Promise<void> {
    const overlay = this.get(name);
    const above = this.#parts.kernel.linksAbove(overlay.port?.linkIndex ?? -1);
    if (above.length > 0) {
      const names = above.map((link) => (link.netns === undefined ? link.name : `${link.name} in ${link.netns}`));
      throw new OverlayError('OVERLAY_BUSY', `failed to delete ${name}: link busy (${names.join(', ')})`, {
        details: { overlay: name, links: names },
        advice: `Delete first what stands on it: "overlayadm delete-vnic ${above[0]?.name}".`,
      });
    }
    await this.#close(overlay);
  }

  /** Deletes everything, VNICs too, and refuses to make anything new. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#byName.values()].map((overlay) => this.#close(overlay)));
  }

  fromEngine(message: Exclude<FromEngine, { readonly op: 'done' }>): void {
    switch (message.op) {
      case 'lookups':
        return this.#missed(message);
      case 'aborts':
        for (const overlay of this.#byName.values()) overlay.aborted(message.ids);
        return;
      case 'tooBig':
        return this.#byPort.get(message.port)?.tooBig(message);
      case 'tapFailed':
        return this.#byPort.get(message.port)?.tapFailed(message.errno);
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
    if (answers.length > 0) this.#parts.overlay.engine.send({ op: 'answers', answers });
  }

  async #close(overlay: Overlay): Promise<void> {
    const { name } = overlay.facts;
    this.#byName.delete(name);
    this.#byPort.delete(overlay.port?.id ?? -1);
    this.#watch.remove(overlay);
    this.#reserved.add(name);
    try {
      await overlay.close();
      this.#parts.overlay.log.info({ overlay: name }, 'overlay deleted');
    } finally {
      this.#reserved.delete(name);
      this.#parts.gone(name);
    }
  }

  #isTaken(name: string): boolean {
    return this.#byName.has(name) || this.#reserved.has(name);
  }

  #exists(name: string): boolean {
    try {
      return this.#parts.kernel.link(name) !== undefined;
    } catch (error) {
      this.#parts.overlay.log.warn({ overlay: name, error: messageOf(error) }, 'link cannot be looked at');
      return false;
    }
  }
}
