// Starts one command of overlayadm. Plugins that people installed are loaded only when the command is none of ours.
import './node-version.js';

const { useCompileCache } = await import('./compile-cache.js');
useCompileCache();

// Whoever reads our output may have seen enough ("| head"): no reason to complain.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1));

// We checked the version ourselves; and plugins are kept in one place for everybody, not per user as oclif would.
process.env.OCLIF_DISABLE_ENGINE_WARNING = '1';
process.env.OVERLAYADM_DATA_DIR ||= '/var/lib/overlayadm/plugins';

const { runCli } = await import('../dist/core/cli/main.js');
const { isOurs } = await import('./our-commands.js');
const { fileURLToPath } = await import('node:url');

const root = fileURLToPath(new URL('..', import.meta.url));
// An installed plugin may have a hook that runs on every command; ours, which root runs, must not load it.
await runCli(process.argv.slice(2), { root, userPlugins: !isOurs(root, process.argv[2]), devPlugins: false });
