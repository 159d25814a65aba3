// The directories, from the environment alone.
import { describe, expect, it } from 'vitest';
import { areDefault, directoriesOf, logPath, pidPath, socketPath } from '../../../src/core/util/directories.ts';

describe('directoriesOf', () => {
  const defaults = { run: '/run/overlayadm', state: '/var/lib/overlayadm', data: '/var/lib/overlayadm/plugins', config: '/etc/overlayadm' };

  it('has those of the host when nothing is set, or set to nothing', () => {
    expect(directoriesOf({})).toEqual(defaults);
    expect(directoriesOf({ OVERLAYADM_RUN_DIR: '', OVERLAYADM_DATA_DIR: defaults.data })).toEqual(defaults);
    expect(areDefault(directoriesOf({}))).toBe(true);
  });

  it.each(['RUN', 'STATE', 'DATA', 'CONFIG'] as const)('takes OVERLAYADM_%s_DIR, and is another host then', (name) => {
    const directories = directoriesOf({ [`OVERLAYADM_${name}_DIR`]: '/tmp/../tmp/a/' });
    expect(directories).toEqual({ ...defaults, [name.toLowerCase()]: '/tmp/a' });
    expect(areDefault(directories)).toBe(false);
  });

  it.each(['run', './run', '../run', '~/run', ' /run'])('refuses %j', (path) => {
    const refusal = expect.objectContaining({ code: 'DIRECTORY_NOT_ABSOLUTE', message: `OVERLAYADM_STATE_DIR: not an absolute path (${path})` });
    expect(() => directoriesOf({ OVERLAYADM_STATE_DIR: path })).toThrow(refusal);
  });

  it('refuses a run directory whose socket no address can name, by its bytes', () => {
    const longest = 107 - '/overlayd.sock'.length;
    const run = `/${'ü'.repeat((longest - 1) / 2)}`;
    expect(Buffer.byteLength(socketPath(directoriesOf({ OVERLAYADM_RUN_DIR: run })))).toBe(107);
    expect(() => directoriesOf({ OVERLAYADM_RUN_DIR: `${run}x` })).toThrow(expect.objectContaining({ code: 'DIRECTORY_TOO_LONG' }));
  });

  it('knows the files of the run directory', () => {
    const paths = [socketPath, pidPath, logPath].map((path) => path({ run: '/r' }));
    expect(paths).toEqual(['/r/overlayd.sock', '/r/overlayd.pid', '/r/overlayd.log']);
  });
});
