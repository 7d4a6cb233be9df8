// A worker with nothing to do: how soon it takes jobs, and what it uses meanwhile. A process of its own each time, with one
// task that has no schema: what a validator takes (zod 12 MB) is the same wherever it is used.
import { setTimeout as sleep } from 'node:timers/promises';

const rest = async (start, seconds) => {
  await start();
  const startMs = performance.now(); // since the process began
  await sleep(2 * seconds * 1000); // some 15 seconds after a start V8 tidies up, once
  const before = process.cpuUsage();
  await sleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  return {
    phases: {},
    facts: {
      'start ms': startMs,
      'idle cpu %': (user + system) / 10_000 / seconds,
      'rss MB': process.memoryUsage.rss() / 1e6,
    },
  };
};

export const row = {
  title: 'worker at rest, with nothing but a task',
  size: { full: 10, quick: 2, celery: 10, celeryQuick: 2 },
  usesAdapters: false,
  needsMeter: false,
  isFresh: true,
  targets: [
    { fact: 'idle cpu %', most: 1 },
    { fact: 'rss MB', against: 'bullmq', most: 1.05 },
  ],
  systems: {
    umbel: ({ url, size }) =>
      rest(async () => {
        const { createApp } = await import('@umbel/core');
        const app = createApp({ name: 'bench', connection: url });
        app.task({ name: 'noop', run: async () => null });
        await app.worker({ concurrency: 100 }).start();
      }, size),
    bullmq: ({ url, size }) =>
      rest(async () => {
        const { Worker } = await import('bullmq');
        const worker = new Worker('bench', async () => null, { connection: { url }, concurrency: 100 });
        await worker.waitUntilReady();
      }, size),
  },
  celery: (size) => ['rest', size],
};
