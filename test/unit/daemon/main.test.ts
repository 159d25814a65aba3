// The program overlayd, as a real process in a network namespace of its own: arguments, lock, log, signals, exit statuses.
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MAX_LOG_BYTES } from '../../../src/core/util/limits.ts';
import { type Result, type Running, run, start } from '../../helpers/process.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';
import { waitFor } from '../../helpers/wait.ts';

const overlayd = fileURLToPath(new URL('../../../bin/overlayd', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
const MS = 60_000;

class Place {
  readonly run: string;
  readonly state: string;
  readonly env: Readonly<Record<string, string>>;

  constructor() {
    const base = temporaryFolder();
    const of = (name: string): string => join(base, name);
    this.run = of('run');
    this.state = of('state');
    const variables = { OVERLAYADM_DATA_DIR: of('data'), OVERLAYADM_CONFIG_DIR: of('config') };
    this.env = { OVERLAYADM_RUN_DIR: this.run, OVERLAYADM_STATE_DIR: this.state, ...variables };
  }

  get log(): string {
    return join(this.run, 'overlayd.log');
  }

  start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Running {
    return start('unshare', ['--net', overlayd, ...args], { env: { ...this.env, ...env } });
  }

  /** Started, and answering. */
  async serving(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Running> {
    const daemon = this.start(args, env);
    const ended = daemon.end().then(({ status, stderr }) => Promise.reject(new Error(`ended with ${status}: ${stderr}`)));
    ended.catch(() => undefined);
    await Promise.race([ended, waitFor(() => existsSync(join(this.run, 'overlayd.sock')), MS, 'the socket')]);
    return daemon;
  }
}

async function stopped(daemon: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<Result> {
  daemon.kill(signal);
  return daemon.end();
}

describe('the arguments of overlayd', () => {
  it('--help and --version print to stdout and start nothing', async () => {
    const help = await run(overlayd, ['--help']);
    expect(help).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('usage: overlayd') });
    expect(await run(overlayd, ['--version'])).toMatchObject({ status: 0, stderr: '', stdout: `${version}\n` });
  }, 30_000);

  it.each([['--nosuch'], ['operand'], ['--log-file=x']])(
    'refuse %s with the usage and status 2',
    async (argument) => {
      const refused = await run(overlayd, [argument]);
      expect(refused).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/^overlayd: [\s\S]*usage: overlayd/) });
    },
    30_000,
  );

  it('refuse a directory that is not absolute, with what to do', async () => {
    const refused = await run(overlayd, [], { env: { ...new Place().env, OVERLAYADM_RUN_DIR: 'run' } });
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('OVERLAYADM_RUN_DIR') });
  }, 30_000);
});

skipUnless({ root: true, commands: ['unshare'] })('overlayd', () => {
  // Who would start it again after SIGHUP is the keeper.
  it.each([
    ['SIGTERM', []],
    ['SIGINT', []],
    ['SIGHUP', ['--no-keeper']],
  ] as const)(
    'stops on %s with status 0, says so, and removes its socket',
    async (signal, args) => {
      const place = new Place();
      const daemon = await place.serving(args);
      await daemon.printed('overlayd serves');
      const begin = performance.now();
      const { status, stderr } = await stopped(daemon, signal);
      expect(status).toBe(0);
      // Far below STOP_TIMEOUT_MS: it ended because it was through, not because its time was up.
      expect(performance.now() - begin).toBeLessThan(8000);
      expect(
        stderr
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line).msg),
      ).toEqual(expect.arrayContaining(['overlayd serves', 'stopped']));
      expect(existsSync(join(place.run, 'overlayd.sock'))).toBe(false);
    },
    MS,
  );

  it(
    'runs once for a run directory: the second says who has it, with status 3, and harms nothing',
    async () => {
      const place = new Place();
      const daemon = await place.serving();
      const second = await place.start().end();
      expect(second).toMatchObject({
        status: 3,
        stderr: expect.stringContaining(`(pid ${readFileSync(join(place.run, 'overlayd.pid'), 'utf8').trim()})`),
      });
      expect(existsSync(join(place.run, 'overlayd.sock'))).toBe(true);
      expect((await stopped(daemon)).status).toBe(0);
    },
    MS,
  );

  it(
    'that was killed is no obstacle for the next one',
    async () => {
      const place = new Place();
      const first = await place.serving();
      expect((await stopped(first, 'SIGKILL')).signal).toBe('SIGKILL');
      expect(existsSync(join(place.run, 'overlayd.sock'))).toBe(true);
      const next = place.start();
      await next.printed('overlayd serves', MS);
      expect((await stopped(next)).status).toBe(0);
    },
    MS,
  );

  it(
    'logs to a file when it is told to, puts a large one aside, and prints nothing',
    async () => {
      const place = new Place();
      mkdirSync(place.run, { mode: 0o750 });
      writeFileSync(place.log, '');
      truncateSync(place.log, MAX_LOG_BYTES + 1);
      const daemon = await place.serving(['--log-file']);
      await waitFor(() => readFileSync(place.log, 'utf8').includes('overlayd serves'), MS);
      expect(statSync(`${place.log}.old`).size).toBe(MAX_LOG_BYTES + 1);
      expect(await stopped(daemon)).toMatchObject({ status: 0, stdout: '', stderr: '' });
      expect(readFileSync(place.log, 'utf8')).toContain('"msg":"stopped"');
    },
    MS,
  );

  it(
    'serves and stops although the disk of its log is full',
    async () => {
      const place = new Place();
      mkdirSync(place.run, { mode: 0o750 });
      symlinkSync('/dev/full', place.log);
      const daemon = await place.serving(['--log-file']);
      expect(await stopped(daemon)).toMatchObject({ status: 0, stderr: '' });
    },
    MS,
  );

  it(
    'serves although the service manager that its environment names is not there',
    async () => {
      const place = new Place();
      const daemon = await place.serving([], { NOTIFY_SOCKET: '/nonexistent/notify', OVERLAYD_HOLDER: 'systemd' });
      await daemon.printed('the holder of descriptors cannot be told');
      expect((await stopped(daemon)).status).toBe(0);
    },
    MS,
  );

  it(
    'refuses a damaged id of its state directory, says what to do, and leaves the file alone',
    async () => {
      const place = new Place();
      mkdirSync(place.state);
      const file = join(place.state, 'id');
      writeFileSync(file, 'not an id\n');
      const { status, stderr } = await place.start().end();
      expect(status).toBe(1);
      expect(JSON.parse(stderr.trimEnd().split('\n')[0] ?? '')).toMatchObject({
        code: 'STATE_DAMAGED',
        advice: expect.stringContaining('Delete the file'),
      });
      expect(readFileSync(file, 'utf8')).toBe('not an id\n');
      expect(existsSync(join(place.run, 'overlayd.sock'))).toBe(false);
    },
    MS,
  );

  it(
    'keeps the id of its state directory, and makes its directories with their rights',
    async () => {
      const place = new Place();
      await stopped(await place.serving());
      const id = readFileSync(join(place.state, 'id'), 'utf8');
      expect(id).toMatch(/^[0-9a-f]{12}\n$/);
      await stopped(await place.serving());
      expect(readFileSync(join(place.state, 'id'), 'utf8')).toBe(id);
      const modes = [place.run, place.state, join(place.run, 'overlayd.pid')].map((path) => (statSync(path).mode & 0o777).toString(8));
      expect(modes).toEqual(['750', '755', '600']);
    },
    MS,
  );
});
