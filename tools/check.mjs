// `npm run check`: every static check of the project, each named with its time; all run, and the failed ones are listed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { environment, node, root, run } from './lib.mjs';

const skipped = [];
const colors = process.stdout.isTTY ? [] : ['--colors=off'];

function manPages() {
  const pages = readdirSync(join(root, 'man')).filter((name) => /\.[1-8]$/.test(name));
  if (spawnSync('mandoc', ['-V'], { env: environment, stdio: 'ignore' }).error) {
    if (process.env.CI === 'true') throw new Error('mandoc is not installed');
    skipped.push('man pages: mandoc is not installed');
    return 0;
  }
  return pages.length === 0 ? 0 : run('mandoc', ['-T', 'lint', '-W', 'warning', ...pages.map((name) => `man/${name}`)]);
}

const checks = [
  ['build and types', () => run(node, ['tools/build.mjs'])],
  ['types of the tests', () => run(node, ['node_modules/typescript/bin/tsc', '-p', 'test'])],
  ['import table', () => run(node, ['tools/import-rules.mjs'])],
  ['biome: format, lint, imports, cycles', () => run('biome', ['ci', ...colors, '--error-on-warnings', '--max-diagnostics=100'])],
  ['man pages', manPages],
  ['completions as the commands are', () => run(node, ['tools/completions.mjs', '--check'])],
];
if (existsSync(join(root, 'tools/snapshot.mjs'))) checks.push(['commands as in the snapshot', () => run(node, ['tools/snapshot.mjs'])]);

/** @returns whether the check passed; a check that cannot be run has not. */
function passes(name, check) {
  const start = performance.now();
  let status = 1;
  try {
    status = check();
  } catch (error) {
    console.error(`${name}: ${error.message}`);
  }
  console.log(`check: ${name}: ${status === 0 ? 'ok' : 'FAILED'} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  return status === 0;
}

const failed = checks.filter(([name, check]) => !passes(name, check)).map(([name]) => name);
for (const reason of skipped) console.log(`check: skipped ${reason}`);
if (failed.length > 0) {
  console.error(`check: failed: ${failed.join('; ')}`);
  process.exitCode = 1;
}
