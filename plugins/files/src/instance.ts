// One overlay's mappings at run time: reads the file at start, answers from memory, and follows changes of the file.
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type Destination,
  type DestinationField,
  type DynamicInstance,
  type IpAddress,
  type LookupAnswer,
  type LookupHost,
  type LookupRequest,
  type MacAddress,
  messageOf,
  OverlayError,
  type ResolvedAddress,
} from '@overlayadm/api';
import { differences, type MappingProblem, type Mappings, type MappingsReading, readMappings } from './mappings.ts';

/** Pause before a file that could not be read is tried again. Long enough not to matter, short enough for who repairs it. */
export const RETRY_MS = 1_000;

/**
 * Changes that are told before a pause, and the pause. Each is a message to overlayd, behind which the answers to the questions
 * of others wait: without a pause 100,000 of them held these up for more than a second, with it for less than 0.2 s.
 */
export const CHANGES_PER_TURN = 256;
export const TURN_MS = 5;

const NO_MAPPINGS: Mappings = { entries: new Map(), owners: new Map() };
const KEPT = 'the mappings that were read before stay in use';

/** "line 7, de:ad:be:ef:00:01: 'ip' has to be an IP address of a host" */
function describeProblem({ line, mac, problem }: MappingProblem): string {
  return mac === undefined ? `line ${line}: ${problem}` : `line ${line}, ${mac}: ${problem}`;
}

const aborted = (signal: AbortSignal): OverlayError =>
  new OverlayError('FILES_ABORTED', 'files/config: reading was given up', { cause: signal.reason });

/** Settles with the promise, or rejects as soon as the signal aborts. What the promise does later is not looked at. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const given = Promise.withResolvers<never>();
  const abort = (): void => given.reject(aborted(signal));
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, given.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

export class FilesInstance implements DynamicInstance {
  readonly mode = 'dynamic';
  readonly #needs: readonly DestinationField[];
  readonly #path: string;
  readonly #host: LookupHost;
  readonly #ended = new AbortController();
  #mappings = NO_MAPPINGS;
  #contents: AsyncIterator<Uint8Array> | undefined;
  #following: Promise<void> | undefined;
  /** Why the overlay is degraded because of this file. */
  #trouble: string | undefined;

  constructor(needs: readonly DestinationField[], path: string, host: LookupHost) {
    this.#needs = needs;
    this.#path = path;
    this.#host = host;
  }

  /** @throws OverlayError FILES_INVALID, FILES_UNREADABLE or FILES_ABORTED */
  async start(signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#ended.signal]);
    const reading = await this.#read(await this.#next(either), either);
    if (reading === undefined) throw aborted(either);
    if (reading.kind === 'error') throw this.#invalid(reading);
    this.#mappings = reading.mappings;
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    this.#closeContents();
    await this.#following;
  }

  async lookup(request: LookupRequest): Promise<LookupAnswer> {
    const destination = this.#destination(request.to);
    return destination === undefined ? { kind: 'drop', reason: 'files.no-entry' } : { kind: 'found', destination };
  }

  async resolve(ip: IpAddress): Promise<ResolvedAddress | undefined> {
    const mac = this.#mappings.owners.get(ip);
    const destination = mac === undefined ? undefined : this.#destination(mac);
    return mac === undefined || destination === undefined ? undefined : { mac, destination };
  }

  async dhcpServer(client: MacAddress): Promise<MacAddress | undefined> {
    return this.#mappings.entries.get(client)?.dhcpProxy;
  }

  #destination(mac: MacAddress): Destination | undefined {
    return this.#mappings.entries.get(mac)?.destination;
  }

  /** The next contents of the file. @throws OverlayError FILES_UNREADABLE, or FILES_ABORTED */
  async #next(signal: AbortSignal): Promise<Uint8Array> {
    try {
      this.#contents ??= this.#host.file('config')[Symbol.asyncIterator]();
      const result = await unlessAborted(this.#contents.next(), signal);
      if (result.done !== true) return result.value;
      throw new Error('the host gives no contents');
    } catch (error) {
      this.#closeContents();
      if (OverlayError.is(error) && error.code === 'FILES_ABORTED') throw error;
      throw this.#unreadable(error);
    }
  }

  /** Not waited for: an iteration that waits for a change may not settle before the host is gone. */
  #closeContents(): void {
    const contents = this.#contents;
    this.#contents = undefined;
    contents?.return?.().catch(() => {});
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        const bytes = await this.#next(signal);
        await this.#apply(bytes, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#degrade(messageOf(error));
        await this.#host.clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
  }

  /** Undefined when the signal aborts before the end. Whoever asks meanwhile is answered in between, from what was read before. */
  async #read(bytes: Uint8Array, signal: AbortSignal): Promise<MappingsReading | undefined> {
    const steps = readMappings(bytes, this.#needs, this.#host.usualPort);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      await nextTurn();
      if (signal.aborted) return undefined;
    }
  }

  async #apply(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const reading = await this.#read(bytes, signal);
    if (reading === undefined || signal.aborted) return;
    if (reading.kind === 'ok') await this.#swap(reading.mappings, signal);
    else this.#degrade(this.#invalid(reading).message);
  }

  async #swap(mappings: Mappings, signal: AbortSignal): Promise<void> {
    const { set, removed, moved } = differences(this.#mappings, mappings);
    this.#mappings = mappings;
    // An answer that was given in this turn leaves the host in the next one. Told before it, the news would be overwritten by it.
    for (let turn = 0; turn < 2; turn++) await nextTurn();
    // Destinations are not put into the cache: which of them this host uses, and which are its own, overlayd knows when it asks.
    await this.#inTurns([...set, ...removed], signal, (mac) => this.#host.invalidateTarget(mac));
    await this.#inTurns(moved, signal, ({ ip, mac }) => this.#host.announce(ip, mac));
    if (signal.aborted) return;
    this.#host.log.info('files/config was read again', { path: this.#path, set: set.length, removed: removed.length, moved: moved.length });
    if (this.#trouble !== undefined) this.#host.restore();
    this.#trouble = undefined;
  }

  async #inTurns<T>(changes: readonly T[], signal: AbortSignal, tell: (change: T) => void): Promise<void> {
    for (let at = 0; at < changes.length && !signal.aborted; at += CHANGES_PER_TURN) {
      if (at > 0) await this.#host.clock.sleep(TURN_MS, signal).catch(() => {});
      if (!signal.aborted) changes.slice(at, at + CHANGES_PER_TURN).forEach(tell);
    }
  }

  #degrade(reason: string): void {
    // A file that stays unreadable is tried again and again; the same news is told once.
    if (reason !== this.#trouble) this.#host.degrade(`${reason}; ${KEPT}`);
    this.#trouble = reason;
  }

  #invalid({ line, mac, problem }: MappingProblem): OverlayError {
    return new OverlayError('FILES_INVALID', `files/config: ${this.#path}, ${describeProblem({ line, problem, ...(mac && { mac }) })}`, {
      details: { property: 'files/config', path: this.#path, line, ...(mac && { mac }), problem },
      advice: 'Correct the file; overlay_files(5) describes its format.',
    });
  }

  #unreadable(cause: unknown): OverlayError {
    return new OverlayError('FILES_UNREADABLE', `files/config: ${this.#path} cannot be read (${whyOf(cause)})`, {
      details: { property: 'files/config', path: this.#path },
      advice: (OverlayError.is(cause) ? cause.advice : undefined) ?? 'It has to be a regular file that the user who set the property can read.',
      cause,
    });
  }
}

/** The bare reason: the message of the host's own error names the path once more. */
function whyOf(cause: unknown): string {
  const why = OverlayError.is(cause) ? cause.details.why : undefined;
  return typeof why === 'string' ? why : messageOf(cause);
}
