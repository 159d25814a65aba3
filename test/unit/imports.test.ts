// The import rules are in force: for every row of the table each forbidden import is red, each allowed one is not.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isCurrent, rows, typesForOverlay } from '../../tools/import-rules.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

type Row = (typeof rows)[number];
const packages = [
  '@overlayadm/api',
  '@overlayadm/packetio',
  '@overlayadm/compliance',
  '@oclif/core',
  'chalk',
  'cosmiconfig',
  'pino',
  'valibot',
  'left-pad',
];
const singleFiles = rows.flatMap((row) => row.imports).filter((name) => name.endsWith('.ts'));
/** Everything that a file could want: a file of each folder of src, the files that have a name in the table, packages. */
const wishes = [
  ...rows.filter((row) => row.folder.startsWith('src/')).flatMap((row) => [`${row.folder}/thing.ts`, `${row.folder}/deep/thing.ts`]),
  ...new Set(singleFiles),
  'test/helpers/thing.ts',
  'tools/thing.ts',
  ...packages,
];

const concrete = (folder: string): string => folder.replace('*', 'vxlan');

function mayImport(imports: readonly string[], folder: string, wish: string): boolean {
  if (wish.startsWith(`${folder}/`)) return true;
  return imports.some((allowed) => wish === allowed || (allowed.startsWith('src/') && wish.startsWith(`${allowed}/`)));
}

const specifier = (file: string, wish: string): string => {
  if (!wish.endsWith('.ts')) return wish;
  const path = posix.relative(posix.dirname(file), wish);
  return path.startsWith('.') ? path : `./${path}`;
};

interface Plant {
  readonly file: string;
  readonly imports: readonly { readonly text: string; readonly allowed: boolean }[];
}

function plantsOf(row: Row): Plant[] {
  const folder = concrete(row.folder);
  const at = (file: string, extra: readonly string[] = []): Plant => {
    const wanted = wishes.map((wish) => ({ text: specifier(file, wish), allowed: mayImport([...row.imports, ...extra], folder, wish) }));
    const builtins = [{ text: 'node:path', allowed: row.builtins !== false }];
    const banned = (row.builtins || []).map((name) => ({ text: `node:${name}`, allowed: false }));
    const detour = { text: './deep/../../nowhere.ts', allowed: false };
    return { file, imports: [...wanted, ...builtins, ...banned, detour] };
  };
  const named = Object.entries(row.files ?? {}).map(([name, extra]) => at(`${folder}/${name}`, extra));
  return [at(`${folder}/planted.ts`), at(`${folder}/deep/planted.ts`), ...named];
}

/** Every second import is for types only: it must not make a difference. */
const statement = ({ text }: { readonly text: string }, index: number): string =>
  index % 2 === 0 ? `import type { A${index} } from '${text}';` : `export { A${index} } from '${text}';`;

const write = (base: string, file: string, text: string): void => {
  mkdirSync(dirname(join(base, file)), { recursive: true });
  writeFileSync(join(base, file), text);
};

interface Report {
  readonly diagnostics: readonly {
    readonly category: string;
    readonly location: { readonly path: string; readonly start?: { readonly line: number } };
  }[];
}

function lint(base: string): Report {
  const biome = join(root, 'node_modules/.bin/biome');
  const args = ['lint', '--vcs-enabled=false', '--max-diagnostics=none', '--reporter=json', '.'];
  try {
    return JSON.parse(execFileSync(biome, args, { cwd: base, encoding: 'utf8', stdio: 'pipe', maxBuffer: 1 << 26 }));
  } catch (error) {
    return JSON.parse((error as { stdout: string }).stdout);
  }
}

/** Source files of a folder, without tests. */
const sources = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => posix.join(folder, name));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
/** The text of a file as JavaScript: no types, no comments; strings stay. */
const code = (file: string): string => stripTypeScriptTypes(read(file)).replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '');

describe('the table of imports', () => {
  const base = mkdtempSync(join(tmpdir(), 'overlayadm-imports-'));
  const plants = rows.flatMap(plantsOf);
  let report: Report = { diagnostics: [] };
  const red = (file: string): number[] =>
    report.diagnostics
      .filter((found) => found.category === 'lint/style/noRestrictedImports' && found.location.path === file)
      .map((found) => found.location.start?.line ?? 0);

  beforeAll(() => {
    for (const name of ['biome.json', 'biome.imports.json']) cpSync(join(root, name), join(base, name));
    for (const plant of plants) write(base, plant.file, plant.imports.map(statement).join('\n'));
    write(base, 'src/core/newfolder/planted.ts', `import type { A } from '@overlayadm/api';`);
    write(base, 'src/core/util/a/b/planted.ts', `import type { A } from '../../log.ts';`);
    write(base, 'bin/planted.js', `import '../test/helpers/netns.ts';`);
    write(base, 'tools/planted.mjs', `import '../test/helpers/netns.ts';`);
    write(base, 'src/core/util/circle-a.ts', `import type { B } from './circle-b.ts';\nexport type A = B;`);
    write(base, 'src/core/util/circle-b.ts', `import type { A } from './circle-a.ts';\nexport type B = A;`);
    report = lint(base);
  });
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  it.each(plants)('$file', ({ file, imports }) => {
    const lines = new Set(red(file));
    const found = imports.filter((_, index) => lines.has(index + 1)).map(({ text }) => text);
    expect(found.length).toBeGreaterThan(0);
    expect(found).toEqual(imports.filter(({ allowed }) => !allowed).map(({ text }) => text));
  });

  it('has a row for every folder, and no place too deep for it', () => {
    expect(red('src/core/newfolder/planted.ts')).toEqual([1]);
    expect(red('src/core/util/a/b/planted.ts')).toEqual([1]);
  });

  it('keeps tests out of bin and tools', () => {
    expect(red('bin/planted.js')).toEqual([1]);
    expect(red('tools/planted.mjs')).toEqual([1]);
  });

  it('forbids cycles, also of types', () => {
    const cycles = report.diagnostics.filter((found) => found.category === 'lint/suspicious/noImportCycles').map((found) => found.location.path);
    expect(cycles.map((path) => posix.basename(path)).sort()).toEqual(['circle-a.ts', 'circle-b.ts']);
  });

  it('is what biome is told', () => {
    expect(isCurrent()).toBe(true);
  });
});

describe('what the linter does not see', () => {
  it.each(sources('src'))('%s names modules in import statements only', (file) => {
    expect(read(file)).not.toMatch(/:\s*import\(|\bas import\(|\brequire\(/);
  });

  it('overlay takes types of its parts, not values', () => {
    const parts = typesForOverlay.map((name) => name.split('/')[0]).join('|');
    const fromParts = new RegExp(`from '(?:\\.\\./)+(?:${parts})/`);
    const statements = sources('src/core/overlay').flatMap((file) => read(file).match(/^(?:import|export)\b[^;]*;/gm) ?? []);
    const taken = statements.filter((text) => fromParts.test(text));
    expect(taken.length).toBeGreaterThan(0);
    expect(taken.filter((text) => !/^(?:import|export) type\b/.test(text))).toEqual([]);
  });

  it('the messages of the engine are types', () => {
    expect(code('src/core/engine/messages.ts').trim()).toBe('');
  });
});

describe('the event loop of the engine thread never turns', () => {
  const turning =
    /\basync\b|\bawait\b|\bPromise\b|\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bnextTick\b|\.(on|once|addListener|addEventListener)\(/;

  it.each(['async () => 1', 'await x', 'new Promise(x)', 'setTimeout(x)', "port.on('message', x)"])('"%s" would be found', (text) => {
    expect(text).toMatch(turning);
  });

  it.each(sources('src/core/engine'))('%s', (file) => {
    expect(code(file)).not.toMatch(turning);
  });
});
