// The package's install script: keeps what is prebuilt and fits, else compiles it. No dependency, no download, nothing of npm's configuration.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageDir = dirname(fileURLToPath(import.meta.url));
const sourceDir = join(packageDir, 'src');
const outDir = join(packageDir, 'prebuilds', `linux-${process.arch}`);

// --as-needed: nothing of libstdc++ is used, so it does not have to be there.
const BASE_FLAGS = '-std=c++17 -Wall -Wextra -Werror -fno-exceptions -Wl,--as-needed'.split(' ');
const SANITIZE_FLAGS = ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'];

const FITS = 'fitting prebuild';

/** The keeper's sources stand beside the addon's, and are known by their names. */
const KEEPER_SOURCE = /^keeper/;
const ADDON = {
  name: 'packetio.node',
  sanitizedName: 'packetio-asan.node',
  /** @param {string} source */
  owns: (source) => !KEEPER_SOURCE.test(source),
  flags: ['-fPIC', '-shared', '-fvisibility=hidden', '-pthread'],
  releaseFlags: ['-O3', '-s'],
  needsHeaders: true,
  /** Whether this node can load the file; in a child, because a bad one can take the process down. @param {string} file */
  works: (file) => {
    const program = 'process.dlopen({ exports: {} }, process.argv[1])';
    return spawnSync(process.execPath, ['-e', program, file], { stdio: 'ignore' }).status === 0;
  },
};
const KEEPER = {
  name: 'overlayd-keeper',
  sanitizedName: 'overlayd-keeper-asan',
  /** @param {string} source */
  owns: (source) => KEEPER_SOURCE.test(source),
  flags: ['-fPIE', '-pie', '-fno-rtti'],
  releaseFlags: ['-O2', '-s'],
  needsHeaders: false,
  /** Whether it runs here: without a program to start it ends with its usage. @param {string} file */
  works: (file) => spawnSync(file, { stdio: 'ignore', env: {} }).status === 2,
};

class InstallError extends Error {}

/**
 * @param {typeof ADDON} target
 * @param {string} extension
 */
const sourcesOf = (target, extension) =>
  existsSync(sourceDir)
    ? readdirSync(sourceDir)
        .filter((name) => name.endsWith(extension) && target.owns(name))
        .sort()
    : [];

/**
 * What the compiled file depends on. A hash and not times: unpacking and checking out give times of their own.
 * @param {typeof ADDON} target
 * @param {string[]} flags
 */
function fingerprint(target, flags) {
  const hash = createHash('sha256').update(flags.join(' '));
  for (const name of [...sourcesOf(target, '.cc'), ...sourcesOf(target, '.h')])
    hash.update(`\n${name}\n`).update(readFileSync(join(sourceDir, name)));
  return hash.digest('hex');
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
 * @param {typeof ADDON} target
 * @param {string[]} compiler
 * @param {string | undefined} headers
 * @param {string[]} flags
 * @param {string} file
 */
function compile(target, compiler, headers, flags, file) {
  const [command, ...rest] = compiler;
  const sources = sourcesOf(target, '.cc').map((name) => join(sourceDir, name));
  const include = headers === undefined ? [] : [`-I${headers}`];
  const run = spawnSync(command, [...rest, ...flags, ...include, '-o', file, ...sources], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (run.status !== 0)
    throw new InstallError(`${compiler.join(' ')} could not compile ${target.name} (${run.signal ?? `exit ${run.status}`}), see above`);
}

/**
 * Why the target cannot be compiled here, in one line; undefined when it can.
 * @param {typeof ADDON} target
 * @param {string[] | undefined} compiler
 * @param {string | undefined} headers
 */
function whyNotCompile(target, compiler, headers) {
  if (sourcesOf(target, '.cc').length === 0) return `no prebuilt ${target.name} fits this machine and the sources are not in this package`;
  if (compiler === undefined) {
    const wanted = process.env.CXX ? `the C++ compiler of $CXX (${process.env.CXX})` : 'a C++ compiler';
    return `${wanted} was not found; install one: "apt install g++", "dnf install gcc-c++" or "apk add g++"`;
  }
  if (target.needsHeaders && headers === undefined)
    return 'the package node-api-headers was not found; run "npm ci" in the checkout, or "npm install node-api-headers"';
  return undefined;
}

/**
 * What was done, in words.
 * @param {typeof ADDON} target
 * @param {{ force: boolean, sanitize: boolean }} options
 */
function install(target, { force, sanitize }) {
  const file = join(outDir, sanitize ? target.sanitizedName : target.name);
  const stamp = `${file}.sha256`;
  const flags = [...BASE_FLAGS, ...target.flags, ...(sanitize ? SANITIZE_FLAGS : target.releaseFlags)];
  // A sanitized addon loads only with the sanitizer's library preloaded.
  const usable = () => existsSync(file) && (sanitize || target.works(file));
  const current = fingerprint(target, flags);
  if (!force && readText(stamp) === current && usable()) return FITS;

  const compiler = findCompiler();
  const headers = target.needsHeaders ? findHeaders() : undefined;
  const why = whyNotCompile(target, compiler, headers);
  if (why !== undefined) {
    if (!force && usable()) return `${FITS} (not compared with the sources: they cannot be compiled here)`;
    throw new InstallError(why);
  }
  mkdirSync(outDir, { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    compile(target, compiler, headers, flags, temporary);
    if (!sanitize && !target.works(temporary)) throw new InstallError(`the ${target.name} that ${compiler.join(' ')} made does not work here`);
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
  if (process.platform !== 'linux') throw new InstallError(`Linux only, this is ${process.platform}`);
  const options = { force: words.includes('--force'), sanitize: words.includes('--sanitize') };
  // What both have in common is said once.
  for (const line of new Set([ADDON, KEEPER].map((target) => install(target, options)))) console.log(`packetio: ${line}`);
} catch (error) {
  console.error(`packetio: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
