// A show command line through both paths: they have to print the same, or the thin one has to leave it to oclif untouched.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { Outcome } from './overlayadm.ts';

interface Answer {
  readonly thin: Outcome & { readonly taken: boolean };
  readonly oclif: Outcome;
}

export interface TwoPaths extends Disposable {
  /** `path`: which one has to serve it; without it either may. */
  run(run: string, args: readonly string[], path?: 'thin' | 'oclif'): Promise<Outcome>;
}

export async function twoPaths(): Promise<TwoPaths> {
  const env = { PATH: process.env.PATH, NODE_ENV: 'production', COLUMNS: '120', OCLIF_DISABLE_ENGINE_WARNING: '1' };
  const child = fork(fileURLToPath(new URL('two-paths-child.mjs', import.meta.url)), { env, execArgv: [] });
  await next(child);
  return {
    async run(run, args, path) {
      child.send({ args, environment: { OVERLAYADM_RUN_DIR: run } });
      const { thin, oclif } = (await next(child)) as Answer;
      const { taken, ...outcome } = thin;
      if (path !== undefined) expect({ args, path: taken ? 'thin' : 'oclif' }).toEqual({ args, path });
      expect({ args, ...outcome }).toEqual({ args, ...(taken ? oclif : { status: 0, stdout: '', stderr: '' }) });
      return oclif;
    },
    [Symbol.dispose]: () => void child.kill(),
  };
}

async function next(child: ChildProcess): Promise<unknown> {
  const stop = new AbortController();
  const { signal } = stop;
  const ended = once(child, 'exit', { signal }).then(([status]) => Promise.reject(new Error(`the process that runs commands has ended (${status})`)));
  ended.catch(() => {});
  try {
    const [message] = (await Promise.race([once(child, 'message', { signal }), ended])) as [unknown];
    return message;
  } finally {
    stop.abort();
  }
}
