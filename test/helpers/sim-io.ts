// A packet addon in memory: TAP devices whose frames are arrays, and an underlay that carries datagrams between sockets.
import {
  FRAME,
  FRAME_WORDS,
  type NetlinkOptions,
  type PacketIo,
  SEND,
  SEND_WORDS,
  SOURCE,
  SOURCE_WORDS,
  type TapOptions,
  TRUNCATED,
  type UdpAddress,
  type UdpOptions,
} from '@overlayadm/packetio';
import { SimFdb } from './sim-fdb.ts';

export interface Datagram {
  readonly from: string;
  readonly to: string;
  readonly bytes: Uint8Array;
}

/** `192.0.2.1 4789` */
const where = (address: Uint8Array, port: number): string => `${address.join('.')} ${port}`;

/** What several SimIo have in common: the network between the hosts. Nothing is lost in it unless `carry` says so. */
export class SimUnderlay {
  readonly #sockets = new Map<string, Uint8Array[]>();
  /** Who sent these bytes. */
  readonly senders = new WeakMap<Uint8Array, string>();
  /** Every datagram that was sent, for tests to look at. */
  readonly carried: Datagram[] = [];
  /** An errno refuses the datagram at the sender, as a real send does. */
  carry: (datagram: Datagram) => number = () => 0;

  bind(name: string): Uint8Array[] | undefined {
    if (this.#sockets.has(name)) return undefined;
    const queue: Uint8Array[] = [];
    this.#sockets.set(name, queue);
    return queue;
  }

  isBound(name: string): boolean {
    return this.#sockets.has(name);
  }

  unbind(name: string): void {
    this.#sockets.delete(name);
  }

  send(datagram: Datagram): number {
    const errno = this.carry(datagram);
    if (errno !== 0) return errno;
    this.carried.push(datagram);
    this.senders.set(datagram.bytes, datagram.from);
    this.#sockets.get(datagram.to)?.push(datagram.bytes);
    return 0;
  }
}

/** The VNIC side of a TAP: what is pushed to `out` is read by the engine, what the engine writes is in `in`. */
export interface SimTap {
  name: string;
  readonly out: Uint8Array[];
  readonly in: Uint8Array[];
  /** errno of reads and writes. */
  failure: number;
  persistent: boolean;
  /** Open files that are attached to it: each gets a share of the frames. */
  queues: number;
}

/** An open file, for which several descriptors may stand, in overlayd and elsewhere. */
export type OpenFile =
  | { readonly kind: 'tap'; readonly device: SimTap }
  | {
      readonly kind: 'udp';
      readonly family: 4 | 6;
      readonly address: Uint8Array;
      readonly port: number;
      readonly name: string;
      readonly queue: Uint8Array[];
    }
  | { readonly kind: 'poll'; readonly watched: Map<number, number> }
  | { readonly kind: 'netlink'; readonly queue: Uint8Array[] }
  | { readonly kind: 'wake'; pending: boolean };

const EBADFD = 77;

function systemError(code: string, errno: number, syscall: string): Error {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, errno, syscall });
}

export class SimIo implements PacketIo {
  readonly #underlay: SimUnderlay;
  readonly #descriptors = new Map<number, OpenFile>();
  readonly #references = new Map<OpenFile, number>();
  readonly #taps = new Map<string, SimTap>();
  #last = 100;
  /** Of the kernel links of this host. */
  readonly fdb = new SimFdb();
  /** Calls of send(), for tests that count batches. */
  sends = 0;

  constructor(underlay: SimUnderlay) {
    this.#underlay = underlay;
  }

  /** Descriptors that are open: none may be left when a host has stopped. */
  get open(): number {
    return this.#descriptors.size;
  }

  tap(name: string): SimTap {
    const device = this.#taps.get(name);
    if (device === undefined) throw new Error(`no TAP ${name}`);
    return device;
  }

  hasTap(name: string): boolean {
    return this.#taps.has(name);
  }

  get tapNames(): string[] {
    return [...this.#taps.keys()];
  }

  /** As `ip link delete` does it. */
  deleteTap(name: string): void {
    this.tap(name).failure = EBADFD;
    this.#taps.delete(name);
  }

  renameTap(name: string, to: string): void {
    const device = this.tap(name);
    this.#taps.delete(name);
    this.#taps.set(to, device);
    device.name = to;
  }

  /** The process has ended, in whatever way: the kernel closes its descriptors. */
  closeAll(): void {
    for (const fd of [...this.#descriptors.keys()]) this.close(fd);
  }

  /** What a descriptor stands for, held by another process from now on. */
  hold(fd: number): OpenFile {
    const file = this.#get(fd);
    this.#references.set(file, (this.#references.get(file) ?? 0) + 1);
    return file;
  }

  letGo(file: OpenFile): void {
    const left = (this.#references.get(file) ?? 0) - 1;
    if (left > 0) return void this.#references.set(file, left);
    this.#references.delete(file);
    if (file.kind === 'udp') this.#underlay.unbind(file.name);
    if (file.kind === 'netlink') this.fdb.close(file.queue);
    if (file.kind !== 'tap') return;
    const { device } = file;
    device.queues--;
    if (device.queues === 0 && !device.persistent && this.#taps.get(device.name) === device) this.#taps.delete(device.name);
  }

  /** A descriptor of overlayd for what another process holds. */
  inherit(file: OpenFile): number {
    return this.#add(file);
  }

  openTap({ name, exclusive }: TapOptions): number {
    const there = this.#taps.get(name);
    if (exclusive && there !== undefined) throw systemError('EBUSY', 16, 'TUNSETIFF');
    const device = there ?? { name, out: [], in: [], failure: 0, persistent: false, queues: 0 };
    device.queues++;
    this.#taps.set(name, device);
    return this.#add({ kind: 'tap', device });
  }

  adoptTap(fd: number): string {
    return this.#device(fd, 'TUNGETIFF').name;
  }

  setTapPersistent(fd: number, persistent: boolean): void {
    this.#device(fd, 'TUNSETPERSIST').persistent = persistent;
  }

  openUdp({ family, address, port }: UdpOptions): number {
    const name = where(address, port);
    const queue = this.#underlay.bind(name);
    if (queue === undefined) throw systemError('EADDRINUSE', 98, 'bind');
    return this.#add({ kind: 'udp', family, address, port, name, queue });
  }

  udpAddress(fd: number): UdpAddress {
    const file = this.#get(fd);
    if (file.kind !== 'udp') throw systemError('ENOTSOCK', 88, 'getsockname');
    return { family: file.family, address: file.address, port: file.port };
  }

  passOn(): void {
    throw new Error('nothing in a simulation becomes another program');
  }

  adopt(fd: number): void {
    this.#get(fd);
  }

  openWake(): number {
    return this.#add({ kind: 'wake', pending: false });
  }

  openPoll(): number {
    return this.#add({ kind: 'poll', watched: new Map() });
  }

  close(fd: number): void {
    const descriptor = this.#descriptors.get(fd);
    if (descriptor === undefined) throw systemError('EBADF', 9, 'close');
    this.#descriptors.delete(fd);
    for (const other of this.#descriptors.values()) if (other.kind === 'poll') other.watched.delete(fd);
    this.letGo(descriptor);
  }

  pollAdd(poll: number, fd: number, token: number): void {
    const descriptor = this.#get(poll);
    if (descriptor.kind === 'poll') descriptor.watched.set(fd, token);
  }

  pollRemove(poll: number, fd: number): void {
    const descriptor = this.#get(poll);
    if (descriptor.kind === 'poll') descriptor.watched.delete(fd);
  }

  wait(poll: number, tokens: Uint32Array): number {
    const descriptor = this.#get(poll);
    let count = 0;
    if (descriptor.kind !== 'poll') return 0;
    for (const [fd, token] of descriptor.watched) if (count < tokens.length && this.#isReady(this.#get(fd))) tokens[count++] = token;
    return count;
  }

  wake(fd: number): void {
    const descriptor = this.#get(fd);
    if (descriptor.kind === 'wake') descriptor.pending = true;
  }

  drainWake(fd: number): void {
    const descriptor = this.#get(fd);
    if (descriptor.kind === 'wake') descriptor.pending = false;
  }

  readTap(fd: number, arena: Uint8Array, table: Uint32Array, start: number, end: number, headroom: number, room: number, max: number): number {
    const file = this.#get(fd);
    if (file.kind !== 'tap') throw new TypeError('no TAP');
    const tap = file.device;
    if (tap.failure !== 0) return -tap.failure;
    let at = start + headroom;
    let count = 0;
    while (count < max && at + room <= end && tap.out.length > 0) {
      const frame = tap.out.shift() as Uint8Array;
      this.#put(arena, table, count++, at, frame, fd);
      at = Math.ceil((at + frame.length) / 64) * 64 + headroom;
    }
    return count;
  }

  socketDrops(): number {
    return 0;
  }

  receive(fd: number, arena: Uint8Array, table: Uint32Array, start: number, stride: number, max: number, sources?: Uint32Array): number {
    const socket = this.#get(fd);
    if (socket.kind !== 'udp') throw new TypeError('no socket');
    let count = 0;
    while (count < max && socket.queue.length > 0) {
      const bytes = socket.queue.shift() as Uint8Array;
      this.#put(arena, table, count, start + count * stride, bytes.subarray(0, stride), fd);
      if (sources !== undefined) this.#writeSource(sources, count * SOURCE_WORDS, this.#underlay.senders.get(bytes) ?? '0.0.0.0 0');
      if (bytes.length > stride) table[count * FRAME_WORDS + FRAME.length] = TRUNCATED;
      count++;
    }
    return count;
  }

  send(sockets: Int32Array, arena: Uint8Array, table: Uint32Array, count: number): number {
    this.sends++;
    let sent = 0;
    for (let i = 0; i < count; i++) {
      const row = i * SEND_WORDS;
      const socket = this.#get(sockets[table[row + SEND.socket] as number] as number);
      if (socket.kind !== 'udp') throw new TypeError('no socket');
      const offset = table[row + SEND.offset] as number;
      const bytes = arena.slice(offset, offset + (table[row + SEND.length] as number));
      const words = table.slice(row + SEND.address, row + SEND.address + 4);
      const address = new Uint8Array(words.buffer).slice(0, table[row + SEND.family] === 4 ? 4 : 16);
      const errno = this.#underlay.send({ from: socket.name, to: where(address, table[row + SEND.port] as number), bytes });
      table[row + SEND.errno] = errno;
      if (errno === 0) sent++;
    }
    return sent;
  }

  writeTaps(arena: Uint8Array, table: Uint32Array, count: number): number {
    let written = 0;
    for (let i = 0; i < count; i++) {
      const row = i * FRAME_WORDS;
      const file = this.#get(table[row + FRAME.fd] as number);
      if (file.kind !== 'tap') throw new TypeError('no TAP');
      const tap = file.device;
      table[row + FRAME.errno] = tap.failure;
      if (tap.failure !== 0) continue;
      const offset = table[row + FRAME.offset] as number;
      tap.in.push(arena.slice(offset, offset + (table[row + FRAME.length] as number)));
      written++;
    }
    return written;
  }

  /** Rows of kernel links, and nothing else, can be asked for. */
  openNetlink({ groups = [] }: NetlinkOptions): number {
    const queue: Uint8Array[] = [];
    this.fdb.open(queue, groups.length > 0);
    return this.#add({ kind: 'netlink', queue });
  }

  netlinkSend(fd: number, bytes: Uint8Array): void {
    const file = this.#get(fd);
    if (file.kind === 'netlink') this.fdb.send(bytes, file.queue);
  }

  netlinkReceive(fd: number, buffer: Uint8Array): number {
    const file = this.#get(fd);
    if (file.kind !== 'netlink') throw new TypeError('no netlink socket');
    if (this.fdb.hasLost(file.queue)) throw systemError('ENOBUFS', 105, 'recv');
    const next = file.queue.shift();
    if (next !== undefined) buffer.set(next);
    return next?.length ?? 0;
  }

  bpfLoad(): number {
    throw new Error('a simulated host has no eBPF');
  }
  bpfAttach(): void {
    throw new Error('a simulated host has no eBPF');
  }
  bpfAttached(): string[] {
    throw new Error('a simulated host has no eBPF');
  }
  /** Whoever can open the socket of a simulated host is root. */
  peerCredentials(): { pid: number; uid: number; gid: number; groups: readonly number[] } {
    return { pid: process.pid, uid: 0, gid: 0, groups: [] };
  }
  lockFile(): number {
    return this.openWake();
  }
  setParentDeathSignal(): void {}
  notify(): void {}
  notifyOver(): void {}

  #put(arena: Uint8Array, table: Uint32Array, row: number, at: number, bytes: Uint8Array, fd: number): void {
    arena.set(bytes, at);
    table.set([at, bytes.length, fd, 0], row * FRAME_WORDS);
  }

  #writeSource(sources: Uint32Array, at: number, from: string): void {
    const [address = '', port = '0'] = from.split(' ');
    const ip = address.split('.').map(Number);
    sources.fill(0, at, at + SOURCE_WORDS);
    sources[at + SOURCE.family] = ip.length === 4 ? 4 : 6;
    sources[at + SOURCE.port] = Number(port);
    new Uint8Array(sources.buffer, sources.byteOffset + 4 * (at + SOURCE.address), ip.length).set(ip);
  }

  #isReady(descriptor: OpenFile): boolean {
    if (descriptor.kind === 'tap') return descriptor.device.out.length > 0 || descriptor.device.failure !== 0;
    if (descriptor.kind === 'udp') return descriptor.queue.length > 0;
    if (descriptor.kind === 'netlink') return this.fdb.isReady(descriptor.queue);
    return descriptor.kind === 'wake' && descriptor.pending;
  }

  #add(file: OpenFile): number {
    this.#descriptors.set(++this.#last, file);
    this.hold(this.#last);
    return this.#last;
  }

  #device(fd: number, syscall: string): SimTap {
    const file = this.#get(fd);
    if (file.kind !== 'tap') throw systemError('ENOTTY', 25, syscall);
    if (this.#taps.get(file.device.name) !== file.device) throw systemError('EBADFD', EBADFD, syscall);
    return file.device;
  }

  #get(fd: number): OpenFile {
    const descriptor = this.#descriptors.get(fd);
    if (descriptor === undefined) throw systemError('EBADF', 9, 'descriptor');
    return descriptor;
  }
}
