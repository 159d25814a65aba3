// `npm run bench`: what overlayadm carries beside a kernel VXLAN device, and what its miss path carries. Needs root, iperf3 and ping.
import { registerHooks } from 'node:module';

// The helpers of the tests leave their clearing up to a hook of vitest; here after-all.ts stands in its place.
const standIn = new URL('./after-all.ts', import.meta.url).href;
registerHooks({ resolve: (specifier, context, next) => next(specifier === 'vitest' ? standIn : specifier, context) });
const { main } = await import('./bench.ts');
process.exitCode = await main(process.argv.slice(2));
