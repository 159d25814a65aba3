// Starts overlayd in the foreground, in this process.
import './node-version.cjs';

const { useCompileCache } = await import('./compile-cache.cjs');
useCompileCache();
await import('../dist/core/daemon/main.js');
