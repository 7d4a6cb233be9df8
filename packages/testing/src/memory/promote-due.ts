import { addPrioritized, dueScore } from './enqueue.js';
import type { QueueData } from './queue-data.js';

const BATCH = 1000;

/** Moves delayed jobs that are due to the waiting or prioritized ones, a thousand at most. */
export function promoteDue(queue: QueueData, now: number): void {
  const limit = dueScore(now);
  const first = queue.delayed.first();
  if (!first || first.score > limit) return;
  for (const job of queue.delayed.upTo(limit, BATCH)) {
    queue.detach(job);
    if (job.priority > 0) addPrioritized(queue, job, job.priority);
    else queue.pushHead('wait', job);
    job.delay = 0;
    queue.emit('event', 'waiting', 'jobId', job.id, 'prev', 'delayed');
  }
}
