// `npm run bench:start`: what it costs to start a command: processor time (user and system) and wall-clock time of whole
// processes, beside a Node.js that does nothing. overlayd is one without a network, in this process. Needs bash.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { fakeDaemon } from '../cli/fake-daemon.ts';
import { showHandlers } from '../cli/show-daemon.ts';
import { load, machine, significant, summarize, table } from './report.ts';

const USAGE = 'usage: npm run bench:start -- [--runs N]';
const LEAST_RUNS = 10;
const MOST_RUNS = 1000;

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
const program = [process.execPath, bin('overlayadm.cjs')];
const CREATE = ['create-overlay', '-e', 'vxlan', '-s', 'direct', '-v', '1', 'overlay0'];

const BARE = 'node -e 0';
const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  [BARE]: [process.execPath, '-e', '0'],
  'show-overlay': [...program, 'show-overlay'],
  'show-overlay -t': [...program, 'show-overlay', '-t', 'overlay0'],
  'show-link': [...program, 'show-link'],
  'show-linkprop': [...program, 'show-linkprop'],
  'show-vnic': [...program, 'show-vnic'],
  'show-plugins': [...program, 'show-plugins'],
  'show-overlay by bin/overlayadm': [bin('overlayadm'), 'show-overlay'],
  'show-overlay by oclif': [...program, 'show-overlay', '--'],
  'create-overlay': [...program, ...CREATE],
  'create-overlay from many files': [process.execPath, bin('overlayadm.js'), ...CREATE],
  '--help': [...program, '--help'],
};

interface Cost {
  readonly cpuMs: number;
  readonly wallMs: number;
}

const run = promisify(execFile);

/** Node.js does not tell what a child has cost, and /proc counts in hundredths of a second; bash has it from wait4(2) in ms. */
async function costOf(command: readonly string[], environment: Readonly<Record<string, string | undefined>>): Promise<Cost> {
  const script = 'TIMEFORMAT="%U %S %R"; { time "$@" >/dev/null 2>/dev/null; } 2>&1';
  const { stdout } = await run('bash', ['-c', script, 'bash', ...command], { env: { ...process.env, ...environment } });
  const [user, system, wall] = stdout.trim().split(' ').map(Number);
  if (user === undefined || system === undefined || wall === undefined || Number.isNaN(user + system + wall)) throw new Error(`bash said: ${stdout}`);
  return { cpuMs: (user + system) * 1000, wallMs: wall * 1000 };
}

async function measure(runs: number): Promise<ReadonlyMap<string, readonly Cost[]>> {
  await using daemon = await fakeDaemon({ handlers: { ...showHandlers(), 'overlay.create': async () => ({ name: 'overlay0', warnings: [] }) } });
  const costs = new Map<string, Cost[]>(Object.keys(SUBJECTS).map((name) => [name, []]));
  // The first round fills the compile cache and is not counted. Each round has all of them, so that other load meets all.
  for (let round = 0; round <= runs; round++) {
    if (process.stderr.isTTY) process.stderr.write(`\rround ${round} of ${runs}`);
    for (const [name, command] of Object.entries(SUBJECTS)) {
      const cost = await costOf(command, { OVERLAYADM_RUN_DIR: daemon.run });
      if (round > 0) costs.get(name)?.push(cost);
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r');
  return costs;
}

function rows(costs: ReadonlyMap<string, readonly Cost[]>): string[][] {
  const cpuOf = (name: string) => summarize((costs.get(name) ?? []).map(({ cpuMs }) => cpuMs));
  const bare = cpuOf(BARE);
  return [...costs].map(([name, samples]) => {
    const cpu = cpuOf(name);
    const wall = summarize(samples.map(({ wallMs }) => wallMs));
    const more = [cpu.median - bare.median, cpu.min - bare.min];
    return [name, ...[cpu.median, cpu.min, cpu.max, ...more, wall.median, wall.min, wall.max].map(significant)];
  });
}

function runsOf(args: readonly string[]): number | undefined {
  const { values } = parseArgs({ args: [...args], options: { runs: { type: 'string', default: '15' } } });
  const runs = Number(values.runs);
  return Number.isInteger(runs) && runs >= LEAST_RUNS && runs <= MOST_RUNS ? runs : undefined;
}

const HEADER = ['command', 'CPU ms, median', 'min', 'max', 'median over bare', 'min over bare', 'wall ms, median', 'min', 'max'];

try {
  const runs = runsOf(process.argv.slice(2));
  if (runs === undefined) throw new Error(`--runs: a number from ${LEAST_RUNS} to ${MOST_RUNS}`);
  console.log(`${machine()}\nload before: ${load()}\n`);
  console.log(`${table(HEADER, rows(await measure(runs)))}\n\nload after: ${load()}`);
} catch (error) {
  console.error(`bench:start: ${error instanceof Error ? error.message : error}\n${USAGE}`);
  process.exitCode = 1;
}
