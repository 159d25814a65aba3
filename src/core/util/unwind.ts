// The undo stack of every multi-step change: what was done is undone, last first, unless it is kept.

export type Undo = () => void | Promise<void>;

/**
 * `await using unwind = new Unwind(report)`; after each step `unwind.add(undo)`; at the end `unwind.keep()`. An undo that
 * fails is reported and does not stop the ones below it.
 */
export class Unwind implements AsyncDisposable {
  #steps: Undo[] = [];
  readonly #report: (error: unknown) => void;

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  add(undo: Undo): void {
    this.#steps.push(undo);
  }

  /** The change is complete: hands the steps over to whoever will undo them one day. */
  keep(): readonly Undo[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.keep().toReversed()) {
      try {
        await undo();
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
