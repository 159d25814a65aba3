// Answers hello on descriptor 3, a socket that listens at the path given as argument, until its input ends.
import { serve } from '../../src/core/rpc/server.ts';
import { silentLog } from '../../src/core/util/log.ts';
import { HELLO } from '../cli/fake-daemon.ts';

const FIRST_INHERITED = 3;
const refused = (): never => {
  throw new Error('only hello is answered');
};
const server = await serve({
  path: process.argv[2] ?? '',
  fd: FIRST_INHERITED,
  log: silentLog,
  handlers: new Proxy({ hello: async () => HELLO }, { get: (target, name) => (name === 'hello' ? target.hello : refused) }) as never,
  credentialsOf: () => ({ pid: process.pid, uid: 0, gid: 0, groups: [] }),
  roleOf: () => 'change',
});
process.stdout.write('serves\n');
process.stdin.resume().once('end', () => void server.close());
