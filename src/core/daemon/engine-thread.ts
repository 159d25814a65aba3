// The engine as a thread: starts it, carries messages to it and back, and says when it has ended.
import { MessageChannel, Worker } from 'node:worker_threads';
import { OverlayError } from '@overlayadm/api';
import type { PacketIo } from '@overlayadm/packetio';
import type { CallResult, EngineCall, EngineLink, FromEngine, ToEngine } from '../engine/messages.ts';
import type { EngineWorkerData } from '../engine/worker.ts';

export interface RunningEngine extends EngineLink {
  /** Settles when the engine has ended of itself: with what killed it. Never after stop(). */
  readonly failed: Promise<Error>;
  /** Every call is answered or fails before this settles. */
  stop(): Promise<void>;
}

/** `receive` is called for everything but the answers to calls. */
export type StartEngine = (receive: (message: Exclude<FromEngine, { readonly op: 'done' }>) => void) => RunningEngine;

type Done = Extract<FromEngine, { readonly op: 'done' }>;

interface Waiting {
  resolve(result: CallResult): void;
  reject(error: Error): void;
}

/** Calls that wait for their answer, by number. */
export class Calls {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #over: Error | undefined;

  /** Sends what `message` makes of the call's number. */
  begin(send: (call: number) => void): Promise<CallResult> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const call = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      send(call);
    });
  }

  done({ call, result, failure }: Done): void {
    const waiting = this.#waiting.get(call);
    this.#waiting.delete(call);
    if (failure === undefined) waiting?.resolve(result);
    else waiting?.reject(engineRefused(failure));
  }

  /** No answer will come any more. */
  fail(error: Error): void {
    this.#over = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const engineRefused = (failure: string): OverlayError =>
  new OverlayError('ENGINE_REFUSED', `the packet engine cannot open it (${failure})`, {
    details: { failure },
    advice: 'The other overlays go on; see the log of overlayd, and try again.',
  });

const engineGone = (cause?: unknown): OverlayError =>
  new OverlayError('ENGINE_GONE', 'the packet engine has ended', { advice: 'See the log of overlayd; the next command starts it again.', cause });

export function startEngineThread(io: Pick<PacketIo, 'openWake' | 'wake' | 'close'>): StartEngine {
  return (receive) => {
    const wake = io.openWake();
    const { port1, port2 } = new MessageChannel();
    const workerData: EngineWorkerData = { port: port2, wake };
    const worker = new Worker(new URL('../engine/worker.js', import.meta.url), { workerData, transferList: [port2], name: 'engine' });
    const calls = new Calls();
    let stopping = false;
    let closed = false;
    // From the start: an engine that dies of itself has said so long before stop() could begin to listen.
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    port1.on('message', (message: FromEngine) => (message.op === 'done' ? calls.done(message) : receive(message)));
    const failed = new Promise<Error>((resolve) => {
      const end = (cause: unknown): void => {
        calls.fail(engineGone(cause));
        if (!stopping) resolve(cause instanceof Error ? cause : new Error(String(cause)));
      };
      worker.once('error', end);
      worker.once('exit', (status) => end(new Error(`the engine thread ended with status ${status}`)));
    });
    const send = (message: ToEngine): void => {
      // The number of the wake descriptor may be somebody else's by now.
      if (closed) throw engineGone();
      port1.postMessage(message);
      io.wake(wake);
    };
    const call = (message: EngineCall): Promise<CallResult> => calls.begin((number) => send({ ...message, call: number } as ToEngine));
    async function stop(): Promise<void> {
      stopping = true;
      await call({ op: 'stop' }).catch(() => undefined);
      await worker.terminate();
      await exited;
      closed = true;
      calls.fail(engineGone());
      port1.close();
      io.close(wake);
    }
    return { send, call, failed, stop };
  };
}
