// Rows of a kernel link for which there is no entry, by MAC: those of others, to tell of, and those with our mark, to look at once all is read.
import { MAX_FOREIGN_ROWS, MAX_STRANGE_ROWS } from '../util/limits.ts';
import type { ForeignRow } from './messages.ts';

interface Strange {
  readonly ours: boolean;
  readonly row: ForeignRow;
}

export class StrangeRows {
  #rows = new Map<number, Strange>();
  #told = '[]';
  #overflown = false;
  #dumping: Map<number, Strange> | undefined;
  /** What was noticed of rows of others since the dump began, undefined for those that went: the dump may be older. */
  readonly #noticedSince = new Map<number, Strange | undefined>();

  constructor(foreign: readonly ForeignRow[]) {
    for (const row of foreign) this.#rows.set(row.mac, { ours: false, row });
  }

  /** They were more than could be looked after: the table has to be read. */
  get isOverflown(): boolean {
    return this.#overflown;
  }

  /** A row has appeared, or leads elsewhere. */
  add(ours: boolean, row: ForeignRow): void {
    const strange = { ours, row };
    this.#note(row.mac, strange, ours);
    if (this.#rows.size < MAX_STRANGE_ROWS || this.#rows.has(row.mac)) this.#rows.set(row.mac, strange);
    else this.#overflown = true;
  }

  /** Any row of the link has gone. */
  gone(mac: number, ours: boolean): void {
    this.#note(mac, undefined, ours);
  }

  /** False when it was none of these. */
  delete(mac: number): boolean {
    return this.#rows.delete(mac);
  }

  /** It is the row of an entry from now on. */
  written(mac: number): void {
    this.#rows.delete(mac);
    this.#dumping?.delete(mac);
    if (this.#noticedSince.has(mac)) this.#noticedSince.set(mac, undefined);
  }

  /** Is there a row of somebody else? */
  isForeign(mac: number): boolean {
    const dumped = this.#noticedSince.has(mac) ? this.#noticedSince.get(mac) : this.#dumping?.get(mac);
    return (this.#rows.get(mac) ?? dumped)?.ours === false;
  }

  /** MACs of those with our mark, which are forgotten by it. */
  *takeOurs(): Generator<number, void, undefined> {
    for (const [mac, { ours }] of this.#rows) {
      if (!ours) continue;
      this.#rows.delete(mac);
      yield mac;
    }
  }

  beginDump(): void {
    this.#overflown = false;
    this.#dumping = new Map();
    this.#noticedSince.clear();
  }

  /** Does what was noticed of it count more than the dump? */
  isNoticed(mac: number): boolean {
    return this.#noticedSince.has(mac);
  }

  /** One of somebody else is in the dump. */
  dumped(row: ForeignRow): void {
    this.#dumping?.set(row.mac, { ours: false, row });
  }

  endDump(): void {
    if (this.#dumping !== undefined) this.#rows = this.#withNoticed(this.#dumping);
    this.#dumping = undefined;
    this.#noticedSince.clear();
  }

  /** Told of all of them anew. */
  forgetTold(): void {
    this.#told = '[]';
  }

  /** Those of others, when they are not what was given the last time. */
  news(): readonly ForeignRow[] | undefined {
    // Our own rows come and go all the time.
    if (this.#rows.size === 0 && this.#told === '[]') return undefined;
    const rows = [...this.#rows.values()].filter(({ ours }) => !ours).map(({ row }) => row);
    const told = JSON.stringify(rows.map(({ mac, to }) => [mac, to === undefined ? null : [...to.ip, to.port]]));
    if (told === this.#told) return undefined;
    this.#told = told;
    return rows.slice(0, MAX_FOREIGN_ROWS);
  }

  /** Of rows of ours there may be many: they count only where there was one of theirs. */
  #note(mac: number, strange: Strange | undefined, ours: boolean): void {
    if (this.#dumping === undefined || (ours && !this.#noticedSince.has(mac))) return;
    if (this.#noticedSince.size < MAX_STRANGE_ROWS || this.#noticedSince.has(mac)) this.#noticedSince.set(mac, strange);
    else this.#overflown = true;
  }

  /** Rows of others as they are now. Those with our mark that were noticed and are still to be looked at stay. */
  #withNoticed(dumped: Map<number, Strange>): Map<number, Strange> {
    for (const [mac, strange] of this.#rows) if (strange.ours) dumped.set(mac, strange);
    for (const [mac, strange] of this.#noticedSince) {
      if (strange === undefined) dumped.delete(mac);
      else dumped.set(mac, strange);
    }
    return dumped;
  }
}
