// Makes dist/thin.cjs: the thin path of the show commands as one file. CommonJS, because an ES module that imports node:fs
// makes Node.js load all that is in it (5-9 ms of 45).
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { root } from './lib.mjs';

const bundle = await rolldown({
  input: { thin: join(root, 'dist/core/cli/thin.js') },
  platform: 'node',
  // Loaded only when overlayd does not answer: as the file that it is, seen from dist.
  plugins: [{ name: 'autostart', resolveId: (id) => (id === './autostart.js' ? { id: './core/cli/autostart.js', external: true } : undefined) }],
  logLevel: 'warn',
});
await bundle.write({ dir: join(root, 'dist'), format: 'cjs', entryFileNames: '[name].cjs' });
await bundle.close();
