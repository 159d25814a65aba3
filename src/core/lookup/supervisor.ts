// Watches over the host of one plugin package: started on first need, started again when it dies, ended with its last use.
import { messageOf, OverlayError } from '@overlayadm/api';
import type { Clock, Timer } from '../util/clock.ts';
import { HOST_RESTART_MS, HOST_STABLE_MS, HOST_WARM_MS, LOOKUP_SWEEP_MS } from '../util/limits.ts';
import type { CallBody, CallType, Report } from '../varpd/protocol.ts';
import { HostLink, type ReplyTo } from './host-link.ts';
import type { HostLog } from './host-log.ts';
import type { HostLaunch, SpawnHost } from './host-process.ts';
import type { RemoteInstance } from './instance.ts';

export interface SupervisorParts {
  readonly launch: HostLaunch;
  readonly spawn: SpawnHost;
  readonly clock: Clock;
  readonly log: HostLog;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #instances = new Map<number, RemoteInstance>();
  /** Hosts that were told to end, until they are gone. */
  readonly #ending = new Set<Promise<void>>();
  #link: HostLink | undefined;
  #startedAt = 0;
  #uses = 0;
  #nextWait: number = HOST_RESTART_MS.first;
  #restart: Timer | undefined;
  #warm: Timer | undefined;
  #sweep: Timer | undefined;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
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
    this.#use();
    this.#instances.set(instance.id, instance);
    try {
      await this.#create(instance);
      this.#sweep ??= this.#parts.clock.every(LOOKUP_SWEEP_MS, () => this.#sweepAll());
    } catch (error) {
      this.remove(instance);
      throw error;
    }
  }

  /** Returns at once; the plugin's stop() is not waited for. */
  remove(instance: RemoteInstance): void {
    if (!this.#instances.delete(instance.id)) return;
    this.#link?.send({ type: 'stop', instance: instance.id });
    if (this.#instances.size === 0) {
      this.#sweep?.cancel();
      this.#sweep = undefined;
      this.#restart?.cancel();
      this.#restart = undefined;
    }
    this.#unuse();
  }

  /** Ends the host, whatever uses it. Settles when it is gone. */
  async stop(): Promise<void> {
    for (const timer of [this.#warm, this.#sweep, this.#restart]) timer?.cancel();
    this.#instances.clear();
    this.#end();
    await Promise.all(this.#ending);
  }

  #use(): void {
    this.#uses++;
    this.#warm?.cancel();
  }

  #unuse(): void {
    this.#uses--;
    if (this.#uses === 0) this.#warm = this.#parts.clock.after(HOST_WARM_MS, () => this.#end());
  }

  #end(): void {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    const ended = link.end().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #connect(): HostLink {
    if (this.#link !== undefined) return this.#link;
    const { launch, spawn, clock, log } = this.#parts;
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
    return this.#instances.get(report.instance)?.report(report, link);
  }

  #down(reason: string, link: HostLink): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    const { launch, clock, log } = this.#parts;
    log.tell(`plugin host of ${launch.package} failed: ${reason}`);
    if (clock.now() - this.#startedAt >= HOST_STABLE_MS) this.#nextWait = HOST_RESTART_MS.first;
    for (const instance of [...this.#instances.values()]) instance.hostDown(`plugin host of ${launch.package} failed: ${reason}`);
    this.#scheduleRebuild();
  }

  #scheduleRebuild(): void {
    if (this.#restart !== undefined || this.#instances.size === 0) return;
    this.#restart = this.#parts.clock.after(this.#nextWait, () => {
      this.#restart = undefined;
      this.#rebuild();
    });
    this.#nextWait = Math.min(this.#nextWait * 2, HOST_RESTART_MS.max);
  }

  /** Makes every instance anew that has no host. One that cannot be is tried again later, the others do not wait for it. */
  async #rebuild(): Promise<void> {
    const rebuild = async (instance: RemoteInstance): Promise<void> => {
      try {
        await this.#create(instance);
      } catch (error) {
        if (this.#instances.has(instance.id)) instance.hostDown(messageOf(error));
        this.#scheduleRebuild();
      }
    };
    await Promise.all([...this.#instances.values()].filter((instance) => instance.hasStarted && !instance.isUp).map(rebuild));
  }

  async #create(instance: RemoteInstance): Promise<void> {
    const link = this.#connect();
    try {
      const { created } = await link.call('create', { instance: instance.id, spec: instance.hostedSpec });
      if (this.#link === link && this.#instances.has(instance.id)) instance.hostUp(link, created);
      else if (this.#link !== link) throw this.#gone();
    } catch (error) {
      link.send({ type: 'stop', instance: instance.id });
      throw this.#isUp(link) ? startFailed(error, instance) : error;
    }
  }

  #isUp(link: HostLink): boolean {
    return this.#link === link;
  }

  #gone(): OverlayError {
    return new OverlayError('PLUGIN_FAILED', `plugin ${this.#parts.launch.package}: its host ended while the instance started`);
  }

  #sweepAll(): void {
    for (const instance of this.#instances.values()) instance.sweep(this.#parts.clock.now());
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
