// A package has changed when any file of it has, also in the same version; what is not its own does not count.
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stampOf } from '../../../src/core/lookup/stamp.ts';
import { MAX_STAMPED_FILES } from '../../../src/core/util/limits.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

function packageOf() {
  const root = temporaryFolder();
  const write = (path: string, text: string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  write('package.json', JSON.stringify({ name: 'x', version: '1.0.0', dependencies: { helper: '*' } }));
  write('dist/index.js', 'export default {}');
  write('dist/deep/part.js', '1');
  write('node_modules/helper/package.json', '{"name":"helper","version":"1.0.0"}');
  write('node_modules/helper/index.js', '1');
  const stamp = () => stampOf({ package: 'x', root, modules: ['./dist/index.js'] });
  return { root, write, stamp };
}

describe('stampOf', () => {
  it('is the same as long as nothing changes', async () => {
    const { stamp } = packageOf();
    expect(await stamp()).toBe(await stamp());
  });

  it.each<[string, (kit: ReturnType<typeof packageOf>) => void]>([
    ['the module', ({ write }) => write('dist/index.js', 'export default { a: 1 }')],
    ['a file that the module imports', ({ write }) => write('dist/deep/part.js', '2')],
    ['a new file', ({ write }) => write('dist/more.js', '')],
    ['a file that is gone', ({ root }) => rmSync(join(root, 'dist/deep/part.js'))],
    ['a time', ({ root }) => utimesSync(join(root, 'dist/index.js'), 1, 1)],
    [
      'a file put in its place with the same contents',
      ({ root, write }) => {
        write('dist/new.js', 'export default {}');
        renameSync(join(root, 'dist/new.js'), join(root, 'dist/index.js'));
      },
    ],
    ['the version of a dependency', ({ write }) => write('node_modules/helper/package.json', '{"name":"helper","version":"1.0.1"}')],
  ])('is another one after a change of %s', async (_, change) => {
    const kit = packageOf();
    const before = await kit.stamp();
    change(kit);
    expect(await kit.stamp()).not.toBe(before);
  });

  it.each<[string, string]>([
    ['version control', '.git/index'],
    ['packages it does not depend on', 'node_modules/other/index.js'],
  ])('does not mind %s', async (_, path) => {
    const kit = packageOf();
    kit.write(path, '1');
    // The folder itself is looked at as well: it is there before.
    const before = await kit.stamp();
    kit.write(path, '22');
    expect(await kit.stamp()).toBe(before);
  });

  it('ends, and says something, where there is no package, or a circle, or too much', async () => {
    expect(await stampOf({ package: 'x', root: '/nowhere/at/all', modules: ['x.js'] })).toMatch(/=$/);
    const { root, write, stamp } = packageOf();
    symlinkSync(root, join(root, 'dist', 'circle'));
    for (let number = 0; number < MAX_STAMPED_FILES + 10; number++) write(`many/${number}`, '');
    expect(await stamp()).toMatch(/=$/);
  });
});
