// The holder of a host's descriptors, in memory: what overlayd gave it is there for the next one.
import type { HeldStore } from '../../src/core/daemon/held-descriptors.ts';
import type { DescriptorStore } from '../../src/core/datapath/driver.ts';
import type { OpenFile, SimIo } from './sim-io.ts';

export class SimStore implements DescriptorStore {
  readonly #io: SimIo;
  readonly #held = new Map<string, OpenFile>();
  /** What a service manager would show. */
  readonly told: string[] = [];
  /** What this overlayd has not taken yet of what was held when it started. */
  #inherited = new Map<string, OpenFile>();

  constructor(io: SimIo) {
    this.#io = io;
  }

  /** Names of what is held. */
  get names(): string[] {
    return [...this.#held.keys()].toSorted();
  }

  /** Names that nobody has taken since the overlayd of now was started. */
  get left(): string[] {
    return [...this.#inherited.keys()];
  }

  /** An overlayd starts. */
  begin(): void {
    this.#inherited = new Map(this.#held);
  }

  /** The holder has ended too. */
  end(): void {
    for (const name of this.names) this.forget(name);
  }

  take(name: string): number | undefined {
    const file = this.#inherited.get(name);
    this.#inherited.delete(name);
    return file === undefined ? undefined : this.#io.inherit(file);
  }

  keep(name: string, fd: number): void {
    const file = this.#io.hold(fd);
    this.forget(name);
    this.#held.set(name, file);
  }

  forget(name: string): void {
    const file = this.#held.get(name);
    this.#held.delete(name);
    this.#inherited.delete(name);
    if (file !== undefined) this.#io.letGo(file);
  }

  /** As the composition root needs it. */
  get forDaemon(): HeldStore {
    return {
      take: (name) => this.take(name),
      keep: (name, fd) => this.keep(name, fd),
      forget: (name) => this.forget(name),
      names: () => this.left,
      discard: (name) => this.forget(name),
      tell: (state) => void this.told.push(state),
    };
  }
}
