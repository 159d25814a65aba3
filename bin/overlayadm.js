// Starts one command of overlayadm by oclif, from many files; overlayadm.cjs comes first. Commands of installed plugins are
// known only when the word is none of ours.
import './node-version.cjs';

const { useCompileCache } = await import('./compile-cache.cjs');
useCompileCache();
const { watchOutput } = await import('./standard-output.cjs');
watchOutput();

const root = import.meta.dirname.replace(/\/bin$/, '');
const words = process.argv.slice(2);

await import('./environment.cjs');
const { runCli } = await import('../dist/core/cli/main.js');
const { isOurs } = await import('./our-commands.js');
// An installed plugin may have a hook that runs on every command; ours, which root runs, must not load it.
const ours = { root, userPlugins: false, devPlugins: false };
await runCli(words, isOurs(root, words[0]) ? ours : await withOutsideCommands());

async function withOutsideCommands() {
  const { outsideConfig } = await import('../dist/core/cli/outside-config.js');
  const warn = (text) => process.stderr.write(`overlayadm: warning: ${text}\n`);
  return await outsideConfig({ root, directory: process.env.OVERLAYADM_DATA_DIR, word: words[0], warn });
}
