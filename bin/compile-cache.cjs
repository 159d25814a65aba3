// Where Node.js keeps compiled JavaScript between runs: a folder that nobody but us can write, or none.
const { lstatSync, mkdirSync } = require('node:fs');
const { enableCompileCache } = require('node:module');

// Never Node's default under /tmp: a root process would load what any user has put there.
const folderOf = (uid, env) => {
  if (uid === 0) return '/var/cache/overlayadm';
  if (env.XDG_CACHE_HOME?.startsWith('/')) return `${env.XDG_CACHE_HOME}/overlayadm`;
  return env.HOME?.startsWith('/') ? `${env.HOME}/.cache/overlayadm` : undefined;
};

/** Turns the cache on where that is safe; a start without it is only slower, so no trouble with the folder is reported. */
exports.useCompileCache = () => {
  const uid = process.geteuid();
  const folder = folderOf(uid, process.env);
  if (folder === undefined) return;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0) enableCompileCache(folder);
  } catch {
    // A read-only or missing home: go on without.
  }
};
