// What holds for every command: what is said of mistakes outside of any, and what is loaded to start.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
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
