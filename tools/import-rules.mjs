// Who may import whom: the one table, from which the import rules of biome are made (biome.imports.json).
// `node tools/import-rules.mjs --write` writes that file; `npm run check` fails when it is not what the table gives.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './lib.mjs';

const api = '@overlayadm/api';
const native = '@overlayadm/packetio';
const util = 'src/core/util';
const core = (...names) => names.map((name) => `src/core/${name}`);

/** Every folder of src/core but the daemon, which puts them together. */
const parts = ['util', 'wire', 'property', 'config', 'rpc', 'engine', 'linux', 'datapath', 'proxy', 'varpd', 'lookup', 'overlay', 'cli'];

/**
 * What src/core/overlay knows by its types only: the daemon hands the implementations in. Biome cannot tell a type from a
 * value here; test/unit/imports.test.ts does.
 */
export const typesForOverlay = ['lookup', 'datapath', 'linux', 'proxy', 'wire', 'engine/messages.ts'];

/** What would make the event loop of the engine thread turn. */
const asynchronousBuiltins = ['async_hooks', 'child_process', 'dgram', 'events', 'fs/promises', 'net', 'stream', 'timers', 'timers/promises'];

/**
 * One row a folder. `imports`: folders, single files and packages it may import besides its own files, for types as well
 * as for values. `builtins`: false for folders that are pure, or the names of Node's modules that are not for them.
 * `files`: what single files of the folder may import besides.
 * @type {readonly {folder: string, imports: readonly string[], builtins?: false | readonly string[], files?: Readonly<Record<string, readonly string[]>>}[]}
 */
export const rows = [
  { folder: 'plugins/api/src', imports: [], builtins: false },
  { folder: 'plugins/*/src', imports: [api] },
  { folder: 'native/src', imports: [] },
  { folder: util, imports: [api] },
  { folder: 'src/core/wire', imports: [util, api], builtins: false },
  { folder: 'src/core/property', imports: [util, api] },
  { folder: 'src/core/config', imports: [...core('property', 'util'), 'cosmiconfig'] },
  { folder: 'src/core/rpc', imports: [util, api, 'valibot'] },
  { folder: 'src/core/engine', imports: [...core('util', 'wire'), native, api], builtins: asynchronousBuiltins },
  { folder: 'src/core/linux', imports: [util, native, api] },
  { folder: 'src/core/datapath', imports: [...core('engine/messages.ts', 'engine/snapshot.ts', 'linux', 'util'), api] },
  { folder: 'src/core/proxy', imports: [...core('wire', 'util'), api], builtins: false },
  {
    folder: 'src/core/varpd',
    imports: [...core('util', 'property', 'rpc/framing.ts'), api],
    files: { 'list.ts': ['@oclif/core'], 'protocol.ts': ['valibot'] },
  },
  { folder: 'src/core/lookup', imports: [...core('varpd/protocol.ts', 'rpc/framing.ts', 'util', 'property'), api] },
  {
    folder: 'src/core/overlay',
    imports: [...core('util', 'property', ...typesForOverlay), api],
    files: { 'state-file.ts': ['valibot'] },
  },
  { folder: 'src/core/daemon', imports: [...core(...parts), native, api, 'pino'] },
  {
    folder: 'src/core/cli',
    imports: [...core('rpc', 'util'), '@oclif/core', 'chalk', 'cosmiconfig'],
    files: { 'plugins-program.ts': ['@oclif/plugin-plugins'] },
  },
  { folder: 'src/commands', imports: [...core('cli', 'rpc/client.ts', 'rpc/protocol.ts'), '@oclif/core'] },
];

/** Folders that may import anything but the tests. */
export const freeFolders = ['bin', 'tools'];

/** How deep files may lie below the folder of their row; deeper ones may import nothing, so that nobody hides there. */
const MAX_DEPTH = 1;

const isPath = (name) => name.startsWith('src/');

/** Patterns that let the import of `target` pass from a file in `from`; gitignore's `!` takes a ban back. */
function allow(from, target) {
  if (!isPath(target)) return [`!${target}`];
  const path = posix.relative(from, target);
  if (target.endsWith('.ts')) return [`!${path}`];
  return [`!${path}/*.ts`, `!${path}/*/*.ts`];
}

function own(depth) {
  const down = ['!./*.ts', '!./*/*.ts'];
  return depth === 0 ? down : [...down, '!../*.ts', '!../*/*.ts'];
}

function builtins(rule) {
  if (rule === false) return [];
  return ['!node:*', '!node:*/*', ...(rule ?? []).map((name) => `node:${name}`)];
}

/** Ways around: an up-step after a down-step, and for a file one folder down the folder above that of its row. */
const detours = (depth) => ['./../**', './*/../**', '../*/../*.ts', ...(depth === 0 ? [] : ['../../*.ts'])];

const rule = (group, message) => ({
  linter: { rules: { style: { noRestrictedImports: { level: 'error', options: { patterns: [{ group, message }] } } } } },
});

function override(row, depth, includes, extra = []) {
  const from = posix.join(row.folder, '_/'.repeat(depth));
  const imports = [...row.imports, ...extra];
  const message = `${includes} may import ${imports.join(', ') || 'nothing'} besides its own folder; the table is in tools/import-rules.mjs.`;
  const group = ['**', ...builtins(row.builtins), ...own(depth), ...imports.flatMap((target) => allow(from, target)), ...detours(depth)];
  return { includes: [includes], ...rule(group, message) };
}

function overridesOf(row) {
  const byDepth = Array.from({ length: MAX_DEPTH + 1 }, (_, depth) => override(row, depth, `${row.folder}/${'*/'.repeat(depth)}*.ts`));
  const byFile = Object.entries(row.files ?? {}).map(([file, extra]) => override(row, 0, `${row.folder}/${file}`, extra));
  return [...byDepth, ...byFile];
}

/** Later overrides win in biome: first the ban for folders without a row, then `plugins/*`, then the rows that are closer. */
export function configuration() {
  const ordered = [...rows].sort((a, b) => Number(b.folder.includes('*')) - Number(a.folder.includes('*')));
  const sources = ['src/**/*.ts', 'plugins/*/src/**/*.ts', 'native/src/**/*.ts'];
  return {
    overrides: [
      { includes: sources, ...rule(['**'], 'This folder has no row in tools/import-rules.mjs, or the file lies too deep below it.') },
      ...ordered.flatMap(overridesOf),
      { includes: freeFolders.map((folder) => `${folder}/**`), ...rule(['**/test/**'], 'Nothing outside test may import from it.') },
    ],
  };
}

const file = join(root, 'biome.imports.json');
const text = () => `${JSON.stringify(configuration(), null, 2)}\n`;

/** Is biome.imports.json what the table gives? */
export const isCurrent = () => readFileSync(file, 'utf8') === text();

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (process.argv.includes('--write')) writeFileSync(file, text());
  else if (!isCurrent()) {
    console.error('biome.imports.json is not what tools/import-rules.mjs gives; run: node tools/import-rules.mjs --write');
    process.exitCode = 1;
  }
}
