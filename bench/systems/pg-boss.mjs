// pg-boss on PostgreSQL, with as many jobs at the same time as the other systems. It has no workflows, and no call returns a
// result.
import { randomUUID } from 'node:crypto';
import { PgBoss } from 'pg-boss';
import { CONCURRENCY } from './bullmq.mjs';

/** A queue of its own. */
export async function open(url) {
  const boss = new PgBoss({ connectionString: url, useListenNotify: true });
  boss.on('error', console.error);
  await boss.start();
  const name = `bench-${randomUUID().slice(0, 8)}`;
  await boss.createQueue(name, { notify: true });
  let left = Number.POSITIVE_INFINITY;
  let done = () => {};
  return {
    send: (data) => boss.send(name, data),
    sendAll: (all) =>
      boss.insert(
        name,
        all.map((data) => ({ data })),
      ),
    /** Takes and ends batches of jobs, the fastest way that pg-boss offers. A batch fails as a whole. */
    start: () =>
      boss.work(
        name,
        { batchSize: CONCURRENCY, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
        (jobs) => {
          left -= jobs.length;
          if (left === 0) done();
          return jobs.map(({ data }) => data);
        },
      ),
    /** Resolves once so many jobs have run from now on. */
    jobs: (count) =>
      new Promise((resolve) => {
        left = count;
        done = resolve;
      }),
    close: () => boss.stop({ graceful: false }),
  };
}
