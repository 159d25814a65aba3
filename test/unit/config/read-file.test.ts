// Whom overlayd believes: rights and owners of the file and its directories, links, and things that are no files.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { loadConfiguration } from '../../../src/core/config/configuration.ts';
import { refuseUnsafe } from '../../../src/core/config/read-file.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const NOBODY = 65534;
let directory: string;
let path: string;

beforeEach(() => {
  directory = join(temporaryFolder(), 'etc');
  path = join(directory, 'config.yaml');
  mkdirSync(directory, { mode: 0o755 });
});

const write = (at: string): void => {
  writeFileSync(at, 'defaults: {mtu: 1450}');
  chmodSync(at, 0o644);
};
const refuses = (code: string, message: string): Promise<void> =>
  expect(loadConfiguration(directory)).rejects.toMatchObject({ code, message, details: { path: expect.any(String) }, advice: expect.any(String) });
const takes = (): Promise<void> => expect(loadConfiguration(directory)).resolves.toMatchObject({ path, defaults: new Map([['mtu', '1450']]) });

describe('the file', () => {
  it('is taken when others may only read it', async () => {
    write(path);
    await takes();
  });

  it.each([
    [0o664, 'its group'],
    [0o646, 'everybody'],
    [0o666, 'everybody'],
  ])('is refused with mode %o', async (mode, who) => {
    write(path);
    chmodSync(path, mode);
    await refuses('CONFIG_UNSAFE', `${path}: ${who} can write to it`);
  });

  it.each([
    [0o775, 'its group'],
    [0o1777, 'everybody'],
  ])('is refused in a directory with mode %o', async (mode, who) => {
    write(path);
    chmodSync(directory, mode);
    await refuses('CONFIG_UNSAFE', `${directory}: ${who} can write to it`);
  });

  it('has to be a file', async () => {
    mkdirSync(path);
    await refuses('CONFIG_UNREADABLE', `${path}: is not a regular file`);
  });

  it('is not waited for when it is a FIFO', async () => {
    execFileSync('mkfifo', [path]);
    await refuses('CONFIG_UNREADABLE', `${path}: is not a regular file`);
  });

  it('cannot be in a directory that is a file', async () => {
    write(path);
    directory = path;
    await expect(loadConfiguration(directory)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining('ENOTDIR') });
  });

  it('belongs to root or to the user of overlayd', () => {
    const check = (uid: number) => () => refuseUnsafe('/c', { uid, mode: 0o100644 }, 1000);
    expect(check(0)).not.toThrow();
    expect(check(1000)).not.toThrow();
    expect(check(1001)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_UNSAFE',
        message: '/c: belongs to uid 1001, who could change what overlayd does',
        advice: expect.stringContaining('chown 1000 /c'),
      }),
    );
  });
});

describe('a link', () => {
  let there: string;
  beforeEach(() => {
    there = join(directory, '../there');
    mkdirSync(there, { mode: 0o755 });
    symlinkSync('../there/file', path);
  });

  it('is followed', async () => {
    write(join(there, 'file'));
    await takes();
  });

  it('may be the directory', async () => {
    write(join(there, 'config.yaml'));
    directory = `${directory}-link`;
    path = join(directory, 'config.yaml');
    symlinkSync('there', directory);
    await takes();
  });

  it('is no way around the rights of the file, or of its directory', async () => {
    write(join(there, 'file'));
    chmodSync(there, 0o777);
    await refuses('CONFIG_UNSAFE', `${there.replace('/etc/..', '')}: everybody can write to it`);
    chmodSync(there, 0o755);
    chmodSync(join(there, 'file'), 0o666);
    await refuses('CONFIG_UNSAFE', `${path}: everybody can write to it`);
  });

  it('to nothing is not taken for no file', async () => {
    await refuses('CONFIG_UNREADABLE', `${path}: is a link to a file that is not there`);
  });
});

skipUnless({ root: true })('the file, when overlayd is root', () => {
  it('is refused when it or its directory belongs to somebody else', async () => {
    write(path);
    chownSync(path, NOBODY, NOBODY);
    await refuses('CONFIG_UNSAFE', `${path}: belongs to uid ${NOBODY}, who could change what overlayd does`);
    chownSync(path, 0, 0);
    chownSync(directory, NOBODY, NOBODY);
    await refuses('CONFIG_UNSAFE', `${directory}: belongs to uid ${NOBODY}, who could change what overlayd does`);
  });
});
