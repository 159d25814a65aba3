// Writes the rows of kernel links, and hears what others do to them: one netlink socket for requests, one for notifications, one for whole tables (row-tables.ts).
import type { PacketIo } from '@overlayadm/packetio';
import {
  FEW_PUNTED,
  LOOKS_PER_TURN,
  NETLINK_BUFFER_BYTES,
  ROW_FORCED_EARLY_MS,
  ROW_FORCED_MS,
  ROW_READS_PER_TURN,
  ROWS_PER_LOOK,
  USAGE_MS,
} from '../util/limits.ts';
import { newRowView, RowMessages, RowReader } from './fdb-messages.ts';
import type { KernelLink, WireDestination } from './messages.ts';
import { NO_ENTRY, type RowMirror } from './row-mirror.ts';
import { RowTables, type TablePort } from './row-tables.ts';

/** NETLINK_ROUTE and RTNLGRP_NEIGH (linux/rtnetlink.h). */
const NETLINK_ROUTE = 0;
const GROUP_NEIGH = 3;
const ENOENT = 2;
/** A row that was somebody else's is taken away before it is written. */
const MESSAGES_PER_LOOK = 2 * ROWS_PER_LOOK;

/** A kernel link of an overlay, and where its frames without row come in. */
export interface RowPort extends TablePort {
  /** What several links punt into is one. */
  readonly punt: unknown;
  /** False while its punt socket is not to be read. */
  readonly isRead: boolean;
  /** Takes what waits in the punt socket, and sends it on: how many frames. */
  takePunted(): number;
}

export interface RowIo {
  readonly io: Pick<PacketIo, 'openNetlink' | 'netlinkSend' | 'netlinkReceive' | 'close'>;
  /** Calls `ready` whenever the socket is readable, until unwatch(). */
  watch(socket: number, ready: () => void): void;
  unwatch(socket: number): void;
  now(): number;
}

interface Sockets {
  readonly requests: number;
  readonly notices: number;
  readonly tables: number;
}

export class KernelRows {
  readonly #parts: RowIo;
  readonly #ports = new Map<number, RowPort>();
  readonly #messages = new RowMessages(MESSAGES_PER_LOOK);
  /** Message by message, whose row it is. */
  readonly #entries = new Int32Array(MESSAGES_PER_LOOK);
  readonly #reader = new RowReader(NETLINK_BUFFER_BYTES);
  /** For single rows, while the messages above may be on their way. */
  readonly #one = new RowMessages(1, 0x8000_0000);
  readonly #view = newRowView();
  #sockets: Sockets | undefined;
  readonly #tables: RowTables;
  /** Punt sockets that were not empty for a whole turn. */
  readonly #crowded = new Set<unknown>();
  /** Some notifications were not delivered. */
  #lost = false;
  /** Notifications have come since all had been read. */
  #unsettled = false;
  #retriedAt = 0;

  constructor(parts: RowIo) {
    this.#parts = parts;
    this.#tables = new RowTables({
      io: parts.io,
      reader: this.#reader,
      now: () => parts.now(),
      receive: (socket) => this.#receive(socket),
      portOf: (link) => this.#ports.get(link),
      removeStray: (mirror, high, low) => this.#removeStray(mirror, high, low),
    });
  }

  /** Has something to do without a frame coming? */
  get isBusy(): boolean {
    if (this.#unsettled) return true;
    for (const { mirror, isRead } of this.#ports.values())
      if (mirror.changes > 0 || (mirror.fresh > 0 && isRead) || mirror.isFallbackMissing) return true;
    return false;
  }

  /** Writes the fallback. `stale`: fallbacks from before; undefined for a new link, of which nothing is to be read. @throws Error with what the kernel refused; then nothing is left. */
  open(port: RowPort, stale: readonly WireDestination[] | undefined): void {
    this.#sockets ??= this.#open();
    this.#ports.set(port.mirror.link.index, port);
    try {
      this.#replaceFallback(port.mirror, stale ?? []);
      // What has happened between its being looked at and our listening nobody has told.
      if (stale !== undefined) this.#tables.want(port.mirror.link.index);
    } catch (error) {
      this.close(port);
      throw error;
    }
  }

  /** Rows stay as they are. */
  close({ mirror: { link } }: RowPort): void {
    this.#ports.delete(link.index);
    this.#tables.forget(link.index);
  }

  /** The link's fallback, or its own socket, is another one from now on. @throws Error with what the kernel refused */
  relink({ mirror }: RowPort, link: KernelLink): void {
    const before = mirror.link;
    mirror.relink(link);
    try {
      this.#replaceFallback(mirror, [before.fallback]);
    } catch (error) {
      mirror.relink(before);
      throw error;
    }
  }

  /** What the engine has opened itself goes with it. */
  stop(): void {
    if (this.#sockets === undefined) return;
    const { requests, notices, tables } = this.#sockets;
    for (const socket of [notices, tables]) this.#parts.unwatch(socket);
    for (const socket of [requests, notices, tables]) this.#parts.io.close(socket);
    this.#sockets = undefined;
  }

  /** Once a turn: what has changed is written, each link for a bounded time. */
  turn(): void {
    // There may be no more of them, and then nothing wakes us.
    if (this.#unsettled) this.#takeNotices();
    this.#crowded.clear();
    for (const port of this.#ports.values()) {
      if (port.mirror.isFallbackMissing) this.#putBackFallback(port.mirror);
      this.#writeChanges(port.mirror);
      this.#handOver(port);
      this.#tables.askUsage(port);
    }
    this.#retry();
    if (this.#sockets !== undefined) this.#tables.next(this.#sockets.tables);
  }

  #open(): Sockets {
    const { io, watch } = this.#parts;
    const opened: number[] = [];
    const open = (groups: readonly number[]): number => {
      const socket = io.openNetlink({ protocol: NETLINK_ROUTE, groups });
      opened.push(socket);
      return socket;
    };
    try {
      const [requests, tables, notices] = [open([]), open([]), open([GROUP_NEIGH])];
      watch(notices, () => this.#takeNotices());
      watch(tables, () => this.#takeTable());
      return { requests, notices, tables };
    } catch (error) {
      for (const socket of opened) {
        this.#parts.unwatch(socket);
        io.close(socket);
      }
      throw error;
    }
  }

  #replaceFallback(mirror: RowMirror, before: readonly WireDestination[]): void {
    this.#messages.clear();
    mirror.writeFallback(this.#messages);
    const refused = this.#send();
    if (refused !== 0) throw Object.assign(new Error(`the kernel refuses the row for unknown targets (errno ${refused})`), { errno: refused });
    for (const to of before) {
      if (isSameDestination(to, mirror.link.fallback)) continue;
      this.#messages.clear();
      mirror.removeFallback(this.#messages, to);
      this.#send();
    }
  }

  #putBackFallback(mirror: RowMirror): void {
    this.#messages.clear();
    mirror.writeFallback(this.#messages);
    const refused = this.#send();
    if (refused !== 0) mirror.refuseFallback(refused);
  }

  /** Rows that are there: no frame is on its way through the engine that could be overtaken. */
  #writeChanges(mirror: RowMirror): void {
    for (let looks = 0; looks < LOOKS_PER_TURN && mirror.changes > 0; looks++) {
      this.#messages.clear();
      while (this.#messages.count <= ROWS_PER_LOOK && mirror.changes > 0) this.#note(this.#messages.count, mirror.writeChange(this.#messages));
      this.#sendRows(mirror);
    }
  }

  /**
   * Frames that came before the answer are sent, or wait in the punt socket. Rows are put in right after a look that found none there,
   * so that what the kernel then sends by itself overtakes nothing; and few at a time, because the look does not stay true for long.
   */
  #handOver(port: RowPort): void {
    const { mirror, punt } = port;
    if (!port.isRead) return;
    for (let looks = 0; looks < LOOKS_PER_TURN && mirror.fresh > 0; looks++) {
      const isCrowded = this.#crowded.has(punt);
      const waiting = isCrowded ? Number.POSITIVE_INFINITY : port.takePunted();
      const patience = patienceFor(waiting);
      if (!mirror.hasWaited(this.#parts.now(), patience)) {
        if (isCrowded) return;
        continue;
      }
      this.#messages.clear();
      while (this.#messages.count <= ROWS_PER_LOOK && mirror.hasWaited(this.#parts.now(), patience))
        this.#note(this.#messages.count, mirror.writeFresh(this.#messages));
      if (patience > 0) mirror.countForced(this.#messages.count);
      this.#sendRows(mirror);
    }
    // Another link that punts there too would find as many frames, and everything else would wait for it.
    if (mirror.fresh > 0) this.#crowded.add(punt);
  }

  /** Which entry the messages from `index` on were written for; there may be none. */
  #note(index: number, entry: number): void {
    for (let i = index; i < this.#messages.count; i++) this.#entries[i] = entry;
  }

  #sendRows(mirror: RowMirror): void {
    if (this.#messages.count > 0) this.#send(mirror);
  }

  /** The errno of the first message that was refused, or 0. */
  #send(mirror?: RowMirror): number {
    const { requests } = this.#sockets as Sockets;
    const { io } = this.#parts;
    let first = 0;
    try {
      io.netlinkSend(requests, this.#messages.bytes);
      for (let length = io.netlinkReceive(requests, this.#reader.bytes); length > 0; length = io.netlinkReceive(requests, this.#reader.bytes)) {
        const refused = this.#takeRefusals(length, mirror);
        first ||= refused;
      }
    } catch (error) {
      // Nothing of it, or not all of it, was taken.
      first = errnoOf(error);
      for (let i = 0; i < this.#messages.count; i++) this.#refuse(mirror, i, first);
    }
    return first;
  }

  #takeRefusals(length: number, mirror: RowMirror | undefined): number {
    let first = 0;
    for (let at = 0; this.#reader.read(at, length, this.#view); at = this.#view.next) {
      const index = this.#messages.indexOf(this.#view.sequence);
      if (this.#view.kind !== 'refused' || this.#view.errno === 0 || index < 0) continue;
      first ||= this.#view.errno;
      this.#refuse(mirror, index, this.#view.errno);
    }
    return first;
  }

  #refuse(mirror: RowMirror | undefined, index: number, errno: number): void {
    // What was to go and is not there is gone.
    if (mirror === undefined || errno === ENOENT) return;
    const entry = this.#entries[index] as number;
    if (entry !== NO_ENTRY) mirror.refuse(entry, errno);
  }

  /** Rows that were refused are tried again from time to time, and with them what follows. */
  #retry(): void {
    const now = this.#parts.now();
    if (now - this.#retriedAt < USAGE_MS) return;
    this.#retriedAt = now;
    for (const { mirror } of this.#ports.values()) mirror.retry(now);
  }

  #takeNotices(): void {
    for (let reads = 0; reads < ROW_READS_PER_TURN; reads++) {
      const length = this.#receive((this.#sockets as Sockets).notices);
      if (length === 0) return this.#settle();
      this.#unsettled = true;
      if (length === undefined) {
        this.#lost = true;
        continue;
      }
      for (let at = 0; this.#reader.read(at, length, this.#view); at = this.#view.next) {
        if (this.#view.kind === 'row' || this.#view.kind === 'gone') this.#ports.get(this.#view.link)?.mirror.noticed(this.#view, this.#parts.now());
      }
    }
  }

  #settle(): void {
    const now = this.#parts.now();
    if (this.#unsettled)
      for (const { mirror } of this.#ports.values()) mirror.settle(now, this.#lost, (high, low) => this.#removeStray(mirror, high, low));
    this.#unsettled = false;
    for (const [index, { mirror }] of this.#ports) if (this.#lost || mirror.isOverflown) this.#tables.want(index);
    this.#lost = false;
  }

  /** A row with our mark that we have not put there, or not any more. */
  #removeStray({ link: { index } }: RowMirror, high: number, low: number): void {
    this.#one.clear();
    this.#one.add('remove', index, high, low, undefined);
    try {
      this.#parts.io.netlinkSend((this.#sockets as Sockets).requests, this.#one.bytes);
    } catch {
      // The next reading of the table finds it.
    }
  }

  /** Undefined when notifications were lost. */
  #receive(socket: number): number | undefined {
    try {
      return this.#parts.io.netlinkReceive(socket, this.#reader.bytes);
    } catch {
      return undefined;
    }
  }

  /** Rows that were noticed while a table was read are still to be looked at, and perhaps nothing more is noticed. */
  #takeTable(): void {
    if (this.#tables.take((this.#sockets as Sockets).tables)) this.#unsettled = true;
  }
}

/** How long a row waits for a look that finds none, when one has found so many, ms. */
function patienceFor(punted: number): number {
  if (punted <= 0) return 0;
  return punted < FEW_PUNTED ? ROW_FORCED_EARLY_MS : ROW_FORCED_MS;
}

/** Positive; -1 for what has none. */
export const errnoOf = (error: unknown): number => {
  const { errno } = error as { readonly errno?: unknown };
  return typeof errno === 'number' && errno !== 0 ? Math.abs(errno) : -1;
};

const isSameDestination = (a: WireDestination, b: WireDestination): boolean =>
  a.family === b.family && a.port === b.port && a.ip.every((byte, index) => byte === b.ip[index]);
