// What `plugins install` takes for a file, and what it leaves to npm.

import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageArgument } from '../../../src/core/cli/plugins-arguments.ts';
import { installedPlugins, leftOver, providersOf } from '../../../src/core/cli/plugins-installed.ts';
import { temporaryFolder } from '../../helpers/temporary.ts';

const folder = temporaryFolder();
const file = join(folder, 'a-1.0.0.tgz');
writeFileSync(file, '');

describe('packageArgument', () => {
  it.each([file, `file:${file}`, `file://${file}`, relative('.', file), `file:${relative('.', file)}`])('%s is a file', (text) => {
    expect(packageArgument(text)).toBe(`file:${file}`);
  });

  it.each(['geneve', '@me/plugin-geneve', 'geneve@1.0.0', 'https://example.com/a.tgz', 'git+ssh://git@example.com/a.git', 'me/geneve'])(
    '%s is for npm',
    (text) => expect(packageArgument(text)).toBe(text),
  );

  it.each(['/nowhere/a.tgz', 'file:/nowhere/a.tgz', './a.tgz', 'a.tgz', 'a.tar.gz'])('%s is not there', (text) => {
    expect(() => packageArgument(text)).toThrow(expect.objectContaining({ code: 'PLUGIN_NOT_FOUND' }));
  });

  it.each(['--ignore-scripts=false', '--script-shell=file:/bin/x', '-g'])('%s is no package', (text) => {
    expect(() => packageArgument(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('the list of oclif', () => {
  const write = (value: unknown): void => writeFileSync(join(folder, 'package.json'), typeof value === 'string' ? value : JSON.stringify(value));

  it('is read, and entries that are none are left out', () => {
    const plugins = ['old', { name: '@a/b', type: 'user', tag: '^1' }, { name: 'c', type: 'link', root: '/c' }];
    const wrong = [{ name: '../../etc', type: 'user' }, { name: 'd', type: 'link' }, { name: 7 }, null, '.hidden', 'a/../../b'];
    write({ oclif: { plugins: [...plugins, ...wrong] }, dependencies: { old: '1', '@a/b': '1', c: '1', e: '1' } });
    expect(installedPlugins(folder)).toEqual([
      { name: 'old', kind: 'installed', folder: join(folder, 'node_modules/old'), source: null },
      { name: '@a/b', kind: 'installed', folder: join(folder, 'node_modules/@a/b'), source: '^1' },
      { name: 'c', kind: 'linked', folder: '/c', source: '/c' },
    ]);
    expect(leftOver(folder)).toEqual(['c', 'e']);
  });

  it.each([[{}], [{ oclif: 7 }], [{ oclif: { plugins: 'x' } }], [[]], ['null']])('%j is an empty one', (value) => {
    write(value);
    expect([installedPlugins(folder), leftOver(folder)]).toEqual([[], []]);
  });

  it('that is not there is an empty one, and one that is no JSON is an error', () => {
    expect(installedPlugins(join(folder, 'none'))).toEqual([]);
    write('{');
    expect(() => installedPlugins(folder)).toThrow(expect.objectContaining({ code: 'PLUGINS_UNREADABLE' }));
  });
});

it.each([
  [{ overlayadm: { providers: [{ kind: 'encap', name: 'geneve' }, { kind: 'lookup' }, 7] } }, ['geneve (encap)']],
  [{ overlayadm: { providers: 'x' } }, []],
  [{}, []],
])('providersOf(%j)', (manifest, expected) => expect(providersOf(manifest)).toEqual(expected));
