// One overlay's mappings at run time: reads the file at start, answers from memory, and follows changes of the file.
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
import { differences, type MappingProblem, type Mappings, parseMappings } from './mappings.ts';

/** Pause before a file that could not be read is tried again. Long enough not to matter, short enough for who repairs it. */
export const RETRY_MS = 1_000;

const NO_MAPPINGS: Mappings = { entries: new Map(), owners: new Map() };
const KEPT = 'the mappings that were read before stay in use';

/** "line 7, de:ad:be:ef:00:01: 'ip' has to be an IP address of a host" */
function describeProblem({ line, mac, problem }: MappingProblem): string {
  return mac === undefined ? `line ${line}: ${problem}` : `line ${line}, ${mac}: ${problem}`;
}

/** Settles with the promise, or rejects as soon as the signal aborts. What the promise does later is not looked at. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(new OverlayError('FILES_ABORTED', 'files/config: reading was given up', { cause: signal.reason }));
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, aborted.promise]);
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
    const bytes = await this.#next(AbortSignal.any([signal, this.#ended.signal]));
    const reading = parseMappings(bytes, this.#needs, this.#host.usualPort);
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
        if (!signal.aborted) this.#apply(bytes);
      } catch (error) {
        if (signal.aborted) return;
        this.#degrade(messageOf(error));
        await this.#host.clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
  }

  #apply(bytes: Uint8Array): void {
    const reading = parseMappings(bytes, this.#needs, this.#host.usualPort);
    if (reading.kind === 'ok') this.#swap(reading.mappings);
    else this.#degrade(this.#invalid(reading).message);
  }

  #swap(mappings: Mappings): void {
    const { set, removed, moved } = differences(this.#mappings, mappings);
    this.#mappings = mappings;
    for (const { mac, destination } of set) this.#host.setTarget(mac, destination);
    for (const mac of removed) this.#host.invalidateTarget(mac);
    for (const { ip, mac } of moved) this.#host.announce(ip, mac);
    this.#host.log.info('files/config was read again', { path: this.#path, set: set.length, removed: removed.length, moved: moved.length });
    if (this.#trouble !== undefined) this.#host.restore();
    this.#trouble = undefined;
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
