// Builds everything that is not there or not up to date: addon, TypeScript, list of commands. Also runs during `npm ci`,
// under whatever Node.js the machine has.
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, fromRoot, modified, node, root, run } from './lib.mjs';

const compiler = join(root, 'node_modules/typescript/bin/tsc');

function step(name, status) {
  if (status === 0) return;
  console.error(`build: ${name} failed`);
  process.exit(1);
}

function buildAddon() {
  const addon = join(root, `native/prebuilds/linux-${process.arch}/packetio.node`);
  const sources = [...filesBelow(join(root, 'native/src')).filter((path) => /\.(cc|h)$/.test(path)), join(root, 'native/install.mjs')];
  if (Math.max(...sources.map(modified)) < modified(addon)) return;
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

if (!existsSync(compiler) || !existsSync(join(root, 'node_modules/@types/node'))) {
  // `npm ci --omit=dev` runs `prepare` too, without the things that it needs (it may still bring typescript, as a peer).
  const installing = process.env.npm_lifecycle_event === 'prepare';
  console.error(`build: typescript or its types are not installed${installing ? '; nothing was built' : '; run npm ci first'}`);
  process.exit(installing ? 0 : 1);
}
buildAddon();
for (const project of projects()) removeStaleOutput(project);
step('tsc', run(node, [compiler, '-b']));
writeManifest();
