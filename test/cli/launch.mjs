// overlayadm without a build: the commands of src/, run by Node's type stripping.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../src/core/cli/main.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
pjson.oclif = { ...pjson.oclif, commands: './src/commands', plugins: [] };
await runCli(process.argv.slice(2), { root, pjson, isRoot: true, userPlugins: false, devPlugins: false, ignoreManifest: true });
