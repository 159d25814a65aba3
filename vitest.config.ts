// One vitest project for each kind of test; `npm test -- --project unit` runs one of them.
import { defineConfig } from 'vitest/config';

const MINUTE_MS = 60_000;

/** Tests with real processes and a real kernel: one file at a time, and slow when two cores are shared. */
const oneByOne = { pool: 'forks', fileParallelism: false, hookTimeout: MINUTE_MS } as const;

/**
 * Each file has namespaces and directories of its own, so two may run side by side, where cores wait for processes more than they work;
 * after the projects of groupOrder 0, because projects with another number of workers cannot be in one group.
 */
const twoAtATime = { pool: 'forks', maxWorkers: 2, sequence: { groupOrder: 1 }, hookTimeout: MINUTE_MS } as const;

const NETNS = ['test/netns/**/*.test.ts'];
/** Thousands of frames a second of which none may be lost, or how long others wait: what runs beside them would be measured too. */
const NETNS_LOAD = ['differential', 'files-live', 'kernel-death', 'kernel-first-contact', 'plugin-flow', 'restart', 'scale'].map(
  (name) => `test/netns/${name}.test.ts`,
);

export default defineConfig({
  test: {
    globalSetup: ['test/global-setup.ts'],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts', 'plugins/*/test/**/*.test.ts', 'native/test/**/*.test.ts'] } },
      { extends: true, test: { name: 'fuzz', include: ['test/fuzz/**/*.test.ts'], pool: 'forks', testTimeout: MINUTE_MS } },
      { extends: true, test: { name: 'sim', include: ['test/sim/**/*.test.ts'] } },
      { extends: true, test: { name: 'cli', include: ['test/cli/**/*.test.ts'], testTimeout: 30_000 } },
      { extends: true, test: { name: 'netns', include: NETNS, exclude: NETNS_LOAD, ...twoAtATime, testTimeout: MINUTE_MS } },
      { extends: true, test: { name: 'netns-load', include: NETNS_LOAD, ...oneByOne, testTimeout: MINUTE_MS } },
      {
        extends: true,
        test: { name: 'packaging', include: ['test/packaging/**/*.test.ts'], ...oneByOne, testTimeout: 5 * MINUTE_MS, hookTimeout: 5 * MINUTE_MS },
      },
    ],
  },
});
