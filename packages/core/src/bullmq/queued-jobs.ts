/** Jobs of a queue that have not started. */
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

/** The first `limit` of a queue's jobs that wait to be taken, and of those that wait for a time. */
export async function queuedJobs(store: Store, queue: string, limit: number): Promise<StoredJob[]> {
  const ids: string[] = await store.on(queue, async (bull) => [
    ...(await bull.getRanges(['wait', 'prioritized'], 0, limit - 1, true)),
    ...(await bull.getRanges(['delayed'], 0, limit - 1, true)),
  ]);
  const jobs: StoredJob[] = [];
  for (const id of new Set(ids)) {
    const job = await store.job(queue, id);
    if (job !== undefined) jobs.push(job);
    if (jobs.length === limit) break;
  }
  return jobs;
}
