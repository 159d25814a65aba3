// `npm test`: vitest under the checkout's Node.js, then what was skipped and why, and the totals on a line of their own.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environment, node, root } from './lib.mjs';
import { sweep } from './sweep.mjs';

const folder = mkdtempSync(join(tmpdir(), `overlayadm-test-${process.pid}-`));
const totalsFile = join(folder, 'totals.json');
const skipsFile = join(folder, 'skips');
const env = { ...environment, OVERLAYADM_TEST_TOTALS: totalsFile, OVERLAYADM_TEST_SKIPS: skipsFile };

// OVERLAYADM_NODE: the same tests on another Node.js; programs under test follow it too.
const runtime = process.env.OVERLAYADM_NODE || node;
const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=./tools/reporter.mjs', ...process.argv.slice(2)];
const vitest = spawn(runtime, args, { cwd: root, env, stdio: 'inherit' });
// On a signal vitest ends without its afterAll hooks; we stay to the end and clear up.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => vitest.kill(signal));
const status = await new Promise((resolve) => vitest.on('exit', (code) => resolve(code ?? 1)));

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
const skips = [...new Set(read(skipsFile).split('\n').filter(Boolean))];
const totals = read(totalsFile) ? JSON.parse(read(totalsFile)) : { passed: 0, failed: 1, skipped: 0, unfinished: 0 };
rmSync(folder, { recursive: true, force: true });

const left = sweep();
if (left.length > 0) console.log(`Removed what tests left behind: ${left.join(', ')}`);
for (const skip of skips) console.log(`Skipped: ${skip}`);
const failed = totals.failed + totals.unfinished;
console.log(`${totals.passed} passed, ${failed} failed, ${totals.skipped} skipped`);
process.exitCode = status || (failed > 0 ? 1 : 0);
