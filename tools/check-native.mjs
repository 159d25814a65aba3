// `npm run check:native`: the tests of the addon and the keeper over builds with AddressSanitizer and UBSan, hostile tables included.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { environment, node, root, run } from './lib.mjs';

const prebuilds = join(root, `native/prebuilds/linux-${process.arch}`);
const addon = join(prebuilds, 'packetio-asan.node');

/** The compiler that native/install.mjs takes: its sanitizer has to be the one that is loaded first. */
function compiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  return candidates.map((words) => words.split(' ')).find(([command, ...rest]) => spawnSync(command, [...rest, '--version']).status === 0);
}

/** Path of the sanitizer's library; undefined when there is none. The compiler repeats the name of a library that it does not have. */
function sanitizer([command, ...rest]) {
  const { stdout } = spawnSync(command, [...rest, '-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = stdout?.trim() ?? '';
  return path.includes('/') && existsSync(path) ? path : undefined;
}

const found = compiler();
const library = found && sanitizer(found);
if (library === undefined) {
  console.log(`check:native: skipped: ${found === undefined ? 'there is no C++ compiler' : `${found.join(' ')} has no libasan (it comes with gcc)`}`);
  process.exit(0);
}
let status = run(node, ['native/install.mjs', '--sanitize']);
if (status === 0) {
  const env = {
    ...environment,
    LD_PRELOAD: library,
    // Node.js frees little when it ends, so leaks cannot be told from that.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=0:exitcode=99',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    PACKETIO_TEST_ADDON: addon,
    PACKETIO_TEST_KEEPER: join(prebuilds, 'overlayd-keeper-asan'),
  };
  status = run(node, ['node_modules/vitest/vitest.mjs', 'run', '--project', 'unit', 'native/test'], { env });
}
console.log(`check:native: ${status === 0 ? 'ok' : 'FAILED'}`);
process.exitCode = status;
