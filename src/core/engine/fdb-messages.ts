// Rows of the forwarding table of a kernel link as netlink messages (include/uapi/linux/{rtnetlink,neighbour}.h): written into one buffer, read without allocating.
import { endianness } from 'node:os';

/** The numbers of the machine: netlink headers and ndmsg are in its order, addresses and ports in network order. */
const LITTLE = endianness() === 'LE';

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM = { newNeigh: 28, delNeigh: 29, getNeigh: 30 } as const;
const NLM_F = { request: 0x1, dump: 0x300, dumpInterrupted: 0x10, replace: 0x100, create: 0x400, append: 0x800 } as const;
const PF_BRIDGE = 7;
/** NTF_SELF: the table of the link itself. NTF_EXT_LEARNED: whoever put it there looks after it; our mark. */
const NTF = { self: 0x02, extLearned: 0x10 } as const;
/** NUD_PERMANENT: it does not age. */
const PERMANENT = 0x80;
const NDA = { destination: 1, mac: 2, cacheInfo: 3, port: 6, master: 9 } as const;

const NLMSG_BYTES = 16;
const NDMSG_BYTES = 12;
const IFINFO_BYTES = 16;
const MAC_AT = NLMSG_BYTES + NDMSG_BYTES;
const ADDRESS_BYTES = { 4: 4, 6: 16 } as const;
/** The longest message: headers, MAC (padded), IPv6 address, port (padded). */
const MAX_MESSAGE_BYTES = MAC_AT + 12 + 20 + 8;
/** USER_HZ: ticks of nda_cacheinfo in a second, on every architecture of today (include/asm-generic/param.h). */
const TICKS_PER_SECOND = 100;

const align = (length: number): number => (length + 3) & ~3;

export type RowChange = 'replace' | 'append' | 'remove' | 'removeOne';
const CHANGES: Readonly<Record<RowChange, { readonly type: number; readonly flags: number; readonly withDestination: boolean }>> = {
  /** A unicast row: made, or given this destination in place of the one it has. */
  replace: { type: RTM.newNeigh, flags: NLM_F.create | NLM_F.replace, withDestination: true },
  /** One more destination of a row that may have several. */
  append: { type: RTM.newNeigh, flags: NLM_F.create | NLM_F.append, withDestination: true },
  /** A whole row. */
  remove: { type: RTM.delNeigh, flags: 0, withDestination: false },
  /** One destination of a row that has several. */
  removeOne: { type: RTM.delNeigh, flags: 0, withDestination: true },
};

/** Destination columns as the target table has them: `address` holds four words at `at`, bytes in network order. */
export interface RowDestination {
  readonly family: number;
  readonly port: number;
  readonly address: Uint32Array;
  readonly at: number;
}

/** Messages of one send, each with a sequence number of its own, so that a refusal names its row. */
export class RowMessages {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #used = 0;
  #count = 0;
  /** Sequence number of the first one. */
  #first: number;

  /** `first`: where sequence numbers begin; two writers on one socket keep apart by it. */
  constructor(most: number, first = 0) {
    this.#first = first;
    this.#bytes = new Uint8Array(most * MAX_MESSAGE_BYTES);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  /** Of the message with this sequence number; -1 when it is none of these. */
  indexOf(sequence: number): number {
    const index = (sequence - this.#first) >>> 0;
    return index < this.#count ? index : -1;
  }

  clear(): void {
    this.#first = (this.#first + this.#count) >>> 0;
    this.#used = 0;
    this.#count = 0;
  }

  /** A MAC is two numbers: 16 bits and 32 bits. There has to be room for it. */
  add(change: RowChange, link: number, high: number, low: number, to: RowDestination | undefined): void {
    const { type, flags, withDestination } = CHANGES[change];
    const at = this.#used;
    const bytes = this.#bytes;
    bytes.fill(0, at, at + MAC_AT + 12);
    this.#view.setUint16(at + 4, type, LITTLE);
    this.#view.setUint16(at + 6, flags | NLM_F.request, LITTLE);
    this.#view.setUint32(at + 8, (this.#first + this.#count) >>> 0, LITTLE);
    bytes[at + 16] = PF_BRIDGE;
    this.#view.setInt32(at + 20, link, LITTLE);
    this.#view.setUint16(at + 24, PERMANENT, LITTLE);
    bytes[at + 26] = NTF.self | NTF.extLearned;
    this.#attribute(at + MAC_AT, NDA.mac, 6);
    this.#view.setUint16(at + MAC_AT + 4, high);
    this.#view.setUint32(at + MAC_AT + 6, low >>> 0);
    let end = at + MAC_AT + 12;
    if (withDestination && to !== undefined) end = this.#destination(end, to);
    this.#view.setUint32(at, end - at, LITTLE);
    this.#used = end;
    this.#count++;
  }

  /** An attribute without port stands for the link's own. */
  #destination(at: number, { family, port, address, at: from }: RowDestination): number {
    const length = ADDRESS_BYTES[family === 4 ? 4 : 6];
    this.#attribute(at, NDA.destination, length);
    const source = new Uint8Array(address.buffer, address.byteOffset + 4 * from, length);
    this.#bytes.set(source, at + 4);
    const end = at + 4 + length;
    if (port === 0) return end;
    this.#attribute(end, NDA.port, 2);
    this.#view.setUint16(end + 4, port);
    this.#view.setUint16(end + 6, 0);
    return end + 8;
  }

  #attribute(at: number, type: number, length: number): void {
    this.#view.setUint16(at, 4 + length, LITTLE);
    this.#view.setUint16(at + 2, type, LITTLE);
  }
}

/** A request for every row of one link: the header of a link, whose index is the filter (net/core/rtnetlink.c, valid_fdb_dump_legacy()). */
export function dumpRequest(link: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array(NLMSG_BYTES + IFINFO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, LITTLE);
  view.setUint16(4, RTM.getNeigh, LITTLE);
  view.setUint16(6, NLM_F.request | NLM_F.dump, LITTLE);
  view.setUint32(8, sequence, LITTLE);
  bytes[16] = PF_BRIDGE;
  view.setInt32(20, link, LITTLE);
  return bytes;
}

/** `row`: there is, or was, one destination of a row. `refused`: message `sequence` was, with `errno`. `done`: a dump is complete. */
export type RowMessageKind = 'row' | 'gone' | 'refused' | 'done' | 'other';

/** What one message says. Reused from message to message. */
export interface RowView {
  kind: RowMessageKind;
  /** Where the next message begins. */
  next: number;
  sequence: number;
  errno: number;
  /** The table changed while it was dumped. */
  interrupted: boolean;
  link: number;
  /** Marked as ours. */
  ours: boolean;
  high: number;
  low: number;
  /** 0: the row has no address, and leads nowhere. */
  family: number;
  /** 0: the link's own. */
  port: number;
  readonly address: Uint32Array;
  /** Since a frame last went by the row, ms; what is not told is long ago. */
  unusedMs: number;
}

export const newRowView = (): RowView => ({
  kind: 'other',
  next: 0,
  sequence: 0,
  errno: 0,
  interrupted: false,
  link: 0,
  ours: false,
  high: 0,
  low: 0,
  family: 0,
  port: 0,
  address: new Uint32Array(4),
  unusedMs: 0,
});

/** A buffer that the kernel's messages are read into, and a window on it. */
export class RowReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #isOfBridge = false;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** The message at `at` of the `length` bytes; false when there is none. Total over any bytes; allocates nothing. */
  read(at: number, length: number, out: RowView): boolean {
    if (at + NLMSG_BYTES > length) return false;
    const size = this.#view.getUint32(at, LITTLE);
    if (size < NLMSG_BYTES || at + size > length) return false;
    const type = this.#view.getUint16(at + 4, LITTLE);
    out.next = at + align(size);
    out.sequence = this.#view.getUint32(at + 8, LITTLE);
    out.interrupted = (this.#view.getUint16(at + 6, LITTLE) & NLM_F.dumpInterrupted) !== 0;
    out.errno = 0;
    out.kind = 'other';
    if (type === NLMSG_DONE) out.kind = 'done';
    else if (type === NLMSG_ERROR) this.#refusal(at, size, out);
    else if (type === RTM.newNeigh || type === RTM.delNeigh) {
      if (this.#row(at, at + size, out)) out.kind = type === RTM.newNeigh ? 'row' : 'gone';
    }
    return true;
  }

  #refusal(at: number, size: number, out: RowView): void {
    if (size < NLMSG_BYTES + 4) return;
    out.errno = -this.#view.getInt32(at + NLMSG_BYTES, LITTLE);
    out.kind = 'refused';
  }

  #row(at: number, end: number, out: RowView): boolean {
    if (at + MAC_AT > end || this.bytes[at + 16] !== PF_BRIDGE) return false;
    out.link = this.#view.getInt32(at + 20, LITTLE);
    out.ours = ((this.bytes[at + 26] as number) & NTF.extLearned) !== 0;
    out.family = 0;
    out.port = 0;
    out.address.fill(0);
    out.unusedMs = Number.POSITIVE_INFINITY;
    this.#isOfBridge = false;
    let hasMac = false;
    for (let attribute = at + MAC_AT; attribute + 4 <= end; ) {
      const size = this.#view.getUint16(attribute, LITTLE);
      if (size < 4 || attribute + size > end) break;
      hasMac = this.#take(attribute, size - 4, out) || hasMac;
      attribute += align(size);
    }
    return hasMac && !this.#isOfBridge;
  }

  /** True for the MAC. */
  #take(attribute: number, length: number, out: RowView): boolean {
    const at = attribute + 4;
    switch (this.#view.getUint16(attribute + 2, LITTLE)) {
      case NDA.mac:
        if (length !== 6) return false;
        out.high = this.#view.getUint16(at);
        out.low = this.#view.getUint32(at + 2) | 0;
        return true;
      case NDA.destination:
        if (length !== 4 && length !== 16) return false;
        out.family = length === 4 ? 4 : 6;
        // Bytes as they stand, like every address of the target table.
        for (let word = 0; word < length / 4; word++) out.address[word] = this.#view.getUint32(at + 4 * word, LITTLE);
        return false;
      case NDA.master:
        // A row of the bridge that the link is a port of, under the index of the link.
        this.#isOfBridge = true;
        return false;
      case NDA.port:
        if (length >= 2) out.port = this.#view.getUint16(at);
        return false;
      case NDA.cacheInfo:
        // struct nda_cacheinfo: confirmed, used, updated, references.
        if (length >= 8) out.unusedMs = (this.#view.getUint32(at + 4, LITTLE) * 1000) / TICKS_PER_SECOND;
        return false;
      default:
        return false;
    }
  }
}
