// One life of a lookup instance in one plugin host: the files and addresses it follows there, and what it says before it takes over.
import { createHash } from 'node:crypto';
import { type LocalAddress, OverlayError } from '@overlayadm/api';
import type { Clock } from '../util/clock.ts';
import { FILE_CHUNK_BYTES, MAX_OPEN_FILES } from '../util/limits.ts';
import { type Failure, failureOf, type Report } from '../varpd/protocol.ts';
import { AddressWatch } from './address-watch.ts';
import { type FileAccess, type Following, followFile } from './files.ts';
import type { HostLink } from './host-link.ts';
import type { InstanceSpec, Setter } from './types.ts';

export interface SessionParts {
  readonly id: number;
  readonly spec: InstanceSpec;
  readonly link: HostLink;
  readonly files: FileAccess;
  readonly clock: Clock;
  /** Counts reports that wait; undefined where none has to. False when there are too many. */
  readonly stage: ((weight: number) => boolean) | undefined;
  /** Files of all lives that are closed, but still read; they count, or opening and closing would start any number of reads. */
  readonly closing: Set<Following>;
  /** This host is given contents with this digest; `isFirst`: its first of this property. */
  given(property: string, digest: string, isFirst: boolean): void;
  warn(text: string): void;
}

type Opened = { readonly path: string; readonly setter: Setter };

export class InstanceSession {
  readonly link: HostLink;
  /** What each path property's file held when this host was last given it. */
  readonly digests = new Map<string, string>();
  readonly #parts: SessionParts;
  readonly #files = new Map<number, Following>();
  readonly #addresses: AddressWatch;
  #staged: Report[] = [];

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.link = parts.link;
    const { clock, spec } = parts;
    this.#addresses = new AddressWatch({ clock, list: () => spec.localAddresses(), warn: (text) => parts.warn(text) });
  }

  /** Until it takes over, what it says of targets and of its health waits. */
  get isStaged(): boolean {
    return this.#parts.stage !== undefined;
  }

  /** @returns what is wrong */
  hold(report: Report): string | undefined {
    const weight = 1 + (report.type === 'announce' ? (report.toMacs?.length ?? 0) : 0);
    if (this.#parts.stage?.(weight) === false) return 'it reports too much before it takes over';
    this.#staged.push(report);
    return undefined;
  }

  /** What was held, once. */
  held(): readonly Report[] {
    const staged = this.#staged;
    this.#staged = [];
    return staged;
  }

  close(): void {
    for (const file of [...this.#files.keys()]) this.closeFile(file);
    this.#addresses.close();
    this.#staged = [];
  }

  watchAddresses(): void {
    this.#addresses.open((addresses) => this.#sendAddresses(addresses));
  }

  unwatchAddresses(): void {
    this.#addresses.close();
  }

  /** @returns what is wrong with the report that asks for it */
  openFile(file: number, property: string): string | undefined {
    const { files, clock, closing } = this.#parts;
    if (this.#files.has(file)) return `it opened file ${file} twice`;
    for (const following of closing) if (!following.isBusy) closing.delete(following);
    const tooMany = this.#files.size + closing.size >= MAX_OPEN_FILES;
    const opened = tooMany ? `${MAX_OPEN_FILES} files are open already` : this.#mayOpen(property);
    if (typeof opened === 'string') {
      this.#refuse(file, new OverlayError('FILE_UNREADABLE', `${property}: ${opened}`));
      return undefined;
    }
    const following = followFile(files, clock, opened.path, opened.setter, {
      contents: (bytes) => {
        this.#given(property, bytes);
        return this.#sendFile(file, bytes);
      },
      failed: (error) => {
        this.#files.delete(file);
        this.#refuse(file, error);
      },
    });
    this.#files.set(file, following);
    return undefined;
  }

  closeFile(file: number): void {
    const following = this.#files.get(file);
    if (following === undefined) return;
    following.cancel();
    this.#files.delete(file);
    if (following.isBusy) this.#parts.closing.add(following);
  }

  /** Only what a person has named, and with the rights of that person. */
  #mayOpen(property: string): Opened | string {
    const { values, setters } = this.#parts.spec;
    const path = Object.hasOwn(values, property) ? values[property] : undefined;
    const setter = Object.hasOwn(setters, property) ? setters[property] : undefined;
    return typeof path === 'string' && setter !== undefined ? { path, setter } : 'is no property of type path that somebody has set';
  }

  #refuse(file: number, error: OverlayError): void {
    const failure: Failure = failureOf(error, 'FILE_UNREADABLE');
    this.link.send({ type: 'fileFailed', file, error: failure });
  }

  #given(property: string, bytes: Uint8Array): void {
    const digest = createHash('sha1').update(bytes).digest('base64');
    const isFirst = !this.digests.has(property);
    this.digests.set(property, digest);
    this.#parts.given(property, digest, isFirst);
  }

  async #sendFile(file: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at === 0 || at < bytes.length; at += FILE_CHUNK_BYTES) {
      if (!this.#files.has(file)) return;
      const part = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(FILE_CHUNK_BYTES, bytes.length - at));
      const last = at + FILE_CHUNK_BYTES >= bytes.length;
      await this.link.sendInTurn(() => (this.#files.has(file) ? { type: 'fileData', file, data: part.toString('base64'), last } : undefined));
    }
  }

  #sendAddresses(addresses: readonly LocalAddress[]): Promise<void> {
    return this.link.sendInTurn(() => ({ type: 'localAddresses', instance: this.#parts.id, addresses }));
  }
}
