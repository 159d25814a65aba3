// A lookup instance as overlayd sees it: what is asked survives the host it was put to, and every question ends once.
import { type Destination, OverlayError } from '@overlayadm/api';
import type { Clock } from '../util/clock.ts';
import { MAX_BATCH_ANSWERS } from '../util/limits.ts';
import { type Answer, type Ask, type Created, type HostedSpec, inBatches, type Report, type ToHost } from '../varpd/protocol.ts';
import type { FileAccess, Following } from './files.ts';
import type { AskSource, HostLink } from './host-link.ts';
import type { HostLog } from './host-log.ts';
import { InstanceSession } from './instance-session.ts';
import { dropAll, Requests } from './requests.ts';
import type { InstanceEvents, InstancePast, InstanceSpec, LookupInstance } from './types.ts';

export interface RemoteParts {
  readonly id: number;
  readonly spec: InstanceSpec;
  readonly events: InstanceEvents;
  /** Of an instance that was there before overlayd was started again. */
  readonly past: InstancePast | undefined;
  readonly files: FileAccess;
  readonly clock: Clock;
  readonly log: HostLog;
  /** It was closed. */
  closed(instance: RemoteInstance): void;
}

/** Who starts it, and starts it anew. */
export interface Owner {
  remove(instance: RemoteInstance): void;
}

const NOTHING: Created = { mode: 'dynamic', group: false, resolves: false, servesDhcp: false };

export class RemoteInstance implements LookupInstance, AskSource {
  readonly id: number;
  owner: Owner | undefined;
  readonly #parts: RemoteParts;
  readonly #requests = new Requests();
  /** Its lives that began and did not end, by their host: the one that is asked, and one that is to take over. */
  readonly #sessions = new Map<HostLink, InstanceSession>();
  /** The one that may be asked; undefined while there is none. */
  #current: InstanceSession | undefined;
  /** What each path property's file held when a host was last given it; outlives the hosts. */
  readonly #digests: Map<string, string>;
  readonly #closing = new Set<Following>();
  #created: Created;
  #started: boolean;
  #closed = false;
  /** What was said last of why it has no host. */
  #downReason: string | undefined;
  /** The life that has reported that it is degraded. */
  #degradedBy: InstanceSession | undefined;

  constructor(parts: RemoteParts) {
    this.id = parts.id;
    this.#parts = parts;
    this.#created = parts.past?.created ?? NOTHING;
    this.#started = parts.past !== undefined;
    this.#digests = new Map(Object.entries(parts.past?.digests ?? {}));
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

  get digests(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#digests);
  }

  get plugin(): string {
    return this.#parts.spec.plugin;
  }

  get overlay(): string {
    return this.#parts.spec.overlay;
  }

  /** Has a host that can be asked. */
  get isUp(): boolean {
    return this.#current !== undefined;
  }

  /** Was made once, so that it has to be made anew when its host dies. */
  get hasStarted(): boolean {
    return this.#started;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  ask(asks: readonly Ask[]): void {
    if (this.#closed) return;
    this.#requests.add(asks, this.#parts.clock.now());
    this.#current?.link.askInTurn(this);
  }

  abort(ids: readonly number[]): void {
    this.#abortAtHost(this.#requests.remove(ids));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#requests.remove(this.#requests.all().map(({ id }) => id));
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
    this.#current = undefined;
    this.owner?.remove(this);
    this.#parts.closed(this);
  }

  /** What the plugin may know. */
  get hostedSpec(): HostedSpec {
    const { plugin, vnetid, needs, usualPort, values } = this.#parts.spec;
    return { plugin, vnetid, needs, ...(usualPort === undefined ? {} : { usualPort }), values };
  }

  /** It is about to be made in this host. `stage`: what it says before it takes over waits; see SessionParts. */
  begin(link: HostLink, stage?: (weight: number) => boolean): void {
    const { id, spec, files, clock, log } = this.#parts;
    const session: InstanceSession = new InstanceSession({
      id,
      spec,
      link,
      files,
      clock,
      stage,
      closing: this.#closing,
      given: (property, digest, isFirst) => {
        if (session === this.#current) this.#given(property, digest, isFirst);
      },
      warn: (text) => log.write('warn', text, { overlay: spec.overlay }),
    });
    this.#sessions.get(link)?.close();
    this.#sessions.set(link, session);
  }

  /** What was begun there comes to nothing. */
  abandon(link: HostLink): void {
    const session = this.#sessions.get(link);
    if (session === undefined || session === this.#current) return;
    session.close();
    this.#sessions.delete(link);
  }

  /** @throws OverlayError LOOKUP_START_FAILED when it is not what it was, beyond what its overlay can follow */
  checkMode({ mode }: Created): void {
    if (!this.#started || mode === this.#created.mode) return;
    throw new OverlayError('LOOKUP_START_FAILED', `${this.plugin}: its instance is of mode ${mode} now, and was ${this.#created.mode}`, {
      details: { lookup: this.plugin, mode, was: this.#created.mode },
      advice: 'Install the version of the plugin that was there before, or delete the overlay and create it again.',
    });
  }

  /** The instance runs in this host now, and in no other any more; what is outstanding is put to it. */
  hostUp(link: HostLink, created: Created): void {
    const session = this.#sessions.get(link);
    if (session === undefined) return;
    const { events } = this.#parts;
    const isBack = this.#started;
    const before = this.#current;
    this.#started = true;
    this.#current = session;
    this.#created = created;
    this.#downReason = undefined;
    if (before !== undefined) {
      this.#end(before);
      this.#requests.moved();
    }
    if (isBack) events.hostUp();
    if (this.#degradedBy !== undefined && this.#degradedBy !== session) {
      this.#degradedBy = undefined;
      events.restored();
    }
    for (const [property, digest] of session.digests) this.#given(property, digest, true);
    for (const report of session.held()) this.#tell(report, session);
    link.askInTurn(this);
  }

  /** The host is gone, or the instance could not be made anew in it. `link`: which; undefined when there was none. */
  hostDown(reason: string, link?: HostLink): void {
    const session = link && this.#sessions.get(link);
    if (session !== undefined) this.#end(session);
    if (!this.#started || this.#closed) return;
    const isCurrent = session !== undefined && session === this.#current;
    // One that was to take over, or whose answer was late: the instance has its host.
    if (!isCurrent && this.#current !== undefined) return;
    this.#current = undefined;
    const tired = isCurrent ? this.#requests.hostDied() : [];
    if (reason !== this.#downReason) {
      this.#downReason = reason;
      this.#parts.events.hostDown(reason);
    }
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
    const { log, spec } = this.#parts;
    const session = this.#sessions.get(link);
    // One that was told to stop; its last words cross our own.
    if (session === undefined) return undefined;
    switch (report.type) {
      case 'log':
        return void log.write(report.level, report.message, { overlay: spec.overlay, lookup: spec.plugin });
      case 'openFile':
        return session.openFile(report.file, report.property);
      case 'closeFile':
        return void session.closeFile(report.file);
      case 'watchAddresses':
        return void session.watchAddresses();
      case 'unwatchAddresses':
        return void session.unwatchAddresses();
      case 'answers':
        return session === this.#current ? this.#answered(report.answers) : undefined;
      default:
        return session.isStaged && session !== this.#current ? session.hold(report) : void this.#tell(report, session);
    }
  }

  /** The next questions for the host, when it takes more: what is outstanding and was not put to it. Part of AskSource. */
  nextAsks(most: number, link: HostLink): ToHost | undefined {
    const asks = link === this.#current?.link ? this.#requests.unsent(most) : [];
    return asks.length === 0 ? undefined : { type: 'asks', instance: this.id, asks };
  }

  /** What a report says of targets and of the plugin's health. */
  #tell(report: Report, session: InstanceSession): void {
    const { events } = this.#parts;
    switch (report.type) {
      case 'setTarget':
        return events.setTarget(report.mac, report.destination);
      case 'invalidate':
        return events.invalidateTarget(report.mac);
      case 'announce':
        return events.announce(report.ip, report.mac, report.toMacs);
      case 'degrade':
        this.#degradedBy = session;
        return events.degraded(report.reason);
      case 'restore':
        this.#degradedBy = undefined;
        return events.restored();
    }
  }

  #end(session: InstanceSession): void {
    session.close();
    this.#sessions.delete(session.link);
  }

  #abortAtHost(ids: readonly number[]): void {
    for (const batch of inBatches(ids, MAX_BATCH_ANSWERS)) this.#current?.link.send({ type: 'abort', instance: this.id, ids: batch });
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

  /** The first contents that a host is given, against the last that a host before it had. */
  #given(property: string, digest: string, isFirst: boolean): void {
    const before = this.#digests.get(property);
    this.#digests.set(property, digest);
    if (isFirst && before !== undefined && before !== digest) this.#parts.events.outdated();
  }
}
