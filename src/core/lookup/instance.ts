// A lookup instance as overlayd sees it: what is asked survives the host it was put to, and every question ends once.
import { createHash } from 'node:crypto';
import { type Destination, type LocalAddress, OverlayError } from '@overlayadm/api';
import type { Clock } from '../util/clock.ts';
import { FILE_CHUNK_BYTES, MAX_BATCH_ANSWERS, MAX_OPEN_FILES } from '../util/limits.ts';
import type { Answer, Ask, Created, Failure, HostedSpec, Report, ToHost } from '../varpd/protocol.ts';
import { failureOf, inBatches } from '../varpd/protocol.ts';
import { AddressWatch } from './address-watch.ts';
import { type FileAccess, type Following, followFile } from './files.ts';
import type { AskSource, HostLink } from './host-link.ts';
import type { HostLog } from './host-log.ts';
import { dropAll, Requests } from './requests.ts';
import type { InstanceEvents, InstanceSpec, LookupInstance } from './types.ts';

export interface RemoteParts {
  readonly id: number;
  readonly spec: InstanceSpec;
  /** Names of the properties of type path. */
  readonly paths: ReadonlySet<string>;
  readonly events: InstanceEvents;
  readonly files: FileAccess;
  readonly clock: Clock;
  readonly log: HostLog;
  /** Lets go of the instance in its host. */
  release(instance: RemoteInstance): void;
}

export class RemoteInstance implements LookupInstance, AskSource {
  readonly id: number;
  readonly #parts: RemoteParts;
  readonly #requests = new Requests();
  readonly #files = new Map<number, Following>();
  /** What each path property's file held when a host was last given it; outlives the hosts. */
  readonly #digests = new Map<string, string>();
  /** Of these, the host that is there now has not had any contents yet. */
  readonly #uncompared = new Set<string>();
  /** Files that are closed, but still read; they count, or opening and closing would start any number of reads. */
  #closing: Following[] = [];
  readonly #addresses: AddressWatch;
  /** The host that may be asked; undefined while there is none. */
  #link: HostLink | undefined;
  #created: Created = { mode: 'dynamic', group: false, resolves: false, servesDhcp: false };
  #started = false;
  #closed = false;

  constructor(parts: RemoteParts) {
    this.id = parts.id;
    this.#parts = parts;
    const { clock, log, spec } = parts;
    this.#addresses = new AddressWatch({
      clock,
      list: () => spec.localAddresses(),
      warn: (text) => log.write('warn', text, { overlay: spec.overlay }),
    });
  }

  get mode(): 'point' | 'dynamic' {
    return this.#created.mode;
  }

  get point(): Destination | undefined {
    return this.#created.point;
  }

  get group(): boolean {
    return this.#created.group;
  }

  get resolves(): boolean {
    return this.#created.resolves;
  }

  get servesDhcp(): boolean {
    return this.#created.servesDhcp;
  }

  /** Has a host that can be asked. */
  get isUp(): boolean {
    return this.#link !== undefined;
  }

  /** Was made once, so that it has to be made anew when its host dies. */
  get hasStarted(): boolean {
    return this.#started;
  }

  ask(asks: readonly Ask[]): void {
    if (this.#closed) return;
    this.#requests.add(asks, this.#parts.clock.now());
    this.#link?.askInTurn(this);
  }

  abort(ids: readonly number[]): void {
    this.#abortAtHost(this.#requests.remove(ids));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#requests.remove(this.#requests.all().map(({ id }) => id));
    this.#closeFiles();
    this.#addresses.close();
    this.#link = undefined;
    this.#parts.release(this);
  }

  /** What the plugin may know. */
  get hostedSpec(): HostedSpec {
    const { plugin, vnetid, needs, usualPort, values } = this.#parts.spec;
    return { plugin, vnetid, needs, ...(usualPort === undefined ? {} : { usualPort }), values };
  }

  /** The instance runs in this host now; what is outstanding is put to it. */
  hostUp(link: HostLink, created: Created): void {
    const isBack = this.#started;
    this.#started = true;
    this.#link = link;
    this.#created = created;
    if (isBack) this.#parts.events.hostUp();
    link.askInTurn(this);
  }

  /** The host is gone, or the instance could not be made anew in it. */
  hostDown(reason: string): void {
    this.#closeFiles();
    this.#addresses.close();
    const wasUp = this.#link !== undefined;
    this.#link = undefined;
    if (!this.#started || this.#closed) return;
    for (const property of this.#digests.keys()) this.#uncompared.add(property);
    const tired = wasUp ? this.#requests.hostDied() : [];
    this.#parts.events.hostDown(reason);
    if (tired.length > 0) this.#parts.events.answered(dropAll(tired, 'lookup.crashed'));
  }

  sweep(now: number): void {
    const late = this.#requests.expire(now);
    if (late.length === 0) return;
    this.#abortAtHost(late);
    this.#parts.events.answered(dropAll(late, 'lookup.timeout'));
  }

  /** A report of the plugin. @returns what is wrong with it */
  report(report: Report, link: HostLink): string | undefined {
    const { events, log, spec } = this.#parts;
    if (this.#closed) return undefined;
    switch (report.type) {
      case 'answers':
        return this.#answered(report.answers);
      case 'setTarget':
        return void events.setTarget(report.mac, report.destination);
      case 'invalidate':
        return void events.invalidateTarget(report.mac);
      case 'announce':
        return void events.announce(report.ip, report.mac, report.toMacs);
      case 'degrade':
        return void events.degraded(report.reason);
      case 'restore':
        return void events.restored();
      case 'log':
        return void log.write(report.level, report.message, { overlay: spec.overlay, lookup: spec.plugin });
      case 'openFile':
        return this.#openFile(report.file, report.property, link);
      case 'closeFile':
        return void this.#closeFile(report.file);
      case 'watchAddresses':
        return void this.#addresses.open((addresses) => this.#sendAddresses(addresses, link));
      case 'unwatchAddresses':
        return void this.#addresses.close();
    }
  }

  /** The next questions for the host, when it takes more: what is outstanding and was not put to it. Part of AskSource. */
  nextAsks(most: number): ToHost | undefined {
    const asks = this.#requests.unsent(most);
    return asks.length === 0 ? undefined : { type: 'asks', instance: this.id, asks };
  }

  #abortAtHost(ids: readonly number[]): void {
    for (const batch of inBatches(ids, MAX_BATCH_ANSWERS)) this.#link?.send({ type: 'abort', instance: this.id, ids: batch });
  }

  #answered(answers: readonly Answer[]): string | undefined {
    const taken: Answer[] = [];
    for (const answer of answers) {
      const fate = this.#requests.take(answer);
      if (fate === 'wrong') return `it answered ${answer.kind} to a question of another kind`;
      if (fate === 'taken') taken.push(answer);
    }
    if (taken.length > 0) this.#parts.events.answered(taken);
    return undefined;
  }

  #openFile(file: number, property: string, link: HostLink): string | undefined {
    const { paths, spec, files, clock } = this.#parts;
    const path = spec.values[property];
    const refuse = (why: string): void =>
      link.send({ type: 'fileFailed', file, error: failureOf(new OverlayError('FILE_UNREADABLE', `${property}: ${why}`), 'FILE_UNREADABLE') });
    if (this.#files.has(file)) return `it opened file ${file} twice`;
    this.#closing = this.#closing.filter(({ isBusy }) => isBusy);
    if (this.#files.size + this.#closing.length >= MAX_OPEN_FILES) return void refuse(`${MAX_OPEN_FILES} files are open already`);
    if (!paths.has(property) || typeof path !== 'string') return void refuse('is no property of type path that has a value');
    const following = followFile(files, clock, path, spec.setter, {
      contents: (bytes) => {
        this.#compare(property, bytes);
        return this.#sendFile(file, bytes, link);
      },
      failed: (error) => this.#failFile(file, failureOf(error, 'FILE_UNREADABLE'), link),
    });
    this.#files.set(file, following);
    return undefined;
  }

  /** The first contents that a host is given, against the last that a host before it had. */
  #compare(property: string, bytes: Uint8Array): void {
    const digest = createHash('sha1').update(bytes).digest('base64');
    const before = this.#digests.get(property);
    this.#digests.set(property, digest);
    if (this.#uncompared.delete(property) && before !== digest) this.#parts.events.outdated();
  }

  async #sendFile(file: number, bytes: Uint8Array, link: HostLink): Promise<void> {
    for (let at = 0; at === 0 || at < bytes.length; at += FILE_CHUNK_BYTES) {
      if (!this.#files.has(file)) return;
      const part = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(FILE_CHUNK_BYTES, bytes.length - at));
      const last = at + FILE_CHUNK_BYTES >= bytes.length;
      await link.sendInTurn(() => (this.#files.has(file) ? { type: 'fileData', file, data: part.toString('base64'), last } : undefined));
    }
  }

  #sendAddresses(addresses: readonly LocalAddress[], link: HostLink): Promise<void> {
    return link.sendInTurn(() => ({ type: 'localAddresses', instance: this.id, addresses }));
  }

  #failFile(file: number, error: Failure, link: HostLink): void {
    this.#files.delete(file);
    link.send({ type: 'fileFailed', file, error });
  }

  #closeFile(file: number): void {
    const following = this.#files.get(file);
    if (following === undefined) return;
    following.cancel();
    this.#files.delete(file);
    if (following.isBusy) this.#closing.push(following);
  }

  #closeFiles(): void {
    for (const file of [...this.#files.keys()]) this.#closeFile(file);
  }
}
