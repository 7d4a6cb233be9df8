/** How much of a search or a campaign a run makes: `npm test` a part that is the same each time, `npm run test:long` all. */

/** Set by `npm run test:long`. */
export const IS_LONG = process.env.UMBEL_LONG === '1';

/** What `npm test` takes, and what `npm run test:long` takes. */
export function sized<Size>(short: Size, long: Size): Size {
  return IS_LONG ? long : short;
}

/** Rows of a table of tests: `npm test` takes the first of every `every`, and `npm run test:long` all. */
export function sampled<Row>(rows: readonly Row[], every: number): readonly Row[] {
  return rows.filter((_, index) => IS_LONG || index % every === 0);
}

/**
 * Returns the seed of a random search: the one named by `chosen`, an environment variable's value; in CI and in `npm test`
 * the usual one, so that a change fails only for what it changes; else a new one.
 */
export function searchSeed(chosen: string | undefined, usual: number): number {
  if (chosen !== undefined) return Number(chosen);
  return IS_LONG && process.env.CI === undefined ? Math.floor(Math.random() * 2 ** 31) : usual;
}

/** Campaigns that take minutes. `npm run test:long` runs them; `npm test` and CI do not. */
export const LONG: readonly string[] = [
  'chaos/test/operating-campaigns.test.ts',
  'chaos/test/sending-campaigns.test.ts',
  'chaos/test/worker-campaigns.test.ts',
  'test/integration/nextjs.test.ts',
  'test/integration/other-runners.test.ts',
  'test/integration/postgres-versions.test.ts',
  'test/integration/prisma.test.ts',
  'test/integration/stores.test.ts',
];

/**
 * Files that install, bundle or build what is published, and compile or run what the docs show. `npm run test:published`
 * runs them, and CI; `npm test` does not.
 */
export const PUBLISHED: readonly string[] = [
  'packages/cli/test/integration/packed.test.ts',
  'packages/core/test/security/published-packages.test.ts',
  'test/integration/bundles.test.ts',
  'test/integration/docs.test.ts',
  'test/integration/guides.test.ts',
  'test/integration/packages.test.ts',
  'test/integration/runners.test.ts',
  'test/integration/site.test.ts',
  'test/integration/walk.test.ts',
];

/**
 * What `npm run test:postgres` runs: files that are only about PostgreSQL, which `npm test` does not run, and a part of those
 * that `npm test` runs on the other stores.
 */
export const POSTGRES = {
  only: [
    'chaos/test/postgres-campaigns.test.ts',
    'chaos/test/postgres-proxy.test.ts',
    'examples/transactions/test/transactions.test.ts',
    'packages/cli/test/integration/migrate.test.ts',
    'packages/cli/test/integration/postgres-commands.test.ts',
    'packages/core/test/fault/postgres.test.ts',
    'packages/core/test/integration/postgres-lists.test.ts',
    'packages/core/test/integration/postgres-statements.test.ts',
    'packages/core/test/integration/postgres.test.ts',
    'packages/core/test/integration/transactions.test.ts',
  ],
  too: [
    'packages/canvas/test/integration/rules/*.test.ts',
    'packages/core/test/integration/diagnosis.test.ts',
    'packages/core/test/integration/limits.test.ts',
    'packages/core/test/integration/primitives.test.ts',
    'packages/core/test/integration/shared-commands.test.ts',
    'packages/core/test/integration/stored-jobs.test.ts',
    'packages/core/test/integration/tasks.test.ts',
  ],
} as const;

/** The same of PGlite, for `npm run test:pglite`. */
export const PGLITE = {
  only: [
    'packages/cli/test/integration/pglite-folder.test.ts',
    'packages/core/test/integration/pglite.test.ts',
  ],
  too: [
    'packages/canvas/test/integration/rules/chain.test.ts',
    'packages/canvas/test/integration/rules/results.test.ts',
    'packages/core/test/integration/history.test.ts',
    'packages/core/test/integration/primitives.test.ts',
    'packages/core/test/integration/repeated-expansion.test.ts',
    'packages/core/test/integration/retries.test.ts',
    'packages/core/test/integration/signals.test.ts',
    'packages/core/test/integration/stored-jobs.test.ts',
  ],
} as const;

/** Files that are longer in `npm run test:long`: those that import this file. `npm test` runs a part of them. */
export const SIZED: readonly string[] = [
  'chaos/test/postgres-campaigns.test.ts',
  'packages/canvas/test/fault/kill-points.test.ts',
  'packages/canvas/test/fault/signals.test.ts',
  'packages/canvas/test/integration/final-states.test.ts',
  'packages/canvas/test/integration/long-chains.test.ts',
  'packages/canvas/test/integration/random-compositions.test.ts',
  'packages/canvas/test/integration/wait-races.test.ts',
  'packages/core/test/fault/closing.test.ts',
  'packages/core/test/fault/poison.test.ts',
  'packages/core/test/integration/bad-input.test.ts',
  'packages/core/test/integration/isolated.test.ts',
  'packages/core/test/integration/postgres-lists.test.ts',
  'packages/core/test/integration/processes.test.ts',
  'packages/core/test/integration/tag-index.test.ts',
  'packages/core/test/security/stored-names.test.ts',
  'packages/testing/test/integration/memory-like-redis.test.ts',
  'test/integration/examples.test.ts',
  'test/integration/readme.test.ts',
];
