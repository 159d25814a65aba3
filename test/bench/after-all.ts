// Stands in for vitest: keeps the clearing up of the helpers until the benchmark is through.
type Hook = () => void | Promise<void>;
const hooks: Hook[] = [];

export function afterAll(hook: Hook): void {
  hooks.push(hook);
}

/** Imported by a helper that is used here for something else. */
export function describe(title: string): never {
  throw new Error(`${title}: tests are for vitest`);
}

/** Runs what was kept, last first. */
export async function clearUp(): Promise<void> {
  for (const hook of hooks.splice(0).toReversed()) await hook();
}
