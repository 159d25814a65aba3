// Directories of overlayd: made with their rights, and refused where somebody else could put a link in the place of a file.
import { chmodSync, chownSync, lchownSync, mkdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeOwnDirectories } from '../../../src/core/daemon/own-directories.ts';
import { skipUnless } from '../../helpers/requirements.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
const NOBODY = 65534;
let run: string;
let state: string;

beforeEach(() => {
  const folder = temporaryFolder();
  run = join(folder, 'a/run');
  state = join(folder, 'state');
});

const make = (readers?: number): void => makeOwnDirectories({ run, state }, own, readers);
const refuses = (why: string, code = 'DIRECTORY_UNSAFE'): void =>
  expect(() => make()).toThrow(expect.objectContaining({ code, message: `${run}: ${why}`, advice: expect.any(String) }));

function openRunDirectory(): void {
  mkdirSync(run, { recursive: true });
  chmodSync(run, 0o777);
}

describe('directories of overlayd', () => {
  it('are made, with those above them, and taken as they are the next time', () => {
    make();
    make();
    expect([run, state].map((path) => (statSync(path).mode & 0o777).toString(8))).toEqual(['750', '755']);
  });

  it('may be behind a link of our own', () => {
    mkdirSync(join(run, '../there'), { recursive: true });
    symlinkSync('there', run);
    expect(() => make()).not.toThrow();
  });

  it('are refused when everybody can write to them', () => {
    openRunDirectory();
    refuses('everybody can write to it');
  });

  it('are refused when they cannot be made', () => {
    run = '/proc/self/overlayadm/run';
    expect(() => make()).toThrow(expect.objectContaining({ code: 'DIRECTORY_UNUSABLE' }));
  });
});

skipUnless({ root: true })('directories of overlayd, when it is root', () => {
  it('are refused when they belong to somebody else, or the link to them does', () => {
    mkdirSync(run, { recursive: true });
    chownSync(run, NOBODY, NOBODY);
    refuses(`belongs to uid ${NOBODY}, who could replace the files in it`);
    run = `${run}-link`;
    symlinkSync(state, run);
    mkdirSync(state);
    lchownSync(run, NOBODY, NOBODY);
    refuses(`belongs to uid ${NOBODY}, who could replace the files in it`);
  });

  it('are refused when a group can write to them', () => {
    mkdirSync(run, { recursive: true });
    chmodSync(run, 0o770);
    chownSync(run, 0, NOBODY);
    refuses(`gid ${NOBODY} can write to it`);
  });

  it('are given to the group of those who may read', () => {
    make(NOBODY);
    expect([statSync(run).gid, statSync(state).gid]).toEqual([NOBODY, own.gid]);
  });
});
