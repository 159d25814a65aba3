// Builds everything that is not there or not up to date: addon and keeper, TypeScript, bundles, list of commands. Also runs during `npm ci`,
// under whatever Node.js the machine has.
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { filesBelow, fromRoot, modified, node, root, run } from './lib.mjs';

const compiler = join(root, 'node_modules/typescript/bin/tsc');

function step(name, status) {
  if (status === 0) return;
  console.error(`build: ${name} failed`);
  process.exit(1);
}

function buildNative() {
  const sources = filesBelow(join(root, 'native/src')).filter((path) => /\.(cc|h)$/.test(path));
  const isKeepers = (path) => basename(path).startsWith('keeper');
  const isNew = (name, from) =>
    Math.max(...[...from, join(root, 'native/install.mjs')].map(modified)) < modified(join(root, `native/prebuilds/linux-${process.arch}/${name}`));
  // Each by its own sources: install.mjs leaves a file alone that would become the same.
  const keepers = sources.filter(isKeepers);
  const addons = sources.filter((path) => !isKeepers(path));
  if (isNew('packetio.node', addons) && isNew('overlayd-keeper', keepers)) return;
  step('native/install.mjs', run(node, ['native/install.mjs']));
}

/** The folder of every project that tsconfig.json refers to, and the root. */
function projects() {
  const { references } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  return [root, ...references.map(({ path }) => join(root, path))];
}

/** tsc leaves what it made of sources that have been deleted or renamed; oclif would find such a command. */
function removeStaleOutput(project) {
  const output = join(project, 'dist');
  for (const path of filesBelow(output)) {
    const stem = /^(.*?)(\.d\.ts|\.js)(\.map)?$/.exec(path.slice(output.length))?.[1];
    if (stem === undefined || existsSync(`${project}/src${stem}.ts`)) continue;
    unlinkSync(path);
    console.log(`build: removed ${fromRoot(path)}, its source is gone`);
  }
}

function writeManifest() {
  const manifest = join(root, 'oclif.manifest.json');
  const inputs = [...filesBelow(join(root, 'dist/commands')), ...filesBelow(join(root, 'dist/core/cli')), join(root, 'package.json')];
  if (Math.max(...inputs.map(modified)) < modified(manifest)) return;
  step('oclif.manifest.json', run(node, ['tools/manifest.mjs']));
}

/** What the two files are made of, besides Node.js; npm writes its list anew when it installs another version of a package. */
function bundle() {
  const folders = ['dist/commands', 'dist/core/cli', 'dist/core/rpc', 'dist/core/util', 'plugins/api/dist'];
  const files = ['tools/bundle.mjs', 'node_modules/.package-lock.json'].map((path) => join(root, path));
  const newest = Math.max(...[...folders.flatMap((folder) => filesBelow(join(root, folder))), ...files].map(modified));
  if (newest < Math.min(...['dist/thin.cjs', 'dist/cli.cjs'].map((path) => modified(join(root, path))))) return;
  step('dist/thin.cjs and dist/cli.cjs', run(node, ['tools/bundle.mjs']));
}

if (!existsSync(compiler) || !existsSync(join(root, 'node_modules/@types/node'))) {
  // `npm ci --omit=dev` runs `prepare` too, without the things that it needs (it may still bring typescript, as a peer).
  const installing = process.env.npm_lifecycle_event === 'prepare';
  console.error(`build: typescript or its types are not installed${installing ? '; nothing was built' : '; run npm ci first'}`);
  process.exit(installing ? 0 : 1);
}
buildNative();
for (const project of projects()) removeStaleOutput(project);
step('tsc', run(node, [compiler, '-b']));
bundle();
writeManifest();
