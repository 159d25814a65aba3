// What a child of overlayd is started with, by what overlayd may do itself; and who can read what.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { whyNotReadable } from '../../../src/core/lookup/reach.ts';
import { powersOf, serviceUser, setprivArguments } from '../../../src/core/lookup/rights.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const ALL = { changesUser: true, dropsBounds: true };
const NONE = { changesUser: false, dropsBounds: false };
const user = { uid: 1234, gid: 5678 };

describe('setprivArguments', () => {
  it('gives up everything where overlayd may', () => {
    expect(setprivArguments(ALL, user).join(' ')).toBe(
      '--reuid=1234 --regid=5678 --clear-groups --inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs --pdeathsig=KILL --',
    );
  });

  it('keeps the ids where it may not change them, or shall not, and still gives up the rest', () => {
    expect(setprivArguments(NONE, user).join(' ')).toBe('--inh-caps=-all --ambient-caps=-all --no-new-privs --pdeathsig=KILL --');
    expect(setprivArguments(ALL, undefined).join(' ')).toBe(
      '--inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs --pdeathsig=KILL --',
    );
  });

  it('gives a reader of files the groups of the person', () => {
    expect(setprivArguments(ALL, user, [1, 2])).toContain('--groups=1,2');
  });
});

describe('powersOf', () => {
  it.each([
    ['000001ffffffffff', ALL],
    ['0000000000000000', NONE],
    ['00000000000000c0', { changesUser: true, dropsBounds: false }],
    ['0000000000000100', { changesUser: false, dropsBounds: true }],
    ['0000000000000080', NONE],
  ])('reads CapEff %s', (bits, powers) => expect(powersOf(`Name:\tnode\nCapEff:\t${bits}\nCapBnd:\tffff\n`)).toEqual(powers));

  it('expects nothing of a text without it', () => expect(powersOf('')).toEqual(NONE));
});

describe('serviceUser', () => {
  it('is overlayadm where it exists, and nobody where not, or where that is root', () => {
    expect(serviceUser('root:x:0:0::/root:/bin/sh\noverlayadm:x:998:997::/:/bin/false\n', '')).toEqual({ uid: 998, gid: 997 });
    expect(serviceUser('root:x:0:0::/root:/bin/sh\n', '')).toEqual({ uid: 65534, gid: 65534 });
    expect(serviceUser('overlayadm:x:0:0::/:/bin/false\n', '')).toEqual({ uid: 65534, gid: 65534 });
  });

  it('is in no group that may use the control socket', () => {
    const groups = 'root:x:0:\noverlayadm:x:997:somebody\noverlayadm-operator:x:996:\n';
    expect(serviceUser('overlayadm:x:998:997::/:/bin/false\n', groups)).toEqual({ uid: 998, gid: 65534 });
    expect(serviceUser('overlayadm:x:998:996::/:/bin/false\n', groups)).toEqual({ uid: 998, gid: 65534 });
    expect(serviceUser('overlayadm:x:998:995::/:/bin/false\n', groups)).toEqual({ uid: 998, gid: 995 });
  });
});

describe('whyNotReadable', () => {
  const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const other = { uid: 64_000, gid: 64_000 };

  function tree() {
    const root = temporaryFolder();
    chmodSync(root, 0o755);
    const folder = join(root, 'folder');
    const file = join(folder, 'file');
    mkdirSync(folder);
    writeFileSync(file, '');
    chmodSync(folder, 0o755);
    chmodSync(file, 0o644);
    return { root, folder, file };
  }

  it('names the folder or file that is closed, the first on the way', () => {
    const { root, folder, file } = tree();
    expect(whyNotReadable(file, other)).toBeUndefined();
    chmodSync(file, 0o640);
    expect(whyNotReadable(file, other)).toBe(file);
    chmodSync(folder, 0o744);
    expect(whyNotReadable(file, other)).toBe(folder);
    expect(whyNotReadable(folder, other)).toBe(folder);
    chmodSync(root, 0o700);
    expect(whyNotReadable(file, other)).toBe(root);
    expect(whyNotReadable(file, self)).toBeUndefined();
  });

  it('knows the group', () => {
    const { file } = tree();
    chmodSync(file, 0o640);
    expect(whyNotReadable(file, { uid: other.uid, gid: self.gid })).toBeUndefined();
  });

  it('says what is wrong with a path that is not there', () => {
    expect(whyNotReadable('/nowhere/at/all', other)).toMatch(/ENOENT/);
  });
});
