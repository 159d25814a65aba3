// One running plugin host as overlayd sees it: calls with a time bound, heartbeat, and one end with a reason.
import { OverlayError } from '@overlayadm/api';
import { LineStream } from '../rpc/framing.ts';
import type { Clock, Timer } from '../util/clock.ts';
import { FAIR_ASKS, HOST_CALL_TIMEOUT_MS, HOST_KILL_MS, HOST_MISSED_PINGS, HOST_PING_INTERVAL_MS, MAX_HOST_UNREAD_BYTES } from '../util/limits.ts';
import {
  type Call,
  type CallBody,
  type CallType,
  checkFromHost,
  errorOf,
  type FromHost,
  type Reply,
  type Report,
  type ToHost,
} from '../varpd/protocol.ts';
import type { HostProcess } from './host-process.ts';

export interface LinkEvents {
  /** @returns what is wrong with the report, which ends the host */
  report(report: Report): string | undefined;
  /** Once, unless end() was called. Every call has failed by then. */
  down(reason: string): void;
}

/** Somebody with questions for this host. */
export interface AskSource {
  /** The next of them for this host, at most `most`; undefined when there are none. */
  nextAsks(most: number, link: HostLink): ToHost | undefined;
}

interface Waiting {
  readonly type: Reply['type'];
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: OverlayError) => void;
  readonly timer: Timer;
}

const REPLIES = { describe: 'described', refuse: 'refused', socket: 'bound', create: 'created' } as const satisfies Readonly<
  Record<Call['type'], Reply['type']>
>;

export type ReplyTo<T extends CallType> = Extract<Reply, { readonly type: (typeof REPLIES)[T] }>;

export class HostLink {
  readonly pid: number | undefined;
  /** Settles when the modules are imported. @throws OverlayError PLUGIN_FAILED */
  readonly ready: Promise<void>;
  readonly #name: string;
  readonly #process: HostProcess;
  readonly #clock: Clock;
  readonly #events: LinkEvents;
  readonly #lines: LineStream;
  readonly #waiting = new Map<number, Waiting>();
  readonly #becameReady = Promise.withResolvers<void>();
  #turn: Promise<void> = Promise.resolve();
  readonly #sources = new Set<AskSource>();
  #asking = false;
  #nextCall = 0;
  #missed = 0;
  #heartbeat: Timer | undefined;
  #over = false;

  /** `name`: the package, for texts. */
  constructor(name: string, process: HostProcess, clock: Clock, events: LinkEvents) {
    this.#name = name;
    this.pid = process.pid;
    this.#process = process;
    this.#clock = clock;
    this.#events = events;
    this.ready = this.#becameReady.promise;
    // Whoever waits for it hears of it; nobody has to.
    this.ready.catch(() => {});
    let isBroken = false;
    // Before the lines are listened to, which end with the same error.
    process.stream.once('error', () => {
      isBroken = true;
    });
    this.#lines = new LineStream(process.stream, {
      message: (message) => this.#received(message),
      // A channel that is closed, or cannot be written (EPIPE), is most often a process that ended: it can say better how.
      closed: (reason) => (reason === undefined || isBroken ? process.kill() : this.#fail(`its channel broke: ${reason}`)),
    });
    process.exited.then((how) => this.#fail(how));
    this.#heartbeat = clock.after(HOST_CALL_TIMEOUT_MS, () => this.#fail(`it was not ready after ${HOST_CALL_TIMEOUT_MS} ms`));
  }

  /** @throws OverlayError PLUGIN_FAILED when the host ends or does not answer in time, or what the host reports. */
  async call<T extends CallType>(type: T, body: CallBody<T>): Promise<ReplyTo<T>> {
    await this.ready;
    if (this.#over) throw this.#failure('it has ended');
    const call = this.#nextCall++;
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const timer = this.#clock.after(HOST_CALL_TIMEOUT_MS, () => {
      this.#waiting.delete(call);
      reject(this.#failure(`no answer to ${type} within ${HOST_CALL_TIMEOUT_MS} ms`));
    });
    this.#waiting.set(call, { type: REPLIES[type], resolve, reject, timer });
    this.send({ ...body, type, call } as unknown as Call);
    return (await promise) as ReplyTo<T>;
  }

  send(message: ToHost): void {
    if (this.#over) return;
    this.#lines.send(message);
    // Not at once: whoever sends is in the middle of something, and does not expect the host to end under it.
    if (this.#lines.backlogBytes > MAX_HOST_UNREAD_BYTES)
      queueMicrotask(() => this.#fail(`it does not read: ${MAX_HOST_UNREAD_BYTES} bytes wait for it`));
  }

  /**
   * For those who send much: messages sent so go one after the other, each when the host has taken the one before, so that
   * one at a time is in memory, whoever sends. `make` gives undefined when there is nothing to send any more. Settles when
   * the host has taken it, or has ended.
   */
  sendInTurn(make: () => ToHost | undefined): Promise<void> {
    const sent = this.#turn.then(() => {
      const message = make();
      if (message !== undefined) this.send(message);
      return this.#lines.drained();
    });
    this.#turn = sent.catch(() => {});
    return sent;
  }

  /**
   * Asks what `source` has to ask. Sources take turns, FAIR_ASKS at a time, and only as fast as the host reads: one that
   * asks for thousands of targets a second takes its own share of the host and not that of the others.
   */
  askInTurn(source: AskSource): void {
    this.#sources.add(source);
    if (this.#asking) return;
    this.#asking = true;
    queueMicrotask(() => void this.#askAll());
  }

  async #askAll(): Promise<void> {
    while (this.#sources.size > 0 && !this.#over) {
      for (const source of this.#sources) {
        const message = source.nextAsks(FAIR_ASKS, this);
        if (message === undefined) this.#sources.delete(source);
        else this.send(message);
      }
      await this.#lines.drained();
    }
    this.#asking = false;
  }

  /** Lets the host stop its instances and end; it is killed when that takes long. Settles when it is gone. */
  async end(): Promise<void> {
    if (!this.#over) {
      this.#close(this.#failure('it was ended'));
      this.#lines.end();
    }
    const timer = this.#clock.after(HOST_KILL_MS, () => this.#process.kill());
    await this.#process.exited;
    timer.cancel();
  }

  #failure(reason: string): OverlayError {
    return new OverlayError('PLUGIN_FAILED', `plugin ${this.#name}: ${reason}`, {
      details: { package: this.#name, reason },
      advice: "The log of overlayd has what its plugin host wrote; update or remove the plugin's package.",
    });
  }

  #fail(reason: string): void {
    if (this.#over) return;
    this.#close(this.#failure(`its host failed (${reason})`));
    this.#process.kill();
    this.#lines.destroy();
    this.#events.down(reason);
  }

  #close(error: OverlayError): void {
    this.#over = true;
    this.#heartbeat?.cancel();
    this.#becameReady.reject(error);
    for (const { reject, timer } of this.#waiting.values()) {
      timer.cancel();
      reject(error);
    }
    this.#waiting.clear();
  }

  #received(input: Readonly<Record<string, unknown>>): void {
    this.#missed = 0;
    const checked = checkFromHost(input);
    const wrong = checked.ok ? this.#take(checked.value) : `it sent what it should not: ${checked.reason}`;
    if (wrong !== undefined) this.#fail(wrong);
  }

  #take(message: FromHost): string | undefined {
    if (message.type === 'pong') return undefined;
    if (message.type === 'ready') {
      this.#becameReady.resolve();
      this.#heartbeat?.cancel();
      this.#heartbeat = this.#clock.every(HOST_PING_INTERVAL_MS, () => this.#beat());
      return undefined;
    }
    return 'call' in message ? this.#reply(message) : this.#events.report(message);
  }

  #reply(reply: Reply): string | undefined {
    const waiting = this.#waiting.get(reply.call);
    // Late: the call was given up.
    if (waiting === undefined) return undefined;
    if (reply.type !== 'failed' && reply.type !== waiting.type) return `it answered ${reply.type} where ${waiting.type} was asked`;
    this.#waiting.delete(reply.call);
    waiting.timer.cancel();
    if (reply.type === 'failed') waiting.reject(errorOf(reply.error));
    else waiting.resolve(reply);
    return undefined;
  }

  #beat(): void {
    if (this.#missed >= HOST_MISSED_PINGS) return this.#fail(`it hangs: nothing heard for ${HOST_MISSED_PINGS} pings`);
    this.#missed++;
    this.send({ type: 'ping' });
  }
}
