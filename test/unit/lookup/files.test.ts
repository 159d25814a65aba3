// Files are read as the person who named them, only when they are what they should be, and never block.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { followFile, systemFiles } from '../../../src/core/lookup/files.ts';
import { FILE_POLL_MS, MAX_PLUGIN_FILE_BYTES } from '../../../src/core/util/limits.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';
import { waitFor } from '../../helpers/wait.ts';

const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, groups: [] };
const nobody = { uid: 65534, gid: 65534, groups: [] };
const textOf = async (path: string, setter = self): Promise<string> => Buffer.from(await systemFiles.read(path, setter)).toString();
const fails = (path: string, why: string, setter = self) =>
  expect(systemFiles.read(path, setter)).rejects.toMatchObject({
    code: 'FILE_UNREADABLE',
    message: `${path}: ${why}`,
    details: { path },
    advice: expect.any(String),
  });

let folder: string;
let file: string;
beforeEach(() => {
  folder = temporaryFolder();
  chmodSync(folder, 0o755);
  file = join(folder, 'file');
  writeFileSync(file, 'contents');
  chmodSync(file, 0o644);
});

/** The same for who reads directly and who reads as another user. */
function refusals(setter: typeof self): void {
  it('reads a regular file, also behind a link', async () => {
    symlinkSync(file, join(folder, 'link'));
    expect(await textOf(file, setter)).toBe('contents');
    expect(await textOf(join(folder, 'link'), setter)).toBe('contents');
  });

  it('refuses what is not there, a folder, a FIFO without a writer, and a device', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    await fails(join(folder, 'absent'), 'no such file', setter);
    await fails(folder, 'not a regular file', setter);
    await fails(join(folder, 'fifo'), 'not a regular file', setter);
    await fails('/dev/zero', 'not a regular file', setter);
  });

  it('refuses a file beyond the bound', async () => {
    truncateSync(file, MAX_PLUGIN_FILE_BYTES + 1);
    await fails(file, `larger than ${MAX_PLUGIN_FILE_BYTES} bytes`, setter);
  });
}

describe('files of our own user', () => refusals(self));

skipUnless({ root: true })('files of another user', () => {
  refusals(nobody);

  it('refuses what that user may not read', async () => {
    chmodSync(file, 0o600);
    await fails(file, 'permission denied', nobody);
    expect(await textOf(file)).toBe('contents');
  });

  it('tells nothing of what is in a folder that is closed to that user', async () => {
    mkdirSync(join(folder, 'closed'), { mode: 0o700 });
    writeFileSync(join(folder, 'closed', 'there'), '');
    await fails(join(folder, 'closed', 'there'), 'permission denied', nobody);
    await fails(join(folder, 'closed', 'absent'), 'permission denied', nobody);
  });

  it('reads with the groups of that user', async () => {
    execFileSync('chgrp', ['4321', file]);
    chmodSync(file, 0o640);
    await fails(file, 'permission denied', nobody);
    expect(await textOf(file, { ...nobody, groups: [4321] as never[] })).toBe('contents');
  });

  it('takes no option from a path', async () => {
    expect(await textOf(`${folder}/./--/../file`, nobody).catch(() => 'refused')).toBe('refused');
    expect(await textOf(`${folder}/./file`, nobody)).toBe('contents');
  });
});

describe('followFile', () => {
  function follow(setter = self) {
    const clock = new FakeClock();
    const log: string[] = [];
    const following = followFile(systemFiles, clock, file, setter, {
      contents: (bytes) => void log.push(Buffer.from(bytes).toString()),
      failed: (error) => void log.push(error.message),
    });
    const reached = (count: number): Promise<unknown> =>
      waitFor(() => clock.advance(FILE_POLL_MS).then(() => log.length >= count), 5000, `${count} events`);
    return { clock, log, following, reached };
  }

  it('gives the contents at once, after a change in place, and after a rename over it', async () => {
    const { log, reached } = follow();
    await reached(1);
    writeFileSync(file, 'changed');
    await reached(2);
    writeFileSync(`${file}.new`, 'renamed');
    renameSync(`${file}.new`, file);
    await reached(3);
    expect(log).toEqual(['contents', 'changed', 'renamed']);
  });

  it.runIf(process.getuid?.() === 0)('ends with the reason when whoever named the file may not read it any more', async () => {
    const { log, reached } = follow(nobody);
    await reached(1);
    chmodSync(file, 0o600);
    await reached(2);
    expect(log).toEqual(['contents', `${file}: permission denied`]);
  });

  it('sees a change that leaves size and time of modification as they were', async () => {
    const { log, reached, clock } = follow();
    await reached(1);
    // It was read twice by now: only the stamp can tell.
    for (let poll = 0; poll < 3; poll++) await clock.advance(FILE_POLL_MS);
    const { atime, mtime } = statSync(file);
    writeFileSync(file, 'CONTENTS');
    utimesSync(file, atime, mtime);
    await reached(2);
    expect(log).toEqual(['contents', 'CONTENTS']);
  });

  it('sees a file that is swapped by its link, or by one on the way to it', async () => {
    const path = file;
    file = join(folder, 'current', 'file');
    for (const version of ['1', '2']) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, 'file'), `version ${version}`);
    }
    symlinkSync('1', join(folder, 'current'));
    const { log, reached } = follow();
    await reached(1);
    symlinkSync('2', join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'current'));
    await reached(2);
    symlinkSync(path, join(folder, '2', 'link'));
    renameSync(join(folder, '2', 'link'), join(folder, '2', 'file'));
    await reached(3);
    expect(log).toEqual(['version 1', 'version 2', 'contents']);
  });

  it('sees what was written so soon after a reading that the stamp is the same, and reads no more than once again', async () => {
    const clock = new FakeClock();
    const log: string[] = [];
    let now = 'first';
    let reads = 0;
    const read = async (): Promise<Uint8Array> => {
      reads++;
      return Buffer.from(now);
    };
    const still = { stamp: async () => 'the same', read };
    followFile(still, clock, file, self, { contents: (bytes) => void log.push(Buffer.from(bytes).toString()), failed: () => {} });
    await waitFor(() => log.length === 1, 5000, 'the first contents');
    now = 'second';
    for (let poll = 0; poll < 5; poll++) await clock.advance(FILE_POLL_MS);
    expect([log, reads]).toEqual([['first', 'second'], 3]);
  });

  it('ends with the reason when the file goes', async () => {
    const { log, reached, clock } = follow();
    await reached(1);
    rmSync(file);
    await reached(2);
    writeFileSync(file, 'back');
    await clock.advance(5 * FILE_POLL_MS);
    expect(log).toEqual(['contents', `${file}: no such file`]);
  });

  it('says nothing after cancel', async () => {
    const { log, reached, clock, following } = follow();
    await reached(1);
    following.cancel();
    writeFileSync(file, 'changed');
    await clock.advance(5 * FILE_POLL_MS);
    expect([log, clock.timers]).toEqual([['contents'], 0]);
  });
});
