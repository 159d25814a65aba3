// A program that starts as overlayd does, up to the control socket. What it shall do stands in the file `mode` of its run
// directory, because its environment is cleaned; what it found is written to `seen.json`.
import { appendFileSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Handlers } from '../../src/core/rpc/server.ts';
import { serve } from '../../src/core/rpc/server.ts';
import { silentLog } from '../../src/core/util/log.ts';
import { HELLO } from './fake-daemon.ts';

const run = process.env.OVERLAYADM_RUN_DIR ?? '';
const mode = readFileSync(join(run, 'mode'), 'utf8');
appendFileSync(join(run, 'pids'), `${process.pid}\n`);
// Nothing of a test may stay, whatever happens.
setTimeout(() => process.exit(9), 15_000).unref();

if (mode === 'fails') {
  const lines = Array.from({ length: 12 }, (_, i) => JSON.stringify({ level: 30, msg: `line ${i}` }));
  appendFileSync(
    join(run, 'overlayd.log'),
    `${[...lines, JSON.stringify({ msg: 'cannot start', error: 'no /dev/net/tun\n  at x', advice: 'Load tun.' })].join('\n')}\n`,
  );
  process.exit(1);
}
if (mode === 'throws') throw new Error('before there is a log');
if (mode === 'hangs') setInterval(() => undefined, 1000);
else {
  try {
    openSync(join(run, 'lock'), 'wx');
  } catch {
    process.exit(3);
  }
  const [, , , , , session] = readFileSync('/proc/self/stat', 'utf8').split(' ');
  writeFileSync(join(run, 'seen.json'), JSON.stringify({ cwd: process.cwd(), environment: process.env, leader: Number(session) === process.pid }));
  if (mode === 'slow') await new Promise((resolve) => setTimeout(resolve, 700));
  const handlers = { hello: async () => ({ ...HELLO, pid: process.pid }) } as unknown as Handlers;
  const credentialsOf = () => ({ pid: 1, uid: 0, gid: 0, groups: [] });
  await serve({ path: join(run, 'overlayd.sock'), log: silentLog, credentialsOf, roleOf: () => 'change', handlers });
  writeSync(3, 'ready\n');
  setInterval(() => undefined, 1000);
}
