// Starts one command of overlayadm: the show commands from one file, everything else by overlayadm.js. CommonJS, because
// the loader of ES modules costs a start some milliseconds, and one that imports node:fs loads all that is in it.
require('./node-version.cjs');
require('./compile-cache.cjs').useCompileCache();

// Whoever reads our output may have seen enough ("| head"): no reason to complain.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const { runThin } = require('../dist/thin.cjs');
runThin(process.argv.slice(2), __dirname.replace(/\/bin$/, '')).then((done) => (done ? undefined : import('./overlayadm.js')));
