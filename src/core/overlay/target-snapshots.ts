// The targets of every overlay in the run directory, so that an overlayd that is started again forwards what was known.
import { messageOf } from '@overlayadm/api';
import type { EngineLink } from '../engine/messages.ts';
import type { Clock, Timer } from '../util/clock.ts';
import { MAX_SNAPSHOT_SHARE, SNAPSHOT_MS } from '../util/limits.ts';
import type { Log } from '../util/log.ts';
import { exportedTargets } from './exported-targets.ts';
import type { Overlay } from './overlay.ts';
import type { OverlayRecord } from './record.ts';
import { NO_PAST, type Past } from './restore.ts';

/** One file an overlay; what was there before, or all of the new. */
export interface SnapshotFiles {
  /** Undefined when there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, parts: readonly Uint8Array[]): Promise<void>;
  remove(name: string): Promise<void>;
}

export interface SnapshotParts {
  readonly engine: EngineLink;
  readonly clock: Clock;
  readonly log: Log;
  readonly files: SnapshotFiles;
  overlays(): Iterable<Overlay>;
}

const VERSION = 1;
const LINE_FEED = 10;
/** A head is a few digests. */
const MAX_HEAD_BYTES = 16 * 1024;

export class TargetSnapshots {
  readonly #parts: SnapshotParts;
  /** Ports whose targets are not as they are written. */
  readonly #changed = new Set<number>();
  /** Digests that the file of an overlay has, by name. */
  readonly #written = new Map<string, string>();
  #timer: Timer | undefined;
  #round: Promise<void> = Promise.resolve();
  #isFailing = false;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#plan(SNAPSHOT_MS);
  }

  /** What was written of the overlay with this record; nothing when that was another one of its name. Never throws. */
  async load({ name, id }: OverlayRecord): Promise<Past> {
    try {
      const bytes = await this.#parts.files.read(name);
      return (bytes === undefined ? undefined : readSnapshot(bytes, id)) ?? NO_PAST;
    } catch (error) {
      this.#parts.log.warn({ overlay: name, error: messageOf(error) }, 'targets from before cannot be read');
      return NO_PAST;
    }
  }

  async remove(name: string): Promise<void> {
    this.#written.delete(name);
    // One that is being written just now would come back.
    await this.#round;
    await this.#parts.files
      .remove(name)
      .catch((error) => this.#parts.log.warn({ overlay: name, error: messageOf(error) }, 'targets cannot be forgotten'));
  }

  /** Writes what has changed, a last time. Before the overlays let go of the engine. */
  async finish(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#round;
    await this.#writeChanged();
  }

  #plan(ms: number): void {
    this.#timer = this.#parts.clock.after(ms, () => {
      const began = this.#parts.clock.now();
      this.#round = this.#writeChanged().finally(() => {
        const spent = this.#parts.clock.now() - began;
        if (this.#timer !== undefined) this.#plan(Math.max(SNAPSHOT_MS, spent / MAX_SNAPSHOT_SHARE));
      });
    });
  }

  /** Never rejects: without snapshots everything goes on, and a restart asks anew. */
  async #writeChanged(): Promise<void> {
    let failure: unknown;
    try {
      for (const port of (await this.#parts.engine.call({ op: 'cacheChanged' })) as readonly number[]) this.#changed.add(port);
    } catch (error) {
      failure = error;
    }
    const ports = new Set<number>();
    for (const overlay of [...this.#parts.overlays()]) {
      if (overlay.port !== undefined) ports.add(overlay.port.id);
      // One that cannot be written does not keep the others from it, and is tried again.
      await this.#writeOne(overlay).catch((error: unknown) => {
        failure = error;
      });
    }
    for (const port of this.#changed) if (!ports.has(port)) this.#changed.delete(port);
    if (failure !== undefined && !this.#isFailing) this.#parts.log.warn({ error: messageOf(failure) }, 'targets cannot be written down');
    this.#isFailing = failure !== undefined;
  }

  async #writeOne(overlay: Overlay): Promise<void> {
    const { port, instance, facts } = overlay;
    if (port === undefined || instance === undefined) return;
    const digests = JSON.stringify(instance.digests);
    if (!this.#changed.has(port.id) && (this.#written.get(facts.name) ?? '{}') === digests) return;
    await this.#write(overlay, port.id, digests);
    this.#changed.delete(port.id);
  }

  async #write({ facts }: Overlay, port: number, digests: string): Promise<void> {
    const head = Buffer.from(`{"version":${VERSION},"id":${facts.id},"digests":${digests}}\n`);
    const targets = await exportedTargets(this.#parts.engine, port);
    if (targets === undefined) return;
    await this.#parts.files.write(facts.name, [head, ...targets]);
    this.#written.set(facts.name, digests);
  }
}

/** Total: undefined for bytes that are no snapshot of the overlay with this id. What the records are worth, the engine checks one by one. */
export function readSnapshot(bytes: Uint8Array, id: number): Past | undefined {
  const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(LINE_FEED);
  const head = end < 0 ? undefined : parseHead(Buffer.from(bytes.subarray(0, end)).toString());
  if (head === undefined || head.version !== VERSION || head.id !== id) return undefined;
  const digests = typeof head.digests === 'object' && head.digests !== null ? Object.entries(head.digests) : [];
  const texts = digests.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { targets: new Uint8Array(bytes.subarray(end + 1)), digests: Object.fromEntries(texts) };
}

function parseHead(text: string): { readonly version?: unknown; readonly id?: unknown; readonly digests?: unknown } | undefined {
  try {
    const head: unknown = JSON.parse(text);
    return typeof head === 'object' && head !== null ? head : undefined;
  } catch {
    return undefined;
  }
}
