// Instances of one host that are started in another beside it, to be taken over all together or not at all.
import { OverlayError } from '@overlayadm/api';
import { MAX_STAGED_REPORTS, MAX_STARTING_INSTANCES } from '../util/limits.ts';
import type { Created } from '../varpd/protocol.ts';
import { forEachBounded } from './bounded.ts';
import type { HostLink } from './host-link.ts';
import type { RemoteInstance } from './instance.ts';

/** Counts what was said before its time; false when it is too much. */
export type Stage = (weight: number) => boolean;

export class Guests {
  readonly #byId: ReadonlyMap<number, RemoteInstance>;
  readonly #started = new Map<RemoteInstance, Created>();
  readonly #link: HostLink;
  #staged = 0;
  #failed = false;

  constructor(instances: readonly RemoteInstance[], link: HostLink) {
    this.#byId = new Map(instances.map((instance) => [instance.id, instance]));
    this.#link = link;
  }

  find(id: number): RemoteInstance | undefined {
    return this.#byId.get(id);
  }

  readonly stage: Stage = (weight) => {
    this.#staged += weight;
    return this.#staged <= MAX_STAGED_REPORTS;
  };

  /**
   * Starts them all. @throws OverlayError as soon as one does not start that runs where it is, or when `isAlive` says no;
   * then all that was begun is undone.
   */
  async start(start: (instance: RemoteInstance) => Promise<Created>, isAlive: () => boolean): Promise<void> {
    try {
      await forEachBounded(this.#byId.values(), MAX_STARTING_INSTANCES, async (instance) => {
        if (instance.isClosed) return;
        try {
          const created = await start(instance);
          if (this.#failed) this.#undo(instance);
          else this.#started.set(instance, created);
        } catch (error) {
          if (instance.isUp || !isAlive()) throw error;
        }
      });
      if (!isAlive()) throw new OverlayError('PLUGIN_FAILED', 'its host ended, or was ended, while its instances started');
      // Down when it failed here, and up again where it is since then.
      const late = [...this.#byId.values()].find((instance) => instance.isUp && !this.#started.has(instance));
      if (late !== undefined) throw new OverlayError('PLUGIN_FAILED', `the instance of ${late.overlay} did not start`);
    } catch (error) {
      this.#failed = true;
      for (const instance of this.#started.keys()) this.#undo(instance);
      throw error;
    }
  }

  /** Those that are still wanted, with what they said they are; undefined for one that runs nowhere. */
  *all(): Generator<readonly [RemoteInstance, Created | undefined]> {
    for (const instance of this.#byId.values()) {
      if (instance.isClosed) this.#undo(instance);
      else yield [instance, this.#started.get(instance)];
    }
  }

  #undo(instance: RemoteInstance): void {
    instance.abandon(this.#link);
    this.#link.send({ type: 'stop', instance: instance.id });
  }
}
