// Reads whole tables of kernel links, one after the other: what others do to them while nobody listens, and which rows are in use.
import type { PacketIo } from '@overlayadm/packetio';
import { ROW_READS_PER_TURN, USAGE_MS, USAGE_SHARE } from '../util/limits.ts';
import { dumpRequest, newRowView, type RowReader } from './fdb-messages.ts';
import type { RowMirror } from './row-mirror.ts';

/** Another table is still being given. */
const EBUSY = 16;

/** A kernel link of an overlay, as far as its table is concerned. */
export interface TablePort {
  readonly mirror: RowMirror;
  /** Valid targets, as a share of what the cache may hold. */
  readonly fullness: number;
}

export interface TableParts {
  readonly io: Pick<PacketIo, 'netlinkSend'>;
  readonly reader: RowReader;
  now(): number;
  /** How many bytes the reader has; undefined when some were lost. */
  receive(socket: number): number | undefined;
  /** The one that is open on this link. */
  portOf(link: number): TablePort | undefined;
  removeStray(mirror: RowMirror, high: number, low: number): void;
}

export class RowTables {
  readonly #parts: TableParts;
  readonly #view = newRowView();
  readonly #toRead = new Set<number>();
  /** Also when it was closed meanwhile: the kernel gives one table after the other. */
  #reading: TablePort | undefined;
  #sequence = 0;
  #interrupted = false;
  /** When the kernel was last asked what it uses, by link, ms of the clock. */
  readonly #asked = new Map<number, number>();

  constructor(parts: TableParts) {
    this.#parts = parts;
  }

  /** Its table is to be read. */
  want(link: number): void {
    this.#toRead.add(link);
  }

  forget(link: number): void {
    this.#toRead.delete(link);
    this.#asked.delete(link);
  }

  /** Before the cache has to make room: what the kernel forwards by itself has not been seen here. */
  askUsage({ mirror: { link }, fullness }: TablePort): void {
    if (fullness < USAGE_SHARE) return;
    const now = this.#parts.now();
    if (now - (this.#asked.get(link.index) ?? Number.NEGATIVE_INFINITY) < USAGE_MS) return;
    this.#asked.set(link.index, now);
    this.#toRead.add(link.index);
  }

  /** Asks for the next one, when none is being given. */
  next(socket: number): void {
    const [index] = this.#toRead;
    if (this.#reading !== undefined || index === undefined) return;
    this.#toRead.delete(index);
    const port = this.#parts.portOf(index);
    if (port === undefined) return;
    this.#reading = port;
    this.#interrupted = false;
    port.mirror.beginDump();
    try {
      this.#parts.io.netlinkSend(socket, dumpRequest(index, ++this.#sequence));
    } catch {
      this.#reading = undefined;
      this.#toRead.add(index);
    }
  }

  /** Takes what there is of it. True when a table has been read to its end, or cannot be had. */
  take(socket: number): boolean {
    for (let reads = 0; reads < ROW_READS_PER_TURN; reads++) {
      const length = this.#parts.receive(socket);
      // What was lost of it cannot be had: it is read once more.
      if (length === undefined) {
        this.#interrupted = true;
        return this.#end(true);
      }
      if (length === 0) return false;
      const { reader } = this.#parts;
      for (let at = 0; reader.read(at, length, this.#view); at = this.#view.next) {
        if (!this.#isLast()) continue;
        return this.#end(this.#view.kind === 'done');
      }
    }
    return false;
  }

  /** Takes one part; true when the table is complete with it, or cannot be had. */
  #isLast(): boolean {
    const view = this.#view;
    if (view.sequence !== this.#sequence || this.#reading === undefined) return false;
    this.#interrupted ||= view.interrupted || (view.kind === 'refused' && view.errno === EBUSY);
    if (view.kind !== 'row') return view.kind === 'done' || view.kind === 'refused';
    const { mirror } = this.#reading;
    if (!this.#isOpen(this.#reading)) return false;
    mirror.dumped(view, USAGE_MS, this.#parts.now(), (high, low) => this.#parts.removeStray(mirror, high, low));
    return false;
  }

  #end(complete: boolean): boolean {
    const port = this.#reading;
    this.#reading = undefined;
    if (port === undefined || !this.#isOpen(port)) return false;
    // A row that was passed over while others went may be missing in what was read: it is read once more.
    if (this.#interrupted) this.#toRead.add(port.mirror.link.index);
    else if (complete && !port.mirror.endDump(this.#parts.now())) this.#toRead.add(port.mirror.link.index);
    return true;
  }

  #isOpen(port: TablePort): boolean {
    return this.#parts.portOf(port.mirror.link.index) === port;
  }
}
