import { addDelayed, addPrioritized, addWaiting } from './enqueue.js';
import { JobRecord, type NewJob } from './job-record.js';
import type { QueueData } from './queue-data.js';

/** Stores a job in no place yet and emits `added`. */
export function storeJob(queue: QueueData, added: NewJob): JobRecord {
  const { id, name, opts } = added;
  const job = new JobRecord(id, name, added.data, opts, added.timestamp);
  job.delay = opts.values.delay ?? 0;
  job.priority = opts.values.priority ?? 0;
  job.deduplicationId = opts.values.deduplication?.id;
  job.repeatJobKey = added.repeatJobKey;
  job.parentKey = added.parentKey;
  job.parent = added.parent;
  queue.jobs.set(id, job);
  queue.emit('event', 'added', 'jobId', id, 'name', name);
  return job;
}

/** Puts a stored job where its options say: delayed, prioritized or waiting. */
export function enqueue(queue: QueueData, job: JobRecord): void {
  if (job.delay > 0) {
    addDelayed(queue, job, job.timestamp, job.delay);
    return;
  }
  if (job.priority > 0) addPrioritized(queue, job, job.priority);
  else addWaiting(queue, job, job.opts.values.lifo === true);
  queue.emitTrimmed('event', 'waiting', 'jobId', job.id);
}
