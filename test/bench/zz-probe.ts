// temporary probe
import { registerHooks } from 'node:module';
const standIn = new URL('./after-all.ts', import.meta.url).href;
registerHooks({ resolve: (specifier, context, next) => next(specifier === 'vitest' ? standIn : specifier, context) });
const { clearUp } = await import('./after-all.ts');
const { probe } = await import('./zz-probe-run.ts');
try { await probe(process.argv.slice(2)); } finally { await clearUp(); }
