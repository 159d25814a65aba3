// The filter of the vxlan links of the kernel: a table of nf_tables that lives on without overlayd, as its links do, and mirrors what they need.
import { constants } from 'node:os';
import { OverlayError } from '@overlayadm/api';
import { errnoOf, refusedErrno } from './errors.ts';
import { concerning, elementsOf, type FilterEntry } from './filter-entries.ts';
import { type Element, encodeElements, encodeFilter, encodeNoFilter, FILTER_SETS, keyOf, setOf } from './filter-layout.ts';
import { type FilterContents, readFilter, readGeneration } from './filter-read.ts';
import { type BatchMessage, NETLINK, type NetlinkIo, NetlinkSocket } from './netlink/socket.ts';
import { encodeBatch } from './nft-messages.ts';
import { tableRefused } from './nft-refusals.ts';

/** Puts the filter back to what it was before a change. @throws OverlayError */
export type UndoFilter = () => void;

const KEY_LENGTHS: ReadonlyMap<string, number> = new Map(FILTER_SETS.map(({ name, keyLength }) => [name, keyLength]));
const isWhole = (element: Element): boolean => keyOf(element).length === KEY_LENGTHS.get(setOf(element));

/** Elements that come to be wanted, and that are not wanted any more. */
interface Change {
  readonly added: readonly Element[];
  readonly removed: readonly Element[];
}

/**
 * Unlike the table of IsolationTable it is owned by nobody, so anybody may change it: repair() puts it back. What is found
 * in it at first and belongs to no overlay that is known yet stays until sweep().
 */
export class KernelFilter {
  readonly #io: NetlinkIo;
  readonly #table: string;
  #socket: NetlinkSocket | undefined;
  readonly #entries = new Map<string, FilterEntry>();
  /** From a table that outlived the overlayd before us; of overlays that nobody has named yet. */
  #strays: readonly Element[] = [];
  /** What the table has to hold: how many entries and strays want an element. */
  readonly #wanted = new Map<Element, number>();
  /** Wrong: it is there, but is to be made anew. Right: it holds what is wanted, as far as we know. */
  #state: 'absent' | 'wrong' | 'right' = 'absent';
  /** Of the last moment at which the table is known to have been right. */
  #generation: number | undefined;

  constructor(io: NetlinkIo, stateId: string) {
    this.#io = io;
    this.#table = `overlayadm_${stateId}_kernel`;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Isolates and guards the link of an overlay, in one transaction; instead of what was set for it before. Only the last one can be undone. */
  set(entry: FilterEntry): UndoFilter {
    this.#open();
    const [before, strays] = [this.#entries.get(entry.name), this.#strays];
    const about = concerning(entry);
    const others = strays.filter((element) => !about(element));
    const [now, earlier] = [elementsOf(entry), [...(before === undefined ? [] : elementsOf(before)), ...strays.filter(about)]];
    this.#want(now, earlier);
    this.#entries.set(entry.name, entry);
    this.#strays = others;
    return () => {
      this.#want(earlier, now);
      if (before === undefined) this.#entries.delete(entry.name);
      else this.#entries.set(entry.name, before);
      this.#strays = strays;
    };
  }

  /** @throws OverlayError */
  remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#want([], elementsOf(entry));
    this.#entries.delete(name);
  }

  /** See KernelNetwork.repairFilter(). */
  repair(): boolean {
    if (this.#entries.size === 0) return false;
    const generation = this.#ask(readGeneration);
    if (generation !== undefined && generation === this.#generation) return false;
    const found = this.#ask((socket) => readFilter(socket, this.#table));
    if (found?.right && this.#holds(found.elements)) {
      this.#state = 'right';
      this.#generation = generation;
      return false;
    }
    this.#replace();
    return true;
  }

  /** See KernelNetwork.sweepFilter(). A kernel without nf_tables has nothing to sweep. @throws OverlayError */
  sweep(): void {
    try {
      this.#open();
    } catch (error) {
      if (OverlayError.is(error) && error.code === 'NFTABLES_MISSING') return;
      throw error;
    }
    this.#want([], this.#strays);
    this.#strays = [];
    // A table without any element, or one that had none that could be read.
    if (this.#wanted.size === 0) this.#delete();
  }

  /** The table stays. */
  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#entries.clear();
    this.#wanted.clear();
    this.#strays = [];
    this.#state = 'absent';
    this.#generation = undefined;
  }

  /** The first time it looks for a table that is there already. */
  #open(): void {
    if (this.#socket !== undefined) return;
    try {
      this.#socket = new NetlinkSocket(this.#io, { protocol: NETLINK.netfilter });
    } catch (error) {
      throw tableRefused(this.#table, errnoOf(error) ?? 0, error);
    }
    try {
      this.#adopt(this.#ask((socket) => readFilter(socket, this.#table)));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #adopt(found: FilterContents | undefined): void {
    if (found === undefined) return;
    this.#strays = [...found.elements].filter(isWhole);
    for (const element of this.#strays) this.#wanted.set(element, 1);
    // One that is wrong is replaced by what comes next, set() or sweep().
    this.#state = found.right && this.#holds(found.elements) ? 'right' : 'wrong';
  }

  #holds(elements: ReadonlySet<Element>): boolean {
    return elements.size === this.#wanted.size && [...elements].every((element) => this.#wanted.has(element));
  }

  /** When the kernel refuses, nothing has changed here either. */
  #want(more: readonly Element[], less: readonly Element[]): void {
    const change = this.#count(more, less);
    try {
      if (this.#wanted.size === 0) this.#delete();
      else if (this.#state === 'right') this.#change(change);
      else this.#replace();
    } catch (error) {
      this.#count(less, more);
      throw error;
    }
  }

  #count(more: readonly Element[], less: readonly Element[]): Change {
    const before = new Map([...more, ...less].map((element) => [element, this.#wanted.get(element) ?? 0]));
    const add = (element: Element, by: number): unknown => this.#wanted.set(element, (this.#wanted.get(element) ?? 0) + by);
    for (const element of more) add(element, 1);
    for (const element of less) add(element, -1);
    for (const element of less) if (this.#wanted.get(element) === 0) this.#wanted.delete(element);
    const touched = [...before.keys()];
    return {
      added: touched.filter((element) => before.get(element) === 0 && this.#wanted.has(element)),
      removed: touched.filter((element) => before.get(element) !== 0 && !this.#wanted.has(element)),
    };
  }

  #change({ added, removed }: Change): void {
    if (added.length === 0 && removed.length === 0) return;
    const before = this.#ask(readGeneration);
    const errno = this.#batch(encodeElements(this.#table, added, removed));
    // Somebody has taken away the table, a set or an element.
    if (errno === constants.errno.ENOENT) return this.#replace();
    if (errno !== 0) throw tableRefused(this.#table, errno);
    this.#changedSince(before, before === this.#generation);
  }

  #replace(): void {
    const before = this.#ask(readGeneration);
    this.#send(encodeFilter(this.#table, [...this.#wanted.keys()]));
    this.#state = 'right';
    this.#changedSince(before, true);
  }

  #delete(): void {
    if (this.#state !== 'absent') this.#send(encodeNoFilter(this.#table));
    this.#state = 'absent';
    this.#generation = undefined;
  }

  /** Every transaction of anybody counts one further: has it been ours alone? A number that jumps is none that is known. */
  #changedSince(before: number | undefined, right: boolean): void {
    const now = this.#ask(readGeneration);
    this.#generation = right && before !== undefined && now === before + 1 ? now : undefined;
  }

  #send(messages: readonly BatchMessage[]): void {
    const errno = this.#batch(messages);
    if (errno !== 0) throw tableRefused(this.#table, errno);
  }

  /** 0, or the errno of what was refused first. */
  #batch(messages: readonly BatchMessage[]): number {
    const purpose = { subject: `nftables table ${this.#table}`, action: 'be changed' };
    return this.#ask((socket) => socket.batch(purpose, encodeBatch(messages)))?.errno ?? 0;
  }

  /** @throws OverlayError in the words of nf_tables. */
  #ask<T>(question: (socket: NetlinkSocket) => T): T {
    if (this.#socket === undefined) throw new Error('the filter is closed');
    try {
      return question(this.#socket);
    } catch (error) {
      const errno = refusedErrno(error);
      throw errno === undefined ? error : tableRefused(this.#table, errno, error);
    }
  }
}
