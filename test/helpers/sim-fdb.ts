// The forwarding tables of kernel vxlan links in memory: takes the netlink messages of the engine, tells of changes, and forwards by the rows.
import { endianness } from 'node:os';

const LITTLE = endianness() === 'LE';
const RTM = { newNeigh: 28, delNeigh: 29, getNeigh: 30 } as const;
const FLAG = { replace: 0x100, append: 0x800 } as const;
const ENOENT = 2;
const ENODEV = 19;
const ENOSPC = 28;

export interface SimRow {
  /** `192.0.2.2 4789`, or `drop`. */
  readonly to: string;
  readonly ours: boolean;
  /** ms since it was used. */
  unusedMs: number;
}

interface Request {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly link: number;
  readonly ours: boolean;
  readonly mac: number;
  readonly to: string | undefined;
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function readRequest(bytes: Uint8Array, at: number, end: number): Request {
  const all = view(bytes);
  let mac = -1;
  let address: Uint8Array | undefined;
  let port = 0;
  for (let attribute = at + 28; attribute + 4 <= end; ) {
    const size = all.getUint16(attribute, LITTLE);
    if (size < 4) break;
    const value = bytes.subarray(attribute + 4, attribute + size);
    const type = all.getUint16(attribute + 2, LITTLE);
    if (type === 2) mac = value.reduce((sum, byte) => sum * 256 + byte, 0);
    if (type === 1) address = value.slice();
    if (type === 6) port = view(value).getUint16(0);
    attribute += (size + 3) & ~3;
  }
  const to = address === undefined ? undefined : address.every((byte) => byte === 0) ? 'drop' : `${address.join('.')} ${port}`;
  const [type, flags, sequence] = [all.getUint16(at + 4, LITTLE), all.getUint16(at + 6, LITTLE), all.getUint32(at + 8, LITTLE)];
  return { type, flags, sequence, link: all.getInt32(at + 20, LITTLE), ours: ((bytes[at + 26] as number) & 0x10) !== 0, mac, to };
}

function message(type: number, sequence: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16 + body.length);
  const all = view(bytes);
  all.setUint32(0, bytes.length, LITTLE);
  all.setUint16(4, type, LITTLE);
  all.setUint32(8, sequence, LITTLE);
  bytes.set(body, 16);
  return bytes;
}

function rowMessage(type: number, sequence: number, link: number, mac: number, { to, ours, unusedMs }: SimRow): Uint8Array {
  const [address = '', port = '0'] = to === 'drop' ? ['0.0.0.0', '0'] : to.split(' ');
  const ip = address.split('.').map(Number);
  const body = new Uint8Array(12 + 12 + 4 + ip.length + 8 + 20);
  const all = view(body);
  body[0] = 7;
  all.setInt32(4, link, LITTLE);
  body[10] = 0x02 | (ours ? 0x10 : 0);
  let at = 12;
  const attribute = (attributeType: number, value: readonly number[]): void => {
    all.setUint16(at, 4 + value.length, LITTLE);
    all.setUint16(at + 2, attributeType, LITTLE);
    body.set(value, at + 4);
    at += (4 + value.length + 3) & ~3;
  };
  attribute(
    2,
    Array.from({ length: 6 }, (_, i) => Math.floor(mac / 256 ** (5 - i)) % 256),
  );
  attribute(1, ip);
  attribute(6, [Number(port) >> 8, Number(port) & 255]);
  const info = new Uint8Array(16);
  view(info).setUint32(4, Math.round(unusedMs / 10), LITTLE);
  attribute(3, [...info]);
  return message(type, sequence, body.subarray(0, at));
}

function errorMessage(sequence: number, errno: number): Uint8Array {
  const body = new Uint8Array(20);
  view(body).setInt32(0, -errno, LITTLE);
  return message(2, sequence, body);
}

export class SimFdb {
  readonly #tables = new Map<number, Map<number, SimRow[]>>();
  /** Sockets that are told of changes. */
  readonly #listeners = new Set<Uint8Array[]>();
  /** Rows that a link may have; the kernel has a bound too (IFLA_VXLAN_LIMIT). */
  most = Number.POSITIVE_INFINITY;
  /** Notifications that are dropped instead of told, as by a socket without room. */
  losing = false;
  readonly #lost = new Set<Uint8Array[]>();
  /** What stands before the rows of a table that is read, by the number of the request; no kernel says it. */
  beforeDump: (sequence: number) => readonly Uint8Array[] = () => [];
  /** In one part of a table that is read: as many as the kernel has room for (32 KiB). */
  rowsPerPart = 400;
  /** Messages taken, and tables read, for tests that count. */
  changes = 0;
  dumps = 0;

  addLink(index: number): void {
    this.#tables.set(index, new Map());
  }

  removeLink(index: number): void {
    this.#tables.delete(index);
  }

  open(queue: Uint8Array[], listens: boolean): void {
    if (listens) this.#listeners.add(queue);
  }

  close(queue: Uint8Array[]): void {
    this.#listeners.delete(queue);
  }

  isReady(queue: Uint8Array[]): boolean {
    return queue.length > 0 || this.#lost.has(queue);
  }

  /** True once for a socket that has lost notifications. */
  hasLost(queue: Uint8Array[]): boolean {
    return this.#lost.delete(queue);
  }

  rows(index: number, mac: number): readonly SimRow[] {
    return this.#tables.get(index)?.get(mac) ?? [];
  }

  size(index: number): number {
    return this.#tables.get(index)?.size ?? 0;
  }

  /** Where a frame to this MAC goes: its row, else the fallback. */
  destinations(index: number, mac: number): readonly SimRow[] {
    const own = this.rows(index, mac);
    const used = own.length > 0 ? own : this.rows(index, 0);
    for (const row of used) row.unusedMs = 0;
    return used;
  }

  /** A change by somebody else. */
  byHand(index: number, mac: number, to: string | undefined, ours = false): void {
    const table = this.#tables.get(index);
    if (table === undefined) return;
    for (const row of table.get(mac) ?? []) if (to === undefined) this.#tell(RTM.delNeigh, index, mac, row);
    if (to === undefined) return void table.delete(mac);
    this.#replace(table, index, mac, { to, ours, unusedMs: 0 });
  }

  /** As Linux 6.18 does it (seen with "bridge monitor fdb"): a row without our mark does not get it, and nothing is told of what stays as it was. */
  #replace(table: Map<number, SimRow[]>, index: number, mac: number, wanted: SimRow): void {
    const [before] = table.get(mac) ?? [];
    const row = before?.ours === false ? { ...wanted, ours: false } : wanted;
    if (before !== undefined && before.to === row.to && before.ours === row.ours) return;
    table.set(mac, [row]);
    this.#tell(RTM.newNeigh, index, mac, row);
  }

  flush(index: number): void {
    for (const mac of [...(this.#tables.get(index)?.keys() ?? [])]) this.byHand(index, mac, undefined);
  }

  /** Whoever listens hears this; no kernel says it. */
  notify(bytes: Uint8Array): void {
    for (const queue of this.#listeners) queue.push(bytes);
  }

  /** Whoever listens has missed something. */
  lose(): void {
    for (const queue of this.#listeners) this.#lost.add(queue);
  }

  /** What a socket sends; its answers go into `queue`. */
  send(bytes: Uint8Array, queue: Uint8Array[]): void {
    for (let at = 0; at + 16 <= bytes.length; ) {
      const size = view(bytes).getUint32(at, LITTLE);
      this.#take(readRequest(bytes, at, at + size), queue);
      at += (size + 3) & ~3;
    }
  }

  #take(request: Request, queue: Uint8Array[]): void {
    if (request.type === RTM.getNeigh) return this.#dump(request, queue);
    this.changes++;
    const errno = this.#change(request);
    if (errno !== 0) queue.push(errorMessage(request.sequence, errno));
  }

  #dump({ link, sequence }: Request, queue: Uint8Array[]): void {
    this.dumps++;
    queue.push(...this.beforeDump(sequence));
    let part: Uint8Array[] = [];
    const finish = (): void => {
      if (part.length > 0) queue.push(Uint8Array.from(Buffer.concat(part)));
      part = [];
    };
    for (const [mac, rows] of this.#tables.get(link) ?? []) {
      for (const row of rows) part.push(rowMessage(RTM.newNeigh, sequence, link, mac, row));
      if (part.length >= this.rowsPerPart) finish();
    }
    finish();
    queue.push(message(3, sequence, new Uint8Array(4)));
  }

  #change({ type, flags, link, ours, mac, to }: Request): number {
    const table = this.#tables.get(link);
    if (table === undefined) return ENODEV;
    const before = table.get(mac) ?? [];
    if (type === RTM.delNeigh) {
      const gone = before.filter((row) => to === undefined || row.to === to);
      if (gone.length === 0) return ENOENT;
      const left = before.filter((row) => !gone.includes(row));
      if (left.length === 0) table.delete(mac);
      else table.set(mac, left);
      for (const row of gone) this.#tell(RTM.delNeigh, link, mac, row);
      return 0;
    }
    if (before.length === 0 && table.size >= this.most) return ENOSPC;
    const row = { to: to ?? 'drop', ours, unusedMs: 0 };
    if ((flags & FLAG.append) === 0) this.#replace(table, link, mac, row);
    else if (!before.some((known) => known.to === row.to)) {
      table.set(mac, [...before, row]);
      this.#tell(RTM.newNeigh, link, mac, row);
    }
    return 0;
  }

  #tell(type: number, link: number, mac: number, row: SimRow): void {
    for (const queue of this.#listeners) {
      if (this.losing) this.#lost.add(queue);
      else queue.push(rowMessage(type, 0, link, mac, row));
    }
  }
}
