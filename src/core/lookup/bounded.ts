// Many things to do, a few at a time.

/** Runs `run` for each item, at most `most` at a time. The first error ends it: nothing more is begun, what is under way is not waited for. */
export async function forEachBounded<T>(items: Iterable<T>, most: number, run: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const work = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && !failed; next = iterator.next()) await run(next.value);
  };
  const guarded = (): Promise<void> =>
    work().catch((error: unknown) => {
      failed = true;
      throw error;
    });
  await Promise.all(Array.from({ length: most }, guarded));
}
