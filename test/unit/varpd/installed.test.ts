// The list of installed packages: whatever is in its file, it is read or named, and nobody waits.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_MANIFEST_BYTES } from '../../../src/core/util/limits.ts';
import { readInstalled } from '../../../src/core/varpd/protocol.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const folder = temporaryFolder();
const file = join(folder, 'package.json');
const listOf = (...plugins: readonly unknown[]) => {
  writeFileSync(file, JSON.stringify({ oclif: { plugins } }));
  return readInstalled(folder);
};

describe('readInstalled', () => {
  it('finds what npm has installed and what was linked', () => {
    const found = listOf('plain', { name: '@scope/name', type: 'user', url: 'file:x' }, { name: 'linked', type: 'link', root: '/some/where' });
    expect(found).toEqual({
      packages: [
        { name: 'plain', folder: join(folder, 'node_modules/plain') },
        { name: '@scope/name', folder: join(folder, 'node_modules/@scope/name') },
        { name: 'linked', folder: '/some/where' },
      ],
      problems: [],
    });
  });

  it.each(['..', '../x', '.hidden', '/etc', 'a/b', '@a/../b', '@../b', '', 'a\0b'])('makes no path of the name %j', (name) => {
    expect(listOf(name, { name, type: 'link', root: '/x' }, 'good')).toMatchObject({
      packages: [{ name: 'good' }],
      problems: [`plugins in ${folder}: 2 left out, what the list says of them is no package`],
    });
  });

  it('is empty without a directory', () => {
    expect(readInstalled(join(folder, 'absent'))).toEqual({ packages: [], problems: [] });
    expect(readInstalled(join(file, 'below-a-file'))).toEqual({ packages: [], problems: [] });
  });

  it('names what lies in the place of the file: a FIFO, a folder, something endless or too large', () => {
    const places = ['fifo', 'folder', 'large'].map((name) => join(folder, name)) as [string, string, string];
    for (const place of places) mkdirSync(place);
    execFileSync('mkfifo', [join(places[0], 'package.json')]);
    mkdirSync(join(places[1], 'package.json'));
    writeFileSync(join(places[2], 'package.json'), `"${'x'.repeat(MAX_MANIFEST_BYTES)}"`);
    expect(places.map((place) => readInstalled(place).problems)).toEqual([
      [expect.stringContaining('not a regular file')],
      [expect.stringContaining('not a regular file')],
      [expect.stringContaining(`larger than ${MAX_MANIFEST_BYTES} bytes`)],
    ]);
  });

  it('is total over what the file says', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (plugins) => {
        for (const value of [plugins, { oclif: plugins }, { oclif: { plugins } }]) {
          writeFileSync(file, JSON.stringify(value));
          expect(readInstalled(folder).packages.every((each) => each.folder !== '')).toBe(true);
        }
      }),
    );
  });
});
