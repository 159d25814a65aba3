// Makes two files of many, because to find and link modules takes longer than to run them: dist/thin.cjs, the thin path of the
// show commands, and dist/cli.cjs, oclif with the other commands. CommonJS, because an ES module that imports node:fs makes
// Node.js load all that is in it (5-9 ms of 45).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { rolldown } from 'rolldown';
import { root } from './lib.mjs';

const dist = join(root, 'dist');
const CLI = 'overlayadm:cli';
/** oclif looks for it, to run commands in TypeScript; a host that has overlayadm has none. */
const OPTIONAL = ['typescript'];

/** Loaded only when overlayd does not answer: as the file that it is, seen from dist. */
const autostart = { name: 'autostart', resolveId: (id) => (id === './autostart.js' ? { id: './core/cli/autostart.js', external: true } : undefined) };

/** oclif takes the commands from COMMANDS, by what main.ts tells it. */
const cli = { name: 'cli', resolveId: (id) => (id === CLI ? id : undefined), load: (id) => (id === CLI ? cliEntry() : undefined) };

/**
 * Only the commands that are no topics: those of `plugins` load @oclif/plugin-plugins, which has to have the same @oclif/core
 * as they, and are not in a hurry.
 */
function cliEntry() {
  const files = readdirSync(join(dist, 'commands')).filter((name) => name.endsWith('.js'));
  const imports = files.map((name, index) => `import command${index} from ${JSON.stringify(join(dist, 'commands', name))};`);
  const commands = files.map((name, index) => `${JSON.stringify(basename(name, '.js'))}: command${index}`);
  const main = `export { runBundled } from ${JSON.stringify(join(dist, 'core/cli/main.js'))};`;
  return [...imports, `export const COMMANDS = { ${commands.join(', ')} };`, main].join('\n');
}

/**
 * The first comparison by the rules of a language costs 11 ms, for oclif to sort the ids of the commands. It is only faster
 * without them: who shows the commands sorts again.
 */
const plainOrder = {
  name: 'plain order',
  transform: (code, id) =>
    id.endsWith('/@oclif/core/lib/config/plugin.js') ? code.replace('a.id.localeCompare(b.id)', '(a.id < b.id ? -1 : 1)') : undefined,
};

/** Not minified: it starts no faster, and stack traces say which command and which file. */
async function write(input) {
  const bundle = await rolldown({ input, platform: 'node', external: OPTIONAL, plugins: [autostart, cli, plainOrder], logLevel: 'warn' });
  const { output } = await bundle.write({ dir: dist, format: 'cjs', entryFileNames: '[name].cjs', codeSplitting: false });
  await bundle.close();
  return output.flatMap((chunk) => chunk.moduleIds ?? []);
}

/** The packages that the modules are of, by their folders. */
const packagesOf = (modules) => [...new Set(modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []))].sort();

/** What is copied into our package is copied with its licence. */
function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  return [`${name} ${version} (${license})`, ...texts.map((file) => readFileSync(join(folder, file), 'utf8').trim())].join('\n\n');
}

await write({ thin: join(dist, 'core/cli/thin.js') });
const packages = packagesOf(await write({ cli: CLI }));
writeFileSync(join(dist, 'cli-licences.txt'), `Packages that are in cli.cjs\n\n${packages.map(licenceOf).join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);
