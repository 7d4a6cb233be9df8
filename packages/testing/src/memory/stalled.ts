import type { JobRecord } from './job-record.js';
import { isLocked } from './locks.js';
import type { QueueData } from './queue-data.js';
import { wakeWorkers } from './wake.js';

/** The ids of the active jobs put back because no worker renewed their lock since the last sweep. */
export function recoverStalled(queue: QueueData, maxStalledCount: number, interval: number): string[] {
  const now = queue.lockNow;
  if (now <= queue.stalledCheckUntil) return [];
  queue.stalledCheckUntil = now + interval;
  queue.events.trim(queue.meta.maxEvents());
  const recovered: string[] = [];
  for (const jobId of queue.directory.choice.arrange(queue.stalling)) {
    const job = queue.jobs.get(jobId);
    if (!job || isLocked(queue, job) || !queue.take('active', job)) continue;
    job.stalledCounter += 1;
    const scheduled = job.repeatJobKey !== undefined && queue.schedulers.has(job.repeatJobKey);
    if (job.stalledCounter > maxStalledCount && !scheduled) {
      job.deferredFailure = 'job stalled more than allowable limit';
    }
    putBack(queue, job);
    recovered.push(jobId);
  }
  queue.stalling.clear();
  for (const job of queue.active) queue.stalling.add(job.id);
  if (recovered.length > 0) wakeWorkers(queue);
  return recovered;
}

/** Takes active jobs from the workers that hold them, as if those had died; gives the jobs. */
export function dropLocks(queue: QueueData, isDropped: (job: JobRecord) => boolean): JobRecord[] {
  const dropped = [...queue.active].filter(isDropped);
  for (const job of dropped) job.lockToken = undefined;
  return dropped;
}

/** Lets a job run again that no worker holds any more, as a sweep would. */
export function recover(queue: QueueData, job: JobRecord): void {
  if (isLocked(queue, job) || !queue.take('active', job)) return;
  job.stalledCounter += 1;
  putBack(queue, job);
  wakeWorkers(queue);
}

function putBack(queue: QueueData, job: JobRecord): void {
  queue.pushTail('wait', job);
  queue.emit('event', 'waiting', 'jobId', job.id, 'prev', 'active');
  queue.emit('event', 'stalled', 'jobId', job.id);
}
