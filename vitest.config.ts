// One vitest project for each kind of test; `npm test -- --project unit` runs one of them.
import { defineConfig } from 'vitest/config';

const MINUTE_MS = 60_000;

/** Tests with real processes and a real kernel: one file at a time, and slow when two cores are shared. */
const oneByOne = { pool: 'forks', fileParallelism: false, hookTimeout: MINUTE_MS } as const;

export default defineConfig({
  test: {
    globalSetup: ['test/global-setup.ts'],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'plugins/*/test/**/*.test.ts', 'native/test/**/*.test.ts'] } },
      { extends: true, test: { name: 'fuzz', include: ['test/fuzz/**/*.test.ts'], pool: 'forks', testTimeout: MINUTE_MS } },
      { extends: true, test: { name: 'sim', include: ['test/sim/**/*.test.ts'] } },
      { extends: true, test: { name: 'cli', include: ['test/cli/**/*.test.ts'], testTimeout: 30_000 } },
      { extends: true, test: { name: 'netns', include: ['test/netns/**/*.test.ts'], ...oneByOne, testTimeout: MINUTE_MS } },
      {
        extends: true,
        test: { name: 'packaging', include: ['test/packaging/**/*.test.ts'], ...oneByOne, testTimeout: 5 * MINUTE_MS, hookTimeout: 5 * MINUTE_MS },
      },
    ],
  },
});
