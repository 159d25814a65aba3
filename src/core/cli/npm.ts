// Runs npm in the plugin directory for what oclif's own commands do not do.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { NPM_TIMEOUT_MS } from '../util/limits.ts';

export interface NpmOutcome {
  readonly ok: boolean;
  /** Reasons that npm gave, without its own frame. */
  readonly lines: readonly string[];
}

/** Scripts of packages are not run. Never rejects. */
export function runNpm(directory: string, ...args: readonly string[]): Promise<NpmOutcome> {
  const [program, ...first] = npm();
  const options = { cwd: existsSync(directory) ? directory : '/', timeout: NPM_TIMEOUT_MS };
  return new Promise((resolve) => {
    execFile(program, [...first, ...args, '--ignore-scripts', '--loglevel=error', '--no-audit', '--no-fund'], options, (error, _stdout, stderr) =>
      resolve({ ok: error === null, lines: npmReasons(stderr.split('\n')) }),
    );
  });
}

export function npmReasons(lines: readonly string[]): string[] {
  const errors = lines.flatMap((line) => /^npm (?:error|ERR!) (.+)$/.exec(line.trim())?.[1] ?? []);
  // Not its frame, and not the stack of an error and its properties.
  return errors.filter((line) => !/^(?:A complete log of this run|\s|\})/.test(line));
}

/** The one that plugin-plugins brings, as it does itself; else the host's. */
function npm(): [string, ...string[]] {
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('@oclif/plugin-plugins'));
    return [process.execPath, join(dirname(require.resolve('npm/package.json')), 'bin/npm-cli.js')];
  } catch {
    return ['npm'];
  }
}
