// A worker with nothing to do: how soon it takes jobs, and what it uses meanwhile. A process of its own each time.
import { setTimeout as sleep } from 'node:timers/promises';

const rest = async (adapter, url, seconds) => {
  const own = adapter.open(url);
  await own.start();
  const startMs = performance.now(); // since the process began
  await sleep(1000);
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
  needsMeter: false,
  isFresh: true,
  targets: [
    { fact: 'idle cpu %', most: 1 },
    { fact: 'rss MB', against: 'bullmq', most: 1.1 },
  ],
  systems: {
    umbel: ({ adapter, url, size }) => rest(adapter, url, size),
    bullmq: ({ adapter, url, size }) => rest(adapter, url, size),
  },
  celery: (size) => ['rest', size],
};
