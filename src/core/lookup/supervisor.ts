// Watches over the host of one plugin package: started on first need, started again when it dies, ended with its last use.
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { HOST_RESTART_MS, HOST_STABLE_MS, HOST_WARM_MS, MAX_STARTING_INSTANCES } from '../util/limits.ts';
import type { CallBody, CallType, Created, Report } from '../varpd/protocol.ts';
import { Guests, type Stage } from './guests.ts';
import { HostLink, type ReplyTo } from './host-link.ts';
import type { HostLog } from './host-log.ts';
import type { HostLaunch, SpawnHost } from './host-process.ts';
import type { Owner, RemoteInstance } from './instance.ts';

export interface SupervisorParts {
  /** Asked before every start: the files of a package can have moved since the last one. */
  launch(): HostLaunch;
  readonly spawn: SpawnHost;
  readonly clock: Clock;
  readonly log: HostLog;
}

export class Supervisor implements Owner {
  readonly #parts: SupervisorParts;
  readonly #instances = new Map<number, RemoteInstance>();
  /** Instances of another supervisor that start here, to be taken over. */
  readonly #guests = new Set<Guests>();
  /** Instances that have to be made anew, until it is their turn; and how many are being made. */
  readonly #queue = new Set<RemoteInstance>();
  #starting = 0;
  /** Instances that are made for the first time. */
  readonly #adding = new Set<Promise<void>>();
  /** Hosts that were told to end, until they are gone. */
  readonly #ending = new Set<Promise<void>>();
  #link: HostLink | undefined;
  #startedAt = 0;
  #uses = 0;
  #nextWait: number = HOST_RESTART_MS.first;
  #restart: Timer | undefined;
  #warm: Timer | undefined;
  #stopped = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
  }

  get instances(): readonly RemoteInstance[] {
    return [...this.#instances.values()];
  }

  /** Nobody uses it and no process of it is left. */
  get isIdle(): boolean {
    return this.#uses === 0 && this.#link === undefined && this.#ending.size === 0;
  }

  get pid(): number | undefined {
    return this.#link?.pid;
  }

  /** @throws OverlayError PLUGIN_FAILED, or what the host reports */
  async call<T extends CallType>(type: T, body: CallBody<T>): Promise<ReplyTo<T>> {
    this.#use();
    try {
      return await this.#connect().call(type, body);
    } finally {
      this.#unuse();
    }
  }

  /** Makes and starts the instance. @throws OverlayError LOOKUP_START_FAILED, or PLUGIN_FAILED when the host ends meanwhile */
  async add(instance: RemoteInstance): Promise<void> {
    this.#own(instance);
    const adding = this.#create(instance);
    const settled = adding.catch(() => undefined).finally(() => this.#adding.delete(settled));
    this.#adding.add(settled);
    try {
      await adding;
    } catch (error) {
      this.remove(instance);
      throw error;
    }
  }

  /** Makes an instance that was there before, now and, when that fails, again and again. Returns at once. */
  restore(instance: RemoteInstance): void {
    this.#own(instance);
    this.#queue.add(instance);
    this.#startQueued();
  }

  /** Returns at once; the plugin's stop() is not waited for. */
  remove(instance: RemoteInstance): void {
    this.#queue.delete(instance);
    if (!this.#instances.delete(instance.id)) return;
    this.#link?.send({ type: 'stop', instance: instance.id });
    if (this.#instances.size === 0) {
      this.#restart?.cancel();
      this.#restart = undefined;
    }
    this.#unuse();
  }

  /**
   * Starts all instances of `from` here beside those that run there, then takes them over, all at once. Those that run there
   * have to start here; one that does not may fail here as well, and is tried again. @throws OverlayError when anything else
   * does not come up, or when `signal` is aborted, and then all are where they were.
   */
  async takeOver(from: Supervisor, instances: readonly RemoteInstance[], signal: AbortSignal): Promise<void> {
    this.#use();
    try {
      await Promise.all(from.#adding);
      const link = this.#connect();
      await link.ready;
      const guests = new Guests(instances, link);
      this.#guests.add(guests);
      try {
        await guests.start(
          (instance) => this.#start(instance, link, guests.stage),
          () => this.#isUp(link) && !signal.aborted,
        );
        for (const [instance, created] of guests.all()) this.#adopt(instance, from, link, created);
      } finally {
        this.#guests.delete(guests);
      }
    } finally {
      this.#unuse();
    }
  }

  /** Ends the host, whatever uses it. Settles when it is gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of [this.#warm, this.#restart]) timer?.cancel();
    this.#instances.clear();
    this.#queue.clear();
    this.#end();
    await Promise.all(this.#ending);
  }

  #own(instance: RemoteInstance): void {
    this.#use();
    this.#instances.set(instance.id, instance);
    instance.owner = this;
  }

  #use(): void {
    this.#uses++;
    this.#warm?.cancel();
  }

  #unuse(): void {
    this.#uses--;
    if (this.#uses === 0 && !this.#stopped) this.#warm = this.#parts.clock.after(HOST_WARM_MS, () => this.#end());
  }

  #end(): void {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    const ended = link.end().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** @throws OverlayError PLUGIN_FAILED when it was stopped */
  #connect(): HostLink {
    if (this.#link !== undefined) return this.#link;
    if (this.#stopped) throw this.#gone('because it was stopped');
    const { spawn, clock, log } = this.#parts;
    const launch = this.#parts.launch();
    this.#startedAt = clock.now();
    const process = spawn(launch, (text) => log.write('warn', text));
    const link: HostLink = new HostLink(launch.package, process, clock, {
      report: (report) => this.#report(report, link),
      down: (reason) => this.#down(reason, link),
    });
    this.#link = link;
    return link;
  }

  #report(report: Report, link: HostLink): string | undefined {
    // One that is not known any more was told to stop; its last words cross our own.
    const instance = this.#instances.get(report.instance) ?? [...this.#guests].map((guests) => guests.find(report.instance)).find(Boolean);
    return instance?.report(report, link);
  }

  #down(reason: string, link: HostLink): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    const { clock, log } = this.#parts;
    const text = `plugin host of ${this.#parts.launch().package} failed: ${reason}`;
    log.tell(text);
    if (clock.now() - this.#startedAt >= HOST_STABLE_MS) this.#nextWait = HOST_RESTART_MS.first;
    this.#queue.clear();
    for (const instance of this.instances) instance.hostDown(text, link);
    this.#scheduleRebuild();
  }

  #scheduleRebuild(): void {
    if (this.#restart !== undefined || this.#instances.size === 0) return;
    this.#restart = this.#parts.clock.after(this.#nextWait, () => {
      this.#restart = undefined;
      for (const instance of this.instances) if (instance.hasStarted && !instance.isUp) this.#queue.add(instance);
      this.#startQueued();
    });
    this.#nextWait = Math.min(this.#nextWait * 2, HOST_RESTART_MS.max);
  }

  /** Makes what waits for it, some at a time. One that cannot be made is tried again later, the others do not wait for it. */
  #startQueued(): void {
    for (const instance of this.#queue) {
      if (this.#starting >= MAX_STARTING_INSTANCES) return;
      this.#queue.delete(instance);
      this.#starting++;
      this.#rebuild(instance).finally(() => {
        this.#starting--;
        this.#startQueued();
      });
    }
  }

  async #rebuild(instance: RemoteInstance): Promise<void> {
    if (instance.isUp || !this.#instances.has(instance.id)) return;
    let link: HostLink | undefined;
    try {
      link = this.#connect();
      await this.#create(instance);
    } catch (error) {
      if (!this.#instances.has(instance.id)) return;
      // When the host is gone, all its instances were told so.
      if (link === this.#link) instance.hostDown(messageOf(error), link);
      this.#scheduleRebuild();
    }
  }

  async #create(instance: RemoteInstance): Promise<void> {
    const link = this.#connect();
    const created = await this.#start(instance, link, undefined);
    if (this.#link !== link) throw this.#gone();
    if (this.#instances.has(instance.id)) instance.hostUp(link, created);
  }

  async #start(instance: RemoteInstance, link: HostLink, stage: Stage | undefined): Promise<Created> {
    instance.begin(link, stage);
    try {
      const { created } = await link.call('create', { instance: instance.id, spec: instance.hostedSpec });
      instance.checkMode(created);
      return created;
    } catch (error) {
      link.send({ type: 'stop', instance: instance.id });
      instance.abandon(link);
      throw this.#isUp(link) ? startFailed(error, instance) : error;
    }
  }

  #adopt(instance: RemoteInstance, from: Supervisor, link: HostLink, created: Created | undefined): void {
    this.#own(instance);
    if (created !== undefined) instance.hostUp(link, created);
    from.remove(instance);
    if (created === undefined) this.#queue.add(instance);
    this.#startQueued();
  }

  #isUp(link: HostLink): boolean {
    return this.#link === link;
  }

  #gone(when = 'while the instance started'): OverlayError {
    return new OverlayError('PLUGIN_FAILED', `plugin ${this.#parts.launch().package}: its host ended ${when}`);
  }
}

/** The plugin's own words under one code; the plugin's code is among the details. */
function startFailed(error: unknown, instance: RemoteInstance): OverlayError {
  const known = OverlayError.is(error) ? error : undefined;
  return new OverlayError('LOOKUP_START_FAILED', messageOf(error), {
    details: { lookup: instance.hostedSpec.plugin, ...known?.details, ...(known && { pluginCode: known.code }) },
    ...(known?.advice === undefined ? {} : { advice: known.advice }),
    cause: error,
  });
}
