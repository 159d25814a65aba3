// The program of plugin hosts. `main.js <package root> <module>...` serves over descriptor 3; `main.js --list` prints the providers.
import { Socket } from 'node:net';
import { systemClock } from '../util/clock.ts';
import { shareApi } from './api-hook.ts';
import { importPlugins } from './plugins.ts';
import { PluginHost } from './serve.ts';

async function serve(root: string, modules: readonly string[]): Promise<void> {
  // Opened before anything of the plugin runs. Its descriptor keeps the process alive, and its end is the end of the process.
  const stream = new Socket({ fd: 3, readable: true, writable: true });
  shareApi();
  const plugins = await importPlugins(root, modules);
  new PluginHost(stream, plugins, {
    clock: systemClock,
    ended: (reason) => {
      if (reason !== undefined) process.stderr.write(`varpd: overlayd sent what it should not: ${reason}\n`);
      process.exit(reason === undefined ? 0 : 1);
    },
  });
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--list' && rest[0] !== undefined) {
  const { listProviders } = await import('./list.ts');
  process.stdout.write(`${JSON.stringify(await listProviders(rest[0]))}\n`);
} else if (first !== undefined && rest.length > 0) {
  await serve(first, rest);
} else {
  process.stderr.write('usage: main.js <package root> <module>... | main.js --list <root>; run by overlayd, not by hand\n');
  process.exitCode = 2;
}
