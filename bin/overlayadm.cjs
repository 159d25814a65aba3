// Starts one command of overlayadm from one file where that can be: the show commands from thin.cjs, without oclif, other
// commands of ours from cli.cjs; everything else by overlayadm.js. CommonJS, because the loader of ES modules costs a start
// some milliseconds, and one that imports node:fs loads all that is in it.
require('./node-version.cjs');
require('./compile-cache.cjs').useCompileCache();
require('./standard-output.cjs').watchOutput();
const { existsSync } = require('node:fs');

const root = __dirname.replace(/\/bin$/, '');
const words = process.argv.slice(2);

/** What tools/bundle.mjs puts into cli.cjs: each command that is a file of dist/commands, and options (--help). Topics are folders. */
const isBundled = (word) =>
  word === undefined || word.startsWith('-') || (/^[a-z]+(-[a-z]+)*$/.test(word) && existsSync(`${root}/dist/commands/${word}.js`));

/** What one of the files exports; a checkout where only tsc has run has neither. */
function bundle(name) {
  const path = `${root}/dist/${name}.cjs`;
  return existsSync(path) ? require(path) : undefined;
}

async function start() {
  if (words[0]?.startsWith('show-') && (await bundle('thin')?.runThin(words, root))) return;
  require('./environment.cjs');
  const cli = isBundled(words[0]) ? bundle('cli') : undefined;
  await (cli === undefined ? import('./overlayadm.js') : cli.runBundled(words, root));
}

start();
