// One life of a simulated overlayd: when it has ended, nothing that is still under way in it reaches the kernel, the clock or the disk's next reader.
import type { Clock, Timer } from '../../src/core/util/clock.ts';

const DEAD: Timer = { cancel: () => undefined };

export class Life {
  readonly clock: Clock;
  readonly #timers = new Set<Timer>();
  #over = false;

  constructor(clock: Clock) {
    this.clock = {
      now: () => clock.now(),
      date: () => clock.date(),
      after: (ms, run) => this.#add((done) => clock.after(ms, () => done(run))),
      every: (ms, run) => this.#add(() => clock.every(ms, run)),
    };
  }

  /** The same object for as long as this life lasts; afterwards every call of it throws. */
  of<T extends object>(object: T): T {
    return new Proxy(object, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]): unknown => {
          if (this.#over) throw new Error(`${String(name)}: this process has ended`);
          return Reflect.apply(value, target, args);
        };
      },
    });
  }

  end(): void {
    this.#over = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #add(start: (done: (run: () => void) => void) => Timer): Timer {
    if (this.#over) return DEAD;
    const timer = start((run) => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }
}
