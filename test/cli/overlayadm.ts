// Runs overlayadm as a process of its own and gives what it printed.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const launcher = fileURLToPath(new URL('launch.mjs', import.meta.url));

/** The environment has what Node needs, and `environment`; oclif complains about much more when NODE_ENV is `test`. */
export function overlayadm(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Outcome> {
  const env = { PATH: process.env.PATH, NODE_ENV: 'production', COLUMNS: '120', ...environment };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [launcher, ...args], { env, timeout: 25_000 }, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, stdout, stderr });
      else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr });
      else reject(error);
    });
  });
}
