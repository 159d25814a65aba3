// Starts overlayd in the foreground, in this process.
import './node-version.js';

const { useCompileCache } = await import('./compile-cache.js');
useCompileCache();
await import('../dist/core/daemon/main.js');
