// The table of one kernel link as a mirror of the target cache: which rows are to be written, and which changes of others to be undone.
//
// Long, because it is one state machine: marks of one entry that every part reads and writes. What is no entry's is in strange-rows.ts.
//
// The cache is the truth. A row that appears where the cache has put none is somebody else's, told of and left alone; one of ours that
// goes, or leads elsewhere, is put back. Notifications do not say who has made a change, and come after it: of a MAC address the last one
// counts, once all have been read, and only when no change of our own is still to be written.
import { MAX_DUMP_ATTEMPTS } from '../util/limits.ts';
import { keyHalves, keyOfHalves } from '../util/mac-key.ts';
import type { Counters, PortCounter } from './counters.ts';
import { EntryQueue } from './entry-queue.ts';
import type { RowDestination, RowMessages, RowView } from './fdb-messages.ts';
import type { ForeignRow, KernelLink, WireDestination } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { StrangeRows } from './strange-rows.ts';
import { isAddress, readAddress, writeAddress } from './target-address.ts';
import { ROW, STATE, type TargetTable } from './target-table.ts';

/** What it needs of the overlay it belongs to. */
export interface MirrorHost {
  readonly id: number;
  readonly counters: Counters<PortCounter>;
  readonly outbox: Outbox;
  readonly cache: {
    readonly table: TargetTable;
    /** The row of an entry that is no target any more has gone. */
    forget(entry: number): void;
  };
}

/** Where the rows of one message came from: entry numbers, or what is none. */
export const NO_ENTRY = -1;

/** ::1 */
const LOOPBACK_6 = new Uint32Array(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1).buffer);

const isWanted = (state: number): boolean => state === STATE.forward || state === STATE.drop;

export class RowMirror {
  readonly #host: MirrorHost;
  #link: KernelLink;
  /** Rows that are new: each waits until no frame of its target is on its way through the engine. */
  readonly #fresh = new EntryQueue();
  /** Rows that are there and lead elsewhere from now on, or go. */
  readonly #changed = new EntryQueue();
  /** Entries with ROW.dirty, until all notifications have been read. */
  #dirty: number[] = [];
  /** Rows for which there is no entry. */
  readonly #strange: StrangeRows;
  #isFallbackMissing = false;
  #isFallbackRefused = false;
  #fallbackSeen = false;
  /** Rows that have gone, by whomever, since the reading of the table began; and readings in a row that were not sure. */
  #goneWhileRead = 0;
  #readings = 0;
  #installed = 0;
  #manyTold = false;
  #refused = 0;
  #refusalTold = false;
  /** Drop rows and fallbacks, as the writer takes destinations. */
  readonly #words = new Uint32Array(4);

  constructor(host: MirrorHost, link: KernelLink, foreign: readonly ForeignRow[] = []) {
    this.#host = host;
    this.#link = link;
    this.#strange = new StrangeRows(foreign);
  }

  get link(): KernelLink {
    return this.#link;
  }

  get fresh(): number {
    return this.#fresh.size;
  }

  get changes(): number {
    return this.#changed.size;
  }

  get isFallbackMissing(): boolean {
    return this.#isFallbackMissing;
  }

  /** Rows that the kernel did not take, and that are to be tried again. */
  get refused(): number {
    return this.#refused;
  }

  /** Notifications were more than could be looked after: the table has to be read. */
  get isOverflown(): boolean {
    return this.#strange.isOverflown;
  }

  /** Has a new row waited so long, ms? */
  hasWaited(now: number, ms: number): boolean {
    return this.#fresh.size > 0 && now - this.#fresh.since >= ms;
  }

  /** A row that the kernel had before: nothing is written. */
  adopt(entry: number): void {
    this.#mark(entry, ROW.installed);
  }

  /** The entry is a target, is none any more, or is one elsewhere. */
  changed(entry: number, now: number): void {
    const { row } = this.#host.cache.table;
    const marks = row[entry] as number;
    if ((marks & ROW.queued) !== 0) return;
    row[entry] = marks | ROW.queued;
    if ((marks & ROW.installed) !== 0) this.#changed.push(entry, now);
    else this.#fresh.push(entry, now);
  }

  /** Adds the message for the next row that is there already; the entry, or NO_ENTRY when nothing has to be written. */
  writeChange(into: RowMessages): number {
    return this.#write(this.#changed.shift(), into);
  }

  writeFresh(into: RowMessages): number {
    return this.#write(this.#fresh.shift(), into);
  }

  /** Frames without a row of their own lead to `fallback`. An append of what is there is fine. */
  writeFallback(into: RowMessages): void {
    into.add('append', this.#link.index, 0, 0, this.#destination(this.#link.fallback));
    this.#isFallbackMissing = false;
  }

  /** Takes away one destination of the fallback, after another one was written. */
  removeFallback(into: RowMessages, to: WireDestination): void {
    into.add('removeOne', this.#link.index, 0, 0, this.#destination(to));
  }

  /** Leads elsewhere from now on. What it says has to be written. */
  relink(link: KernelLink): void {
    this.#link = link;
  }

  /** The kernel did not take the row of this entry. */
  refuse(entry: number, errno: number): void {
    this.#countRefused(errno);
    this.#unmark(entry);
    // What was there before may still be.
    this.#host.cache.table.row[entry] = (this.#host.cache.table.row[entry] as number) | ROW.taken;
    if (!isWanted(this.#host.cache.table.state[entry] as number)) this.#host.cache.forget(entry);
  }

  /** The kernel did not take back the row for unknown targets. */
  refuseFallback(errno: number): void {
    this.#isFallbackRefused = true;
    this.#countRefused(errno);
  }

  #countRefused(errno: number): void {
    this.#refused++;
    this.#host.counters.count('row.refused');
    if (this.#refusalTold) return;
    this.#refusalTold = true;
    this.#host.outbox.post({ op: 'rowsRefused', port: this.#host.id, errno });
  }

  /** So many rows were put in although frames kept coming. */
  countForced(rows: number): void {
    this.#host.counters.count('row.forced', rows);
  }

  /** Until now there was nobody to tell. */
  reportAgain(): void {
    this.#strange.forgetTold();
    this.#tellForeign();
    this.#manyTold = false;
    this.#tellMany();
  }

  /** Those that were refused are tried once more. */
  retry(now: number): void {
    if (this.#refused === 0) return this.#tellTaken();
    this.#refused = 0;
    this.#isFallbackMissing ||= this.#isFallbackRefused;
    this.#isFallbackRefused = false;
    this.#addMissing(now);
  }

  /** None was refused since they were tried the last time. */
  #tellTaken(): void {
    if (!this.#refusalTold) return;
    this.#refusalTold = false;
    this.#host.outbox.post({ op: 'rowsRefused', port: this.#host.id, errno: 0 });
  }

  /** Targets without a row: refused ones, and those that were held back because of a row of somebody else, which may have gone. */
  #addMissing(now: number): void {
    const { table } = this.#host.cache;
    table.each((entry) => {
      if (isWanted(table.state[entry] as number) && ((table.row[entry] as number) & (ROW.installed | ROW.queued)) === 0) this.changed(entry, now);
    });
  }

  /** One notification. */
  noticed(view: RowView, now: number): void {
    if (view.kind === 'gone') {
      this.#goneWhileRead++;
      this.#strange.gone(keyOfHalves(view.high, view.low), view.ours);
    }
    if (view.high === 0 && view.low === 0) return this.#noticedFallback(view, now);
    const { table } = this.#host.cache;
    const entry = table.find(view.high, view.low);
    const marks = entry < 0 ? 0 : (table.row[entry] as number);
    if ((marks & ROW.queued) !== 0 && !this.#isHeldBack(view, marks)) {
      // What is written to a row of theirs stays theirs.
      const isTaken = view.kind === 'row' && (!view.ours || (marks & ROW.installed) === 0);
      table.row[entry] = isTaken ? marks | ROW.taken : marks & ~ROW.taken;
      return;
    }
    if ((marks & ROW.installed) === 0) return this.#noticedStrange(view, now);
    if (view.kind === 'row' && view.ours && this.#matches(entry, view)) table.row[entry] = marks & ~ROW.dirty;
    else if ((marks & ROW.dirty) === 0) {
      table.row[entry] = marks | ROW.dirty;
      this.#dirty.push(entry);
    }
  }

  /**
   * All notifications have been read: what is not as it should be then is put back. When some were lost, the last one of a MAC address may be
   * among them, and the reading of the table that follows decides. `stray`: takes MACs of rows of ours that should not be there.
   */
  settle(now: number, lost: boolean, stray: (high: number, low: number) => void): void {
    const { table } = this.#host.cache;
    for (const entry of this.#dirty) {
      if (((table.row[entry] as number) & ROW.dirty) === 0) continue;
      if (lost) table.row[entry] = (table.row[entry] as number) & ~ROW.dirty;
      else this.#repair(entry, now);
    }
    this.#dirty = [];
    for (const mac of this.#strange.takeOurs()) {
      const [high, low] = keyHalves(mac);
      const entry = table.find(high, low);
      const marks = entry < 0 ? 0 : (table.row[entry] as number);
      // By now it may be the row of a target, or become it.
      if ((marks & ROW.installed) !== 0) continue;
      if ((marks & ROW.queued) !== 0) table.row[entry] = marks | ROW.taken;
      else if (!lost) stray(high, low);
    }
    this.#tellForeign();
  }

  beginDump(): void {
    this.#strange.beginDump();
    this.#fallbackSeen = false;
    this.#goneWhileRead = 0;
    const { table } = this.#host.cache;
    table.eachRow((entry) => {
      table.row[entry] = (table.row[entry] as number) & ~ROW.seen;
    });
  }

  /** One row of a dump. `usedWithinMs`: a row that forwarded a frame since then makes no room for others. */
  dumped(view: RowView, usedWithinMs: number, now: number, stray: (high: number, low: number) => void): void {
    if (view.high === 0 && view.low === 0) {
      if (this.#isFallback(view)) this.#fallbackSeen = true;
      else if (!this.#isOwnHost(view)) this.#strange.dumped(foreignRow(view));
      return;
    }
    const { table } = this.#host.cache;
    const entry = table.find(view.high, view.low);
    const marks = entry < 0 ? 0 : (table.row[entry] as number);
    if ((marks & (ROW.queued | ROW.seen)) !== 0 && !this.#isHeldBack(view, marks)) {
      // What was written since the dump began may not be in it, or as it was before. But a row of theirs stays theirs by being written.
      if ((marks & ROW.queued) === 0) return view.ours ? undefined : this.#repair(entry, now);
      if (!view.ours || (marks & ROW.installed) === 0) table.row[entry] = marks | ROW.taken;
      return;
    }
    if ((marks & ROW.installed) === 0) {
      const mac = keyOfHalves(view.high, view.low);
      if (this.#strange.isNoticed(mac)) return;
      if (view.ours) stray(view.high, view.low);
      else this.#strange.dumped(foreignRow(view));
      return;
    }
    table.row[entry] = marks | ROW.seen;
    if (view.unusedMs < usedWithinMs) table.touch(entry);
    if (!view.ours || !this.#matches(entry, view)) this.#repair(entry, now);
  }

  /**
   * False when the table has to be read once more: the kernel goes through it by place, and passes over rows when others go meanwhile, so
   * that a row that was not found need not be missing.
   */
  endDump(now: number): boolean {
    const { table } = this.#host.cache;
    const isMissing = (entry: number): boolean => ((table.row[entry] as number) & (ROW.installed | ROW.queued | ROW.seen)) === ROW.installed;
    let missing = 0;
    table.eachRow((entry) => {
      if (isMissing(entry)) missing++;
    });
    const isUnsure = missing > 0 && this.#goneWhileRead > 0 && this.#readings < MAX_DUMP_ATTEMPTS;
    this.#readings = isUnsure ? this.#readings + 1 : 0;
    if (!isUnsure) {
      table.eachRow((entry) => {
        if (isMissing(entry)) this.#repair(entry, now);
      });
    }
    this.#strange.endDump();
    this.#addMissing(now);
    if (!this.#fallbackSeen && !isUnsure) this.#missFallback();
    this.#tellForeign();
    return !isUnsure;
  }

  /** A target whose row is somebody else's, from before it was one. */
  #isHeldBack({ high, low }: Pick<RowView, 'high' | 'low'>, marks: number): boolean {
    if ((marks & ROW.installed) !== 0) return false;
    return this.#strange.isForeign(keyOfHalves(high, low));
  }

  #write(entry: number, into: RowMessages): number {
    const { table, forget } = this.#host.cache;
    const wanted = isWanted(table.state[entry] as number);
    const installed = ((table.row[entry] as number) & ROW.installed) !== 0;
    table.row[entry] = (table.row[entry] as number) & ~(ROW.queued | ROW.dirty);
    const [high, low] = [table.high[entry] as number, table.low[entry] as number];
    if (!wanted) {
      // What somebody has made of it goes too.
      if (installed || ((table.row[entry] as number) & ROW.taken) !== 0) into.add('remove', this.#link.index, high, low, undefined);
      if (installed) this.#host.counters.count('row.removed');
      this.#unmark(entry);
      forget(entry);
      return NO_ENTRY;
    }
    if (this.#isHeldBack({ high, low }, table.row[entry] as number)) return NO_ENTRY;
    // A row that somebody has made theirs does not become ours again by a change (net/core: flags of such a row stay).
    if (((table.row[entry] as number) & ROW.taken) !== 0) into.add('remove', this.#link.index, high, low, undefined);
    table.row[entry] = (table.row[entry] as number) & ~ROW.taken;
    this.#strange.written(keyOfHalves(high, low));
    into.add('replace', this.#link.index, high, low, this.#entryDestination(entry));
    this.#host.counters.count('row.installed');
    this.#mark(entry, ROW.installed | ROW.seen);
    return entry;
  }

  #mark(entry: number, marks: number): void {
    const { row } = this.#host.cache.table;
    if (((row[entry] as number) & ROW.installed) === 0) this.#installed++;
    row[entry] = (row[entry] as number) | marks;
    this.#tellMany();
  }

  #tellMany(): void {
    const { manyRows = Number.POSITIVE_INFINITY } = this.#link;
    if (this.#manyTold || this.#installed <= manyRows) return;
    this.#manyTold = true;
    this.#host.outbox.post({ op: 'manyRows', port: this.#host.id, rows: this.#installed });
  }

  #unmark(entry: number): void {
    const { row } = this.#host.cache.table;
    if (((row[entry] as number) & ROW.installed) !== 0) this.#installed--;
    row[entry] = (row[entry] as number) & ~(ROW.installed | ROW.seen | ROW.dirty | ROW.taken);
  }

  /** Written anew, as a row that is not there: frames may be on their way through the engine. */
  #repair(entry: number, now: number): void {
    this.#unmark(entry);
    this.#host.cache.table.row[entry] = (this.#host.cache.table.row[entry] as number) | ROW.taken;
    this.#host.counters.count('row.repaired');
    this.changed(entry, now);
  }

  #noticedFallback(view: RowView, now: number): void {
    if (!this.#isFallback(view)) return this.#isOwnHost(view) ? undefined : this.#noticedStrange(view, now);
    if (view.kind === 'gone') this.#missFallback();
    else this.#isFallbackMissing = false;
  }

  #missFallback(): void {
    this.#isFallbackMissing = true;
    this.#host.counters.count('row.repaired');
  }

  #noticedStrange(view: RowView, now: number): void {
    const mac = keyOfHalves(view.high, view.low);
    if (view.kind === 'gone') {
      if (!this.#strange.delete(mac)) return;
      const entry = this.#host.cache.table.find(view.high, view.low);
      if (entry >= 0 && isWanted(this.#host.cache.table.state[entry] as number)) this.changed(entry, now);
      return;
    }
    this.#strange.add(view.ours && mac !== 0, foreignRow(view));
  }

  #tellForeign(): void {
    const rows = this.#strange.news();
    if (rows !== undefined) this.#host.outbox.post({ op: 'foreignRows', port: this.#host.id, rows });
  }

  #isFallback(view: RowView): boolean {
    const { family, ip, port } = this.#link.fallback;
    return view.family === family && this.#portOf(view) === port && isAddress(view.address, 0, ip);
  }

  /** A fallback from before. */
  #isOwnHost({ family, address }: RowView): boolean {
    const [first = 0] = new Uint8Array(address.buffer);
    return family === 4 ? first === 127 : isSame(address, 0, LOOPBACK_6);
  }

  #portOf(view: RowView): number {
    return view.port === 0 ? this.#link.own.port : view.port;
  }

  #matches(entry: number, view: RowView): boolean {
    const { table } = this.#host.cache;
    if (table.state[entry] === STATE.drop) return view.address.every((word) => word === 0);
    const isThere = view.family === table.family[entry] && this.#portOf(view) === table.udpPort[entry];
    return isThere && isSame(table.address, 4 * entry, view.address);
  }

  #entryDestination(entry: number): RowDestination {
    const { table } = this.#host.cache;
    if (table.state[entry] === STATE.drop) {
      this.#words.fill(0);
      return { family: this.#link.own.family, port: 0, address: this.#words, at: 0 };
    }
    return { family: table.family[entry] as number, port: table.udpPort[entry] as number, address: table.address, at: 4 * entry };
  }

  #destination({ family, ip, port }: WireDestination): RowDestination {
    writeAddress(this.#words, 0, ip);
    return { family, port, address: this.#words, at: 0 };
  }
}

function isSame(words: Uint32Array, at: number, other: Uint32Array): boolean {
  for (let i = 0; i < 4; i++) if (words[at + i] !== other[i]) return false;
  return true;
}

function foreignRow(view: RowView): ForeignRow {
  const isNowhere = view.family === 0 || view.address.every((word) => word === 0);
  const family = view.family === 6 ? 6 : 4;
  return {
    mac: keyOfHalves(view.high, view.low),
    to: isNowhere ? undefined : { family, ip: readAddress(view.address, 0, family), port: view.port },
  };
}
