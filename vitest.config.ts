import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { IS_LONG, LONG, PGLITE, POSTGRES, PUBLISHED, SIZED } from './test/support/length.js';
import { LongFirst } from './test/support/long-first.js';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Tests run the sources; only processes that a test starts run what was built. */
const alias = {
  '@umbel/core/internal/real-timers': source('./packages/core/src/base/real-timers.ts'),
  '@umbel/core/internal': source('./packages/core/src/internal.ts'),
  '@umbel/core/opentelemetry': source('./packages/core/src/opentelemetry/index.ts'),
  '@umbel/core/prometheus': source('./packages/core/src/prometheus/index.ts'),
  '@umbel/core': source('./packages/core/src/index.ts'),
  '@umbel/canvas/internal': source('./packages/canvas/src/internal.ts'),
  '@umbel/canvas': source('./packages/canvas/src/index.ts'),
  '@umbel/dashboard/node': source('./packages/dashboard/src/node.ts'),
  '@umbel/dashboard': source('./packages/dashboard/src/index.ts'),
  '@umbel/testing/vitest': source('./packages/testing/src/vitest.ts'),
  '@umbel/testing': source('./packages/testing/src/index.ts'),
};

/** Where CI finds how many tests have passed. */
const RESULTS = process.env.UMBEL_TEST_RESULTS ?? '.test-results.json';

/** Files that replace modules, or need one not to be loaded: each runs in a process of its own. */
const ISOLATED = [
  'packages/canvas/test/unit/lazy.test.ts',
  'packages/core/test/unit/piping.test.ts',
  'packages/core/test/unit/real-timers.test.ts',
  'packages/testing/test/unit/fake-timers.test.ts',
];

/** The files of a worker share what it has loaded: loading the packages anew for each took a third of the time. */
const project = (name: string, include: string[], more: Record<string, unknown> = {}) => ({
  resolve: { alias },
  test: {
    name,
    include,
    environment: 'node',
    isolate: false,
    // Against tests that hang. A slow machine does not reach it.
    setupFiles: [source('./test/support/patience.ts')],
    expect: { poll: { timeout: 50_000 } },
    // The results that CI prints have only the message, without the difference.
    chaiConfig: { truncateThreshold: 500 },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    ...more,
  },
});

/** Of tests with a Redis and with processes. */
const WAITING = {
  globalSetup: [
    source('./test/redis.ts'),
    source('./test/postgres.ts'),
    source('./test/pglite.ts'),
    source('./test/support/quick-packages.ts'),
  ],
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

/** Of tests that use the packages as they are published. */
const PACKED = { ...WAITING, globalSetup: [...WAITING.globalSetup, source('./test/support/packed.ts')] };

const inFolders = (folders: string[]) => folders.map((folder) => `${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    reporters: process.env.CI ? ['default', ['json', { outputFile: RESULTS }]] : ['default'],
    // Most tests wait, for processes and for Redis. With one per core, the cores would be idle half of the time.
    maxWorkers: 3 * availableParallelism(),
    sequence: { sequencer: LongFirst },
    projects: [
      project('unit', inFolders(['packages/*/test/unit', 'test/unit']), { exclude: ISOLATED }),
      project('unit, isolated', ISOLATED, { isolate: true }),
      project('property', inFolders(['packages/*/test/property'])),
      project(
        'integration',
        inFolders([
          'packages/*/test/integration',
          'packages/*/test/fault',
          'packages/*/test/security',
          'examples/*/test',
          'chaos/test',
          'test/integration',
        ]),
        { ...WAITING, exclude: [...LONG, ...PUBLISHED, ...POSTGRES.only, ...PGLITE.only] },
      ),
      project('postgres', [...POSTGRES.only, ...POSTGRES.too], {
        ...WAITING,
        env: { UMBEL_ENGINES: 'postgres' },
      }),
      project('pglite', [...PGLITE.only, ...PGLITE.too], { ...WAITING, env: { UMBEL_ENGINES: 'pglite' } }),
      project('published', [...PUBLISHED], PACKED),
      project('long', IS_LONG ? [...LONG, ...SIZED] : [...LONG], PACKED),
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['packages/*/test/types/**/*.test-d.ts'],
            tsconfig: source('./tsconfig.types.json'),
          },
        },
      },
    ],
  },
});
