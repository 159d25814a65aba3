// Runs command lines that come as messages, through the thin path and through oclif, in this process, from src.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../src/core/cli/main.ts';
import { runThin } from '../../src/core/cli/thin.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
pjson.oclif = { ...pjson.oclif, commands: './src/commands', plugins: [] };

const runOclif = (args) => runCli(args, { root, pjson, isRoot: true, userPlugins: false, devPlugins: false, ignoreManifest: true });

// oclif waits for standard output after each command, and here there are many.
process.stdout.setMaxListeners(0);

/** What a command prints and ends with; `taken`: false when the thin path left it to oclif. */
async function record(run) {
  const printed = { stdout: '', stderr: '' };
  const writes = ['stdout', 'stderr'].map((name) => {
    const { write } = process[name];
    process[name].write = (text) => {
      printed[name] += text;
      return true;
    };
    return () => {
      process[name].write = write;
    };
  });
  try {
    const taken = (await run()) !== false;
    return { taken, status: process.exitCode ?? 0, ...printed };
  } finally {
    for (const restore of writes) restore();
    process.exitCode = undefined;
  }
}

process.on('message', async ({ args, environment }) => {
  Object.assign(process.env, environment);
  const thin = await record(() => runThin(args, root));
  const { taken, ...oclif } = await record(() => runOclif(args));
  process.send({ thin, oclif });
});
process.send('ready');
