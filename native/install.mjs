// The package's install script: keeps a prebuilt addon that fits, else compiles it. No dependency, no download, nothing of npm's configuration.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageDir = dirname(fileURLToPath(import.meta.url));
const sourceDir = join(packageDir, 'src');
const outDir = join(packageDir, 'prebuilds', `linux-${process.arch}`);

// --as-needed: the addon uses nothing of libstdc++, so it does not have to find one.
const BASE_FLAGS = '-fPIC -shared -std=c++17 -Wall -Wextra -Werror -fno-exceptions -fvisibility=hidden -pthread -Wl,--as-needed'.split(' ');
const RELEASE_FLAGS = ['-O3', '-s'];
const SANITIZE_FLAGS = ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'];

class InstallError extends Error {}

/** @param {string} extension */
const sourcesWith = (extension) =>
  existsSync(sourceDir)
    ? readdirSync(sourceDir)
        .filter((name) => name.endsWith(extension))
        .sort()
    : [];

/**
 * What the compiled file depends on. A hash and not times: unpacking and checking out give times of their own.
 * @param {string[]} flags
 */
function fingerprint(flags) {
  const hash = createHash('sha256').update(flags.join(' '));
  for (const name of [...sourcesWith('.cc'), ...sourcesWith('.h')]) hash.update(`\n${name}\n`).update(readFileSync(join(sourceDir, name)));
  return hash.digest('hex');
}

/**
 * Whether this node can load the file; in a child, because a bad one can take the process down.
 * @param {string} file
 */
function loads(file) {
  const program = 'process.dlopen({ exports: {} }, process.argv[1])';
  return spawnSync(process.execPath, ['-e', program, file], { stdio: 'ignore' }).status === 0;
}

/** @param {string} file */
const readText = (file) => (existsSync(file) ? readFileSync(file, 'utf8').trim() : '');

/** The compiler as words ("ccache g++" is two), or undefined when there is none. */
function findCompiler() {
  const wanted = process.env.CXX;
  const candidates = wanted ? [wanted] : ['c++', 'g++', 'clang++'];
  return candidates
    .map((words) => words.split(' ').filter((word) => word !== ''))
    .find(([command, ...rest]) => command !== undefined && spawnSync(command, [...rest, '--version'], { stdio: 'ignore' }).status === 0);
}

function findHeaders() {
  try {
    return createRequire(import.meta.url)('node-api-headers').include_dir;
  } catch {
    return undefined;
  }
}

/**
 * @param {string[]} compiler
 * @param {string} headers
 * @param {string[]} flags
 * @param {string} file
 */
function compile(compiler, headers, flags, file) {
  const [command, ...rest] = compiler;
  const sources = sourcesWith('.cc').map((name) => join(sourceDir, name));
  const run = spawnSync(command, [...rest, ...flags, `-I${headers}`, '-o', file, ...sources], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (run.status !== 0)
    throw new InstallError(`${compiler.join(' ')} could not compile the addon (${run.signal ?? `exit ${run.status}`}), see above`);
}

/**
 * Why nothing can be compiled here, in one line; undefined when it can.
 * @param {string[] | undefined} compiler
 * @param {string | undefined} headers
 */
function whyNotCompile(compiler, headers) {
  if (sourcesWith('.cc').length === 0) return 'no prebuilt addon fits this machine and the sources are not in this package';
  if (compiler === undefined) {
    const wanted = process.env.CXX ? `the C++ compiler of $CXX (${process.env.CXX})` : 'a C++ compiler';
    return `${wanted} was not found; install one: "apt install g++", "dnf install gcc-c++" or "apk add g++"`;
  }
  if (headers === undefined) return 'the package node-api-headers was not found; run "npm ci" in the checkout, or "npm install node-api-headers"';
  return undefined;
}

/** @param {{ force: boolean, sanitize: boolean }} options */
function install({ force, sanitize }) {
  if (process.platform !== 'linux') throw new InstallError(`Linux only, this is ${process.platform}`);
  const file = join(outDir, sanitize ? 'packetio-asan.node' : 'packetio.node');
  const stamp = `${file}.sha256`;
  const flags = [...BASE_FLAGS, ...(sanitize ? SANITIZE_FLAGS : RELEASE_FLAGS)];
  // A sanitized addon loads only with the sanitizer's library preloaded.
  const usable = () => (sanitize ? existsSync(file) : existsSync(file) && loads(file));
  const current = fingerprint(flags);
  if (!force && readText(stamp) === current && usable()) return 'fitting prebuild';

  const compiler = findCompiler();
  const headers = findHeaders();
  const why = whyNotCompile(compiler, headers);
  if (why !== undefined) {
    if (!force && usable()) return 'fitting prebuild (not compared with the sources: they cannot be compiled here)';
    throw new InstallError(why);
  }
  mkdirSync(outDir, { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    compile(compiler, headers, flags, temporary);
    if (!sanitize && !loads(temporary)) throw new InstallError(`what ${compiler.join(' ')} made cannot be loaded by ${process.execPath}`);
    // The stamp last: whoever stops in between has a file that is compiled once more.
    renameSync(temporary, file);
    writeFileSync(temporary, `${current}\n`);
    renameSync(temporary, stamp);
  } finally {
    rmSync(temporary, { force: true });
  }
  return `compiled ${file}`;
}

const known = ['--force', '--sanitize'];
const words = process.argv.slice(2);
try {
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined) throw new InstallError(`unknown option ${unknown}; known: ${known.join(' ')}`);
  console.log(`packetio: ${install({ force: words.includes('--force'), sanitize: words.includes('--sanitize') })}`);
} catch (error) {
  console.error(`packetio: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
