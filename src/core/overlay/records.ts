// The two records of every overlay: how it is now (run directory, over a restart of overlayd) and how it is saved (over a reboot).
import { messageOf, OverlayError } from '@overlayadm/api';
import { Serial } from '../util/serial.ts';
import type { OverlayRecord } from './record.ts';

/** `up`: what is there now, in the run directory; `saved`: what a reboot brings back, in the state directory. */
export type Place = 'up' | 'saved';

export interface Unreadable {
  readonly name: string;
  /** Why the record cannot be used; it is kept as it is. */
  readonly problem: string;
}
export interface Loaded {
  readonly records: readonly OverlayRecord[];
  readonly unreadable: readonly Unreadable[];
}

/** The files behind it (state-files.ts); tests hand in their own. */
export interface RecordFiles {
  load(place: Place): Promise<Loaded>;
  /** All or nothing, also when the machine stops in the middle. */
  write(place: Place, record: OverlayRecord): Promise<void>;
  /** Fine when there is none. */
  remove(place: Place, name: string): Promise<void>;
}

export class Records {
  readonly #files: RecordFiles;
  readonly #records: Readonly<Record<Place, Map<string, OverlayRecord>>> = { up: new Map(), saved: new Map() };
  readonly #unreadable: Readonly<Record<Place, Map<string, string>>> = { up: new Map(), saved: new Map() };
  /** One change at a time: each builds on what the one before has written. */
  readonly #serial = new Serial();

  constructor(files: RecordFiles) {
    this.#files = files;
  }

  /** Reads what is there, once more for files that could not be read before. */
  load(): Promise<void> {
    return this.#serial.run(async () => {
      for (const place of ['up', 'saved'] as const) {
        const { records, unreadable } = await this.#files.load(place);
        this.#unreadable[place].clear();
        for (const record of records) if (!this.#records[place].has(record.name)) this.#records[place].set(record.name, record);
        for (const { name, problem } of unreadable) if (!this.#records[place].has(name)) this.#unreadable[place].set(name, problem);
      }
    });
  }

  /** Names of a place, by name. */
  names(place: Place): readonly string[] {
    return [...this.#records[place].keys()].toSorted();
  }

  get(place: Place, name: string): OverlayRecord | undefined {
    return this.#records[place].get(name);
  }

  /** Records that cannot be used, and why. */
  unreadable(place: Place): ReadonlyMap<string, string> {
    return this.#unreadable[place];
  }

  isSaved(name: string): boolean {
    return this.#records.saved.has(name);
  }

  /** @throws OverlayError OVERLAY_EXISTS, STATE_KEPT when a record of this name cannot be used, STATE_NOT_SAVED; then neither place has it. */
  add(record: OverlayRecord, temporary: boolean): Promise<void> {
    return this.#serial.run(async () => {
      const places: readonly Place[] = temporary ? ['up'] : ['saved', 'up'];
      this.#refuseTaken(record.name);
      const done: Place[] = [];
      try {
        for (const place of places) {
          await this.#write(place, record);
          done.push(place);
        }
      } catch (error) {
        for (const place of done) await this.#remove(place, record.name).catch(() => undefined);
        throw error;
      }
    });
  }

  /** How it is saved becomes how it is. @throws OverlayError STATE_NOT_SAVED */
  putUp(record: OverlayRecord): Promise<void> {
    return this.#serial.run(() => this.#write('up', record));
  }

  /**
   * Applies a change to the record of `up`, and unless it is temporary to the saved one. What has no record in a place has
   * nothing changed there. Then `act` does what is recorded now: whoever is killed in between finds out from the record what
   * was wanted. @throws OverlayError STATE_NOT_SAVED, and what `act` throws; then both records are as before.
   */
  change(
    name: string,
    temporary: boolean,
    change: (record: OverlayRecord, place: Place) => OverlayRecord,
    act: () => void | Promise<void> = () => undefined,
  ): Promise<void> {
    return this.#serial.run(async () => {
      const places = (temporary ? (['up'] as const) : (['saved', 'up'] as const)).filter((place) => this.#records[place].has(name));
      const before = places.map((place) => [place, this.#records[place].get(name) as OverlayRecord] as const);
      const done: (readonly [Place, OverlayRecord])[] = [];
      try {
        for (const [place, record] of before) {
          await this.#write(place, change(record, place));
          done.push([place, record]);
        }
        await act();
      } catch (error) {
        for (const [place, record] of done) await this.#write(place, record).catch(() => undefined);
        throw error;
      }
    });
  }

  /**
   * `refuse` is asked when no other change is under way. @throws OverlayError STATE_NOT_SAVED when a file cannot be removed, and
   * what `refuse` throws; then every record that could be used is as before.
   */
  remove(name: string, places: readonly Place[], refuse: () => void = () => undefined): Promise<void> {
    return this.#serial.run(async () => {
      refuse();
      const done: (readonly [Place, OverlayRecord])[] = [];
      try {
        for (const place of places) {
          const record = this.#records[place].get(name);
          await this.#remove(place, name);
          if (record !== undefined) done.push([place, record]);
        }
      } catch (error) {
        for (const [place, record] of done) await this.#write(place, record).catch(() => undefined);
        throw error;
      }
    });
  }

  /** What is saved is kept until somebody deletes it, also what cannot be used: it may be of a newer version. */
  #refuseTaken(name: string): void {
    const problem = this.#unreadable.saved.get(name) ?? this.#unreadable.up.get(name);
    if (problem !== undefined) {
      throw new OverlayError('STATE_KEPT', `${name}: there is a saved overlay of this name that cannot be used (${problem})`, {
        details: { overlay: name, problem },
        advice: `Choose another name, or remove it with "overlayadm delete-overlay ${name}".`,
      });
    }
    if (!this.#records.saved.has(name) && !this.#records.up.has(name)) return;
    throw new OverlayError('OVERLAY_EXISTS', `${name}: object already exists`, {
      details: { overlay: name },
      advice: `Choose another name, bring it up with "overlayadm up-overlay ${name}", or remove it with "overlayadm delete-overlay ${name}".`,
    });
  }

  async #write(place: Place, record: OverlayRecord): Promise<void> {
    const before = this.#records[place].get(record.name);
    try {
      await this.#files.write(place, record);
    } catch (cause) {
      // It may have got as far as the new file: what a reboot reads is to be what we go on with.
      if (before !== undefined) await this.#files.write(place, before).catch(() => undefined);
      else if (!this.#unreadable[place].has(record.name)) await this.#files.remove(place, record.name).catch(() => undefined);
      throw notSaved(record.name, cause);
    }
    this.#records[place].set(record.name, record);
    this.#unreadable[place].delete(record.name);
  }

  async #remove(place: Place, name: string): Promise<void> {
    try {
      await this.#files.remove(place, name);
    } catch (cause) {
      throw notSaved(name, cause);
    }
    this.#records[place].delete(name);
    this.#unreadable[place].delete(name);
  }
}

function notSaved(name: string, cause: unknown): OverlayError {
  return new OverlayError('STATE_NOT_SAVED', `${name}: its state cannot be saved (${messageOf(cause)})`, {
    details: { overlay: name },
    advice: 'See that there is room on the disk and that overlayd may write its run and state directories; nothing was changed.',
    cause,
  });
}
