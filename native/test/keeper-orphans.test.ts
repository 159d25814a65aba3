// overlayd-keeper as the first process of a container: what its child leaves behind becomes its child, and is reaped.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { keeperPath } from '../src/index.ts';

const keeper = process.env.PACKETIO_TEST_KEEPER ?? keeperPath() ?? '';
const unshare = ['unshare', '--pid', '--fork', '--mount-proc'];
const isPossible =
  process.getuid?.() === 0 && spawnSync('unshare', [...unshare.slice(1), 'true']).status === 0 && spawnSync('python3', ['--version']).status === 0;

/** Its first life leaves three processes behind, which end in the second. */
const CHILD = `
ready() { python3 -c 'import os, socket; socket.socket(fileno=int(os.environ["OVERLAYD_KEEPER_FD"])).send(b"READY=1")'; }
ready
if [ "$OVERLAYD_RESTARTS" = 0 ]; then for i in 1 2 3; do sleep 0.3 & done; exit 1; fi
sleep 0.8
cat /proc/[0-9]*/stat
`;

test.skipIf(!isPossible)('orphans of the keeper are no zombies', () => {
  const [command = '', ...args] = [...unshare, keeper, '/bin/sh', '-c', CHILD];
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
  expect({ status, zombies: stdout.split('\n').filter((line) => /\) Z /.test(line)) }).toEqual({ status: 0, zombies: [] });
  expect(stdout).toContain('overlayd-keeper');
});
