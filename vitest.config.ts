import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

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
  '@umbel/testing/vitest': source('./packages/testing/src/vitest.ts'),
  '@umbel/testing': source('./packages/testing/src/index.ts'),
};

const project = (name: string, folders: string[], more: Record<string, unknown> = {}) => ({
  resolve: { alias },
  test: {
    name,
    include: folders.map((folder) => `${folder}/**/*.test.ts`),
    environment: 'node',
    ...more,
  },
});

export default defineConfig({
  test: {
    reporters: process.env.CI ? ['default', ['json', { outputFile: '.test-results.json' }]] : ['default'],
    // One per core, where the default leaves a core idle: most tests wait for processes and for Redis.
    maxWorkers: '100%',
    projects: [
      project('unit', ['packages/*/test/unit', 'test/unit']),
      project('property', ['packages/*/test/property']),
      project(
        'integration',
        [
          'packages/*/test/integration',
          'packages/*/test/fault',
          'packages/*/test/security',
          'examples/*/test',
          'chaos/test',
          'test/integration',
        ],
        {
          globalSetup: [source('./test/redis.ts')],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      ),
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
