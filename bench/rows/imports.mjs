// What it takes to import each package, in a process of its own each time. What a package imports is part of it.
const packages = {
  core: '@umbel/core',
  canvas: '@umbel/canvas',
  testing: '@umbel/testing',
  bullmq: 'bullmq',
  zod: 'zod',
};

const timed = async (name) => {
  const startedAt = performance.now();
  const before = process.memoryUsage.rss();
  await import(name);
  return {
    phases: {},
    facts: {
      'import ms': performance.now() - startedAt,
      'rss MB': (process.memoryUsage.rss() - before) / 1e6,
    },
  };
};

export const row = {
  title: 'import of a package',
  size: { full: 1, quick: 1 },
  needsRedis: false,
  usesAdapters: false,
  needsMeter: false,
  isFresh: true,
  targets: [],
  systems: Object.fromEntries(Object.entries(packages).map(([system, name]) => [system, () => timed(name)])),
};
