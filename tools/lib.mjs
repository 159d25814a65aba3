// What the tools share: where things are, which Node.js runs them, and how a step is run.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

const pinned = join(root, 'node_modules/.bin/node');
/** The checkout's own Node.js where it is installed; else the one that runs this. */
export const node = existsSync(pinned) ? pinned : process.execPath;

/** Environment in which `node` and every tool of the checkout are found first, as in an npm script. */
export const environment = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? '/usr/bin:/bin'}` };

/** Runs a program with our stdio. Its exit status; 1 when a signal ended it; throws when it could not be started. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, env: environment, stdio: 'inherit', ...options });
  if (error) throw error;
  return status ?? 1;
}

/** Every file below a folder, as absolute paths; none when the folder is missing. */
export function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** Modification time in ms, 0 when the file is missing. */
export const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

export const fromRoot = (path) => relative(root, path);
