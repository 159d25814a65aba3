// What holds for every command: what is said of mistakes outside of any, and what is loaded to start.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { THIN_COMMANDS } from '../../src/core/cli/thin.ts';
import { overlayadm } from './overlayadm.ts';

describe('overlayadm', () => {
  it('says in one object what was typed wrongly, and nothing of its configuration', async () => {
    const { status, stdout } = await overlayadm(['show-vnic', '--json', '-q'], {});
    expect({ status, result: JSON.parse(stdout) }).toEqual({
      status: 2,
      result: { error: { code: 'USAGE', message: "unrecognized option '-q'", details: {} } },
    });
  });

  it('knows its subcommands', async () => {
    const stderr = "overlayadm: unknown subcommand 'melt-overlay'\nusage: overlayadm COMMAND [OPTION]... (see overlayadm --help)\n";
    expect(await overlayadm(['melt-overlay'], {})).toEqual({ status: 2, stdout: '', stderr });
  });

  it('says so in one object too', async () => {
    const { status, stdout, stderr } = await overlayadm(['melt-overlay', '--json'], {});
    const error = { code: 'USAGE', message: "unknown subcommand 'melt-overlay'", details: {} };
    expect({ status, stdout: JSON.parse(stdout), stderr }).toEqual({ status: 2, stdout: { error }, stderr: '' });
  });

  it('says so in one object for OVERLAYADM_CONTENT_TYPE too', async () => {
    const { status, stdout, stderr } = await overlayadm(['melt-overlay'], { OVERLAYADM_CONTENT_TYPE: 'json' });
    expect({ status, stdout: JSON.parse(stdout), stderr }).toMatchObject({ status: 2, stdout: { error: { code: 'USAGE' } }, stderr: '' });
  });

  it('refuses a relative run directory', async () => {
    const stderr =
      'overlayadm: OVERLAYADM_RUN_DIR: not an absolute path (run)\n  Set OVERLAYADM_RUN_DIR to a path that begins with /, or leave it unset.\n';
    expect(await overlayadm(['show-vnic'], { OVERLAYADM_RUN_DIR: 'run' })).toEqual({ status: 1, stdout: '', stderr });
  });

  it.each(['show-vnic', 'delete-vnic v'])('OVERLAYADM_CONTENT_TYPE is as --json: %s', async (line) => {
    const { status, stdout, stderr } = await overlayadm(line.split(' '), { OVERLAYADM_CONTENT_TYPE: 'json', OVERLAYADM_RUN_DIR: 'run' });
    const error = expect.objectContaining({ message: 'OVERLAYADM_RUN_DIR: not an absolute path (run)' });
    expect({ status, stdout: JSON.parse(stdout), stderr }).toEqual({ status: 1, stdout: { error }, stderr: '' });
  });

  it('loads neither schemas nor a logger to start', () => {
    const record = `import { registerHooks } from 'node:module';
      const seen = [];
      registerHooks({ resolve(name, context, next) { seen.push(name); return next(name, context); } });
      await import(${JSON.stringify(new URL('../../src/commands/create-overlay.ts', import.meta.url).href)});
      console.log(JSON.stringify(seen.filter((name) => !name.startsWith('.') && !name.startsWith('node:') && !name.startsWith('file:'))));`;
    const packages: string[] = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', record], { encoding: 'utf8' }));
    expect(packages).toContain('@oclif/core');
    expect(packages).toContain('@overlayadm/api');
    for (const heavy of ['valibot', 'pino', '@overlayadm/packetio']) expect(packages).not.toContain(heavy);
  });
});

describe.each(['overlayadm.cjs', 'overlayadm.js'])('bin/%s', (name) => {
  const program = fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
  const env = { PATH: process.env.PATH, OVERLAYADM_RUN_DIR: 'relative' };

  it('says that a full disk took nothing of what it printed, status 1', () => {
    const full = openSync('/dev/full', 'w');
    try {
      for (const words of [['--version'], ['create-overlay', '--help'], ['show-vnic', '--json']]) {
        const { status, stderr } = spawnSync(process.execPath, [program, ...words], { env, encoding: 'utf8', stdio: ['ignore', full, 'pipe'] });
        expect({ words, status, stderr }).toEqual({ words, status: 1, stderr: expect.stringMatching(/^overlayadm: cannot write: ENOSPC.*\n$/) });
      }
    } finally {
      closeSync(full);
    }
  });

  it('is silent when its reader has seen enough', () => {
    const { stderr } = spawnSync('sh', ['-c', '"$0" "$@" | true', process.execPath, program, 'create-overlay', '--help'], { env, encoding: 'utf8' });
    expect(stderr).toBe('');
  });

  it.each([['create-overlay', '--help'], ['create-overlay']])('has no warning of Node.js for NO_COLOR with FORCE_COLOR: %s %s', (...words) => {
    const both = { ...env, NO_COLOR: '1', FORCE_COLOR: '1' };
    const { stdout, stderr } = spawnSync(process.execPath, [program, ...words.filter(Boolean)], { env: both, encoding: 'utf8' });
    for (const text of ['Warning', '\u001b']) expect(`${stdout}${stderr}`).not.toContain(text);
  });
});

it.each(THIN_COMMANDS)('the help of $id has the fields of -o', async ({ id, tables }) => {
  const { stdout } = await overlayadm([id, '--help'], {});
  const text = stdout.replace(/\s+/g, ' ');
  for (const { fields } of tables) expect(text).toContain(`: ${fields.map((field) => field.name.toLowerCase()).join(', ')}.`);
});
