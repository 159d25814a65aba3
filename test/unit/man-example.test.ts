// The plugins that overlay_plugin(7) shows, taken from the page and run through the compliance kit, and as a host loads them.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { importPlugins } from '../../src/core/varpd/plugins.ts';
import { collectProviders } from '../../src/core/varpd/providers.ts';
import { checkFormat } from '../../src/core/wire/header-format.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'man/overlay_plugin.7'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'overlayadm-example-'));
afterAll(() => rmSync(folder, { recursive: true }));

const shown = [...page.matchAll(/^\.\\" FILE (\S+)\n\.Bd -literal\n([\s\S]*?)^\.Ed$/gm)];
for (const [, name, text] of shown) writeFileSync(join(folder, name ?? ''), (text ?? '').replaceAll('\\e', '\\').replaceAll('\\&', ''));
mkdirSync(join(folder, 'node_modules/@overlayadm'), { recursive: true });
for (const name of ['api', 'compliance']) symlinkSync(join(root, 'plugins', name), join(folder, 'node_modules/@overlayadm', name));
symlinkSync(join(root, 'node_modules/vitest'), join(folder, 'node_modules/vitest'));

// The tests of the page, among ours.
await import(pathToFileURL(join(folder, 'plugin.test.js')).href);

it('is a package that overlayd takes, with modules that a host loads', async () => {
  expect(shown.map(([, name]) => name)).toEqual(['package.json', 'tiny.js', 'embed.js', 'plugin.test.js']);
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { providers, problems } = collectProviders([{ root: folder, manifest }]);
  expect(problems).toEqual([]);
  expect(providers.map(({ kind, name }) => `${kind} ${name}`)).toEqual(['encap tiny', 'lookup embed']);
  const { loaded, failures } = await importPlugins(
    folder,
    providers.map(({ module }) => module),
  );
  expect(failures).toEqual([]);
  for (const plugin of loaded) if (plugin.kind === 'encap') expect(checkFormat(plugin.format, plugin.vnetid)).toBe(undefined);
  expect(loaded.map(({ name }) => name)).toEqual(['tiny', 'embed']);
});
