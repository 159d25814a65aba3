// The engine: turn by turn it takes messages from the daemon and frames from TAPs and sockets. It never waits but in the kernel.
import { messageOf } from '@overlayadm/api';
import type { PacketIo } from '@overlayadm/packetio';
import {
  LOOKS_PER_TURN,
  MAX_ENGINE_WAIT_MS,
  MAX_MESSAGES_PER_TURN,
  MAX_PAGE_ROWS,
  MAX_TARGETS_PER_OVERLAY,
  NETLINK_BUFFER_BYTES,
  ROW_READS_PER_TURN,
} from '../util/limits.ts';
import { FramePool } from './frame-pool.ts';
import { errnoOf, KernelRows, type RowPort } from './kernel-rows.ts';
import { Memory } from './memory.ts';
import type { CallResult, FromEngine, KernelLink, MuxSpec, PortSpec, ToEngine, WireDestination } from './messages.ts';
import { Mux } from './mux.ts';
import { Outbox } from './outbox.ts';
import { type EngineParts, Port } from './port.ts';
import { Requests } from './requests.ts';
import type { RowMirror } from './row-mirror.ts';
import { exportTargets } from './target-snapshot.ts';

/** Token of the wake descriptor; ports and muxes get the numbers above. */
const WAKE_TOKEN = 0;
/** Most descriptors that one wait reports; the others come with the next. */
const MAX_READY = 64;

/** How the engine reaches the daemon. */
export interface EngineDoor {
  readonly io: PacketIo;
  /** eventfd that the daemon wakes after it has posted. */
  readonly wake: number;
  /** 32 random bits, drawn for this engine: guests must not foresee where their targets come to lie. */
  readonly seed?: number;
  /** Monotonic ms, asked once a turn. */
  now(): number;
  /** The next message of the daemon, undefined when there is none. */
  take(): ToEngine | undefined;
  post(message: FromEngine, transfer: ArrayBuffer[]): void;
}

/** What a descriptor is read for. */
interface Source {
  readonly fd: number;
  serve(): void;
}

export class Engine {
  readonly #door: EngineDoor;
  readonly #memory: Memory;
  readonly #parts: EngineParts;
  readonly #outbox: Outbox;
  readonly #requests: Requests;
  readonly #poll: number;
  readonly #ready = new Uint32Array(MAX_READY);
  readonly #ports = new Map<number, Port>();
  readonly #muxes = new Map<number, Mux>();
  /** By token. */
  readonly #sources = new Map<number, Source>();
  readonly #tokens = new Map<object | string, number>();
  readonly #rows: KernelRows;
  readonly #rowPorts = new Map<Port, RowPort>();
  readonly #noticed = new Uint8Array(NETLINK_BUFFER_BYTES);
  #lastToken = WAKE_TOKEN;
  #now = 0;
  #messagesLeft = false;
  #stopCall: number | undefined;
  #stopped = false;

  constructor(door: EngineDoor, memory = new Memory()) {
    this.#door = door;
    this.#memory = memory;
    this.#outbox = new Outbox(door.post);
    this.#requests = new Requests(this.#outbox);
    this.#poll = door.io.openPoll();
    door.io.pollAdd(this.#poll, door.wake, WAKE_TOKEN);
    this.#parts = {
      wire: { io: door.io, arena: memory.arena },
      memory,
      pool: new FramePool(memory.pool),
      outbox: this.#outbox,
      requests: this.#requests,
      seed: door.seed ?? 0,
      flush: () => this.#flush(),
    };
    this.#rows = new KernelRows({
      io: door.io,
      watch: (socket, ready) => this.#watch(`netlink ${socket}`, socket, ready),
      unwatch: (socket) => this.#unwatch(`netlink ${socket}`),
      now: () => this.#now,
    });
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** What frames and requests hold just now: nothing of it may be left when every overlay is closed. */
  get held(): { readonly poolBlocks: number; readonly requests: number } {
    return { poolBlocks: this.#parts.pool.usedBlocks, requests: this.#requests.size };
  }

  /** One turn. Waits at most `waitMs` for something to do. */
  turn(waitMs = MAX_ENGINE_WAIT_MS): void {
    const ready = this.#door.io.wait(this.#poll, this.#ready, this.#messagesLeft || this.#rows.isBusy ? 0 : waitMs);
    this.#now = this.#door.now();
    // Before the messages: a wake taken after them might be that of one that has just come, which would then wait for the next.
    for (let i = 0; i < ready; i++) if (this.#ready[i] === WAKE_TOKEN) this.#door.io.drainWake(this.#door.wake);
    this.#takeMessages();
    // One that is missing was the wake, or was closed by a message of this very turn.
    for (let i = 0; i < ready; i++) this.#sources.get(this.#ready[i] as number)?.serve();
    this.#rows.turn();
    for (const port of this.#ports.values()) port.cache.expire(this.#now);
    this.#outbox.flush();
    if (this.#stopCall !== undefined) this.#stop(this.#stopCall);
  }

  /** Answered last of all: with the answer the thread may end. Sockets and TAPs are the daemon's; what the engine has opened itself goes. */
  #stop(call: number): void {
    this.#stopped = true;
    this.#rows.stop();
    this.#door.io.close(this.#poll);
    this.#done(call, undefined);
  }

  #takeMessages(): void {
    let taken = 0;
    for (; taken < MAX_MESSAGES_PER_TURN; taken++) {
      const message = this.#door.take();
      if (message === undefined) break;
      this.#handle(message);
    }
    this.#messagesLeft = taken === MAX_MESSAGES_PER_TURN;
    this.#flush();
  }

  #readTap(port: Port): void {
    const errno = -port.readTap(this.#now);
    if (errno <= 0) return;
    // Read again, a TAP that is gone would report its error for ever.
    this.#unwatch(port);
    this.#outbox.post({ op: 'tapFailed', port: port.id, errno });
  }

  #flush(): void {
    for (const mux of this.#muxes.values()) mux.sender.flush(this.#now);
    this.#memory.freeSlots();
  }

  #handle(message: ToEngine): void {
    switch (message.op) {
      case 'openMux':
        return this.#open(message.call, () => this.#openMux(message.spec));
      case 'closeMux':
        return this.#closeMux(message.call, message.mux);
      case 'openPort':
        return this.#open(message.call, () => this.#openPort(message.spec));
      case 'closePort':
        return this.#closePort(message.call, message.port);
      case 'readMux':
        return this.#open(message.call, () => this.#readMux(message.mux));
      case 'holdMux':
        return this.#holdMux(message.call, message.mux);
      case 'watch':
        return this.#open(message.call, () => this.#watchNotices(message.notice, message.socket));
      case 'unwatch':
        this.#unwatch(`notice ${message.notice}`);
        return this.#done(message.call, undefined);
      case 'cacheChanged':
        return this.#cacheChanged(message.call);
      case 'answers':
        for (const answer of message.answers) this.#requests.answer(answer, this.#now);
        return;
      case 'stop':
        this.#stopCall = message.call;
        return;
      default:
        return this.#handleForPort(message);
    }
  }

  /** Operations on an overlay. One that is gone has no cache and no counters, so its calls are answered with undefined. */
  #handleForPort(message: Extract<ToEngine, { readonly port: number }>): void {
    const port = this.#ports.get(message.port);
    if (port === undefined) return 'call' in message ? this.#done(message.call, undefined) : undefined;
    switch (message.op) {
      case 'inject':
        return port.inject(message.frame);
      case 'resend':
        return port.resend(message.frame, this.#now);
      case 'cacheSet':
        return port.cache.set(message.mac, message.to, message.fixed, this.#now);
      case 'cacheRemove':
        return this.#done(message.call, port.cache.invalidate(message.mac, this.#now));
      case 'cacheInvalidate':
        return port.cache.withdraw(message.mac, this.#now);
      case 'cacheGet':
        return this.#done(message.call, port.cache.get(message.mac));
      case 'cacheFlush':
        port.cache.flush(this.#now);
        return this.#done(message.call, true);
      case 'cacheOutdated':
        return port.cache.outdate(this.#now);
      case 'cacheIterate':
        return this.#done(message.call, port.cache.page(message.after, Math.min(message.count, MAX_PAGE_ROWS)));
      case 'destinations':
        return this.#done(message.call, port.cache.destinations());
      case 'cacheExport':
        return this.#done(message.call, exportTargets(port.cache.table, message.from, message.count));
      case 'counters':
        return this.#done(message.call, { ...this.#muxes.get(port.mux)?.count(), ...port.counters.read() });
      case 'setMtu':
        port.mtu = message.mtu;
        return;
      case 'setPoint':
        return this.#setPoint(port, message.point);
      case 'reportAgain':
        return port.mirror?.reportAgain();
      case 'movePort':
        return this.#open(message.call, () => this.#movePort(port, message.mux, message.kernel));
    }
  }

  #done(call: number, result: CallResult): void {
    this.#outbox.post({ op: 'done', call, result });
  }

  /** What one overlay cannot have must not cost the others their engine: the daemon is told, and undoes the rest. */
  #open(call: number, open: () => void): void {
    try {
      open();
    } catch (error) {
      return this.#outbox.post({ op: 'done', call, result: undefined, failure: messageOf(error) });
    }
    this.#done(call, undefined);
  }

  #openMux(spec: MuxSpec): void {
    const mux = new Mux(spec, this.#parts.wire, this.#memory);
    if (spec.unread !== true) this.#watchMux(mux);
    this.#muxes.set(spec.mux, mux);
  }

  #readMux(id: number): void {
    const mux = this.#muxes.get(id);
    if (mux !== undefined && !this.#tokens.has(mux)) this.#watchMux(mux);
  }

  #watchMux(mux: Mux): void {
    this.#watch(mux, mux.spec.socket, () => void mux.receive(this.#now));
  }

  /** What is read is thrown away: the daemon looks for itself. */
  #watchNotices(notice: number, socket: number): void {
    this.#watch(`notice ${notice}`, socket, () => {
      for (let reads = 0; reads < ROW_READS_PER_TURN; reads++) if (!this.#hasNotice(socket)) break;
      this.#outbox.post({ op: 'notice', notice });
    });
  }

  /** Some that were lost are one too. */
  #hasNotice(socket: number): boolean {
    try {
      return this.#door.io.netlinkReceive(socket, this.#noticed) > 0;
    } catch {
      return true;
    }
  }

  #closeMux(call: number, id: number): void {
    const mux = this.#muxes.get(id);
    if (mux !== undefined) {
      this.#flush();
      this.#unwatch(mux);
      this.#muxes.delete(id);
    }
    this.#done(call, undefined);
  }

  /** Without it frames would be read, and lost, between the end of a port and that of the mux it shares with others. */
  #holdMux(call: number, id: number): void {
    const mux = this.#muxes.get(id);
    if (mux !== undefined) {
      this.#unwatch(mux);
      for (const port of mux.ports) this.#unwatch(port);
    }
    this.#done(call, undefined);
  }

  #cacheChanged(call: number): void {
    const changed = [...this.#ports.values()].filter(({ cache }) => cache.changed);
    for (const { cache } of changed) cache.changed = false;
    this.#done(
      call,
      changed.map(({ id }) => id),
    );
  }

  #movePort(port: Port, id: number, kernel: KernelLink | undefined): void {
    const mux = this.#mux(port.id, id);
    this.#flush();
    const before = this.#muxes.get(port.mux);
    const rowPort = this.#rowPorts.get(port);
    if (kernel !== undefined && rowPort !== undefined) {
      if (before?.spec.punt !== undefined) mux.allow(before.spec.punt.source);
      this.#rows.relink(rowPort, kernel);
      // What was punted before the link was told where to from now on.
      for (let looks = 0; looks < LOOKS_PER_TURN && (before?.receive(this.#now) ?? 0) > 0; looks++);
    }
    before?.leave(port);
    port.move(id, mux.sender);
    mux.join(port);
  }

  #setPoint(port: Port, point: WireDestination): void {
    port.setPoint(point);
    const rowPort = this.#rowPorts.get(port);
    if (rowPort === undefined) return;
    try {
      this.#rows.relink(rowPort, { ...rowPort.mirror.link, fallback: point });
    } catch (error) {
      this.#outbox.post({ op: 'rowsRefused', port: port.id, errno: errnoOf(error) });
    }
  }

  #mux(port: number, id: number): Mux {
    const mux = this.#muxes.get(id);
    if (mux === undefined) throw new RangeError(`port ${port} names mux ${id}, which is not open`);
    return mux;
  }

  #openPort(spec: PortSpec): void {
    const mux = this.#mux(spec.port, spec.mux);
    const port = new Port(spec, mux.spec.format, mux.sender, this.#parts);
    if (port.mirror !== undefined) this.#openRows(port, port.mirror, spec.rows?.fallbacks);
    if (spec.tap !== undefined) this.#watch(port, spec.tap, () => this.#readTap(port));
    this.#ports.set(spec.port, port);
    mux.join(port);
  }

  #openRows(port: Port, mirror: RowMirror, stale: readonly WireDestination[] | undefined): void {
    const isWatched = (mux: Mux | undefined): boolean => mux !== undefined && this.#tokens.has(mux);
    const mux = (): Mux | undefined => this.#muxes.get(port.mux);
    const rowPort: RowPort = {
      mirror,
      get punt() {
        return mux();
      },
      get isRead() {
        return isWatched(mux());
      },
      get fullness() {
        return port.cache.validEntries / MAX_TARGETS_PER_OVERLAY;
      },
      takePunted: () => mux()?.receive(this.#now) ?? 0,
    };
    this.#rows.open(rowPort, stale);
    this.#rowPorts.set(port, rowPort);
  }

  #closePort(call: number, id: number): void {
    const port = this.#ports.get(id);
    if (port !== undefined) {
      port.teardown(this.#now);
      this.#flush();
      this.#unwatch(port);
      const rowPort = this.#rowPorts.get(port);
      if (rowPort !== undefined) this.#rows.close(rowPort);
      this.#rowPorts.delete(port);
      this.#muxes.get(port.mux)?.leave(port);
      this.#ports.delete(id);
    }
    this.#done(call, port?.counters.read());
  }

  /** `key`: what unwatch() names. */
  #watch(key: object | string, fd: number, serve: () => void): void {
    const token = ++this.#lastToken;
    this.#door.io.pollAdd(this.#poll, fd, token);
    this.#sources.set(token, { fd, serve });
    this.#tokens.set(key, token);
  }

  #unwatch(key: object | string): void {
    const token = this.#tokens.get(key);
    if (token === undefined) return;
    const source = this.#sources.get(token);
    this.#tokens.delete(key);
    this.#sources.delete(token);
    if (source !== undefined) this.#door.io.pollRemove(this.#poll, source.fd);
  }
}
