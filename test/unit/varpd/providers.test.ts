// What package.json files say becomes a table; everything that is left out is named.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkProviderTable, collectProviders } from '../../../src/core/varpd/protocol.ts';

const manifest = (overlayadm: unknown, name = 'pkg') => ({ name, version: '1.2.3', overlayadm });
const files = { kind: 'lookup', name: 'files', module: './dist/index.js' };
const only = (overlayadm: unknown) => collectProviders([{ root: '/p', manifest: manifest(overlayadm) }]);

describe('collectProviders', () => {
  it('gives providers, sorted, with package, version and folder', () => {
    const { providers, problems } = only({ api: 1, providers: [files, { kind: 'encap', name: 'vxlan', module: 'v.js' }] });
    expect(problems).toEqual([]);
    expect(providers).toEqual([
      { kind: 'encap', name: 'vxlan', package: 'pkg', version: '1.2.3', root: '/p', module: 'v.js', api: 1 },
      { ...files, package: 'pkg', version: '1.2.3', root: '/p', api: 1 },
    ]);
  });

  it('has nothing to say of a package without the key', () => {
    expect(collectProviders([{ root: '/p', manifest: { name: 'commands-only', version: '1.0.0' } }])).toEqual({ providers: [], problems: [] });
  });

  it.each([
    ['another api number', { api: 2, providers: [files] }, /plugin api 2, this overlayadm has 1/],
    ['no api number', { providers: [files] }, /plugin api undefined/],
    ['no list', { api: 1, providers: {} }, /"overlayadm.providers" .* is not a list/],
    ['no object', 'x', /"overlayadm" in its package.json is not an object/],
    ['a provider that is none', { api: 1, providers: [files, 7] }, /a provider is not an object/],
    ['another kind', { api: 1, providers: [{ ...files, kind: 'driver' }] }, /neither encap nor lookup/],
    ['a wrong name', { api: 1, providers: [{ ...files, name: 'Files/x' }] }, /not of the form/],
    ['a module outside', { api: 1, providers: [{ ...files, module: '../other/index.js' }] }, /not a file inside the package/],
    ['no module', { api: 1, providers: [{ kind: 'lookup', name: 'files' }] }, /not a file inside the package/],
  ])('leaves out a package with %s and says so', (_, overlayadm, why) => {
    const { providers, problems } = only(overlayadm);
    expect(providers).toEqual([]);
    expect(problems).toEqual([expect.stringMatching(why)]);
    expect(problems[0]).toContain('pkg (/p)');
  });

  it('offers neither of two with one name, and names both', () => {
    const brings = { api: 1, providers: [files, { ...files, name: 'other' }] };
    const { providers, problems } = collectProviders([
      { root: '/a', manifest: manifest({ api: 1, providers: [files] }, 'a') },
      { root: '/b', manifest: manifest(brings, 'b') },
    ]);
    expect(providers.map(({ name }) => name)).toEqual(['other']);
    expect(problems).toEqual(['lookup files: left out, it is brought by a (/a) and b (/b); remove all but one']);
  });

  it('lets nobody take the name, or a provider, of a package that comes with overlayadm', () => {
    const brings = (name: string) => manifest({ api: 1, providers: [{ ...files, name }] }, '@overlayadm/plugin-files');
    const { providers, problems } = collectProviders([
      { root: '/a', manifest: brings('other') },
      { root: '/b', name: '@overlayadm/plugin-files', manifest: manifest({ api: 1, providers: [{ ...files, name: 'third' }] }, 'b') },
      { root: '/c', manifest: manifest({ api: 1, providers: [files, { ...files, name: 'fourth' }] }, 'c') },
      { root: '/own', bundled: true, manifest: brings('files') },
    ]);
    expect(providers.map(({ name, root }) => [name, root])).toEqual([
      ['files', '/own'],
      ['fourth', '/c'],
    ]);
    const name = 'left out, the package of that name that comes with overlayadm is used; uninstall it';
    expect(problems).toEqual([
      `plugin @overlayadm/plugin-files (/a): ${name}`,
      `plugin @overlayadm/plugin-files (/b): ${name}`,
      'lookup files of c (/c): left out, that of @overlayadm/plugin-files, which comes with overlayadm, is used',
    ]);
  });

  it('says for which api a provider is, and overlayd takes none that does not', () => {
    const { providers } = only({ api: 1, providers: [files] });
    expect(providers.map(({ api }) => api)).toEqual([1]);
    expect(checkProviderTable({ providers, problems: [] })).toEqual({ ok: true, value: { providers, problems: [] } });
    const without = providers.map(({ api: _, ...rest }) => rest);
    expect(checkProviderTable({ providers: without, problems: [] })).toEqual({ ok: false, reason: expect.stringContaining('api') });
  });

  it('is total, and what it gives passes the check of overlayd', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (providers) => {
        expect(checkProviderTable(only({ api: 1, providers })).ok).toBe(true);
      }),
    );
  });
});
