import type { StoredJob } from '../bullmq/stored-job.js';
import type { JobInfo } from './async-result.js';

/** What callers are told of a stored job. */
export function jobInfoOf(job: StoredJob): JobInfo {
  const { headers = {}, label, alone, root, parent } = job.envelope ?? {};
  const run = alone ? undefined : job.envelope?.run;
  return {
    id: job.id,
    task: job.name,
    displayName: label ?? job.name,
    queue: job.queue,
    attempts: job.attempts,
    enqueuedAt: new Date(job.enqueuedAt),
    ...(job.startedAt !== undefined && { startedAt: new Date(job.startedAt) }),
    ...(job.finishedAt !== undefined && { finishedAt: new Date(job.finishedAt) }),
    headers,
    ...(run !== undefined && { runId: run }),
    rootId: root ?? run ?? job.id,
    ...(parent !== undefined && { parentId: parent }),
  };
}
