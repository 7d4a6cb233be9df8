import type { DeduplicationOptions } from 'bullmq';
import { addDelayed } from './enqueue.js';
import type { NewJob } from './job-record.js';
import type { DeduplicationEntry, QueueData } from './queue-data.js';
import { forget } from './removal.js';

/** The entry of a deduplication id, unless it has expired. */
export function deduplicationOf(queue: QueueData, id: string): DeduplicationEntry | undefined {
  const entry = queue.deduplication.get(id);
  if (entry?.expiresAt === undefined || queue.leaseNow <= entry.expiresAt) return entry;
  queue.deduplication.delete(id);
  return undefined;
}

/** Gives the id to a job: for the option's `ttl`, or for good when the last job is to be kept. */
export function holdDeduplication(queue: QueueData, options: DeduplicationOptions, jobId: string): void {
  const { ttl = 0, keepLastIfActive } = options;
  const expiresAt = ttl > 0 && !keepLastIfActive ? queue.leaseNow + ttl : undefined;
  queue.deduplication.set(options.id, { jobId, expiresAt });
}

/** The id of the job that stands in for the new one, if there is one. */
export function deduplicate(queue: QueueData, added: NewJob): string | undefined {
  const options = added.opts.values.deduplication;
  if (!options?.id) return undefined;
  if (options.replace) return replaceDelayed(queue, options, added);
  const standIn = keepFirst(queue, options, added);
  const job = standIn !== undefined && options.reschedule ? queue.jobs.get(standIn) : undefined;
  if (job && queue.take('delayed', job)) {
    job.delay = added.opts.values.delay ?? 0;
    addDelayed(queue, job, added.timestamp, job.delay);
  }
  return standIn;
}

/** As {@link deduplicate}, for a job whose options to replace or reschedule do not apply. */
export function keepFirst(
  queue: QueueData,
  options: DeduplicationOptions,
  added: NewJob,
): string | undefined {
  const entry = deduplicationOf(queue, options.id);
  if (!entry) {
    holdDeduplication(queue, options, added.id);
    return undefined;
  }
  const { jobId } = entry;
  if (recoverStale(queue, entry, options, added.id)) return undefined;
  if (keepAsNext(queue, entry, options, added)) return jobId;
  if (options.extend && (options.ttl ?? 0) > 0) holdDeduplication(queue, options, jobId);
  emitDeduplicated(queue, jobId, options.id, added.id);
  return jobId;
}

function replaceDelayed(queue: QueueData, options: DeduplicationOptions, added: NewJob): string | undefined {
  const entry = deduplicationOf(queue, options.id);
  if (!entry) {
    holdDeduplication(queue, options, added.id);
    return undefined;
  }
  const replaced = queue.jobs.get(entry.jobId);
  if (replaced?.placement !== 'delayed') {
    if (recoverStale(queue, entry, options, added.id)) return undefined;
    keepAsNext(queue, entry, options, added);
    return entry.jobId;
  }
  forget(queue, replaced);
  queue.emit('event', 'removed', 'jobId', replaced.id, 'prev', 'delayed');
  emitDeduplicated(queue, added.id, options.id, replaced.id);
  queue.deduplicatedNext.delete(options.id);
  if (!options.keepLastIfActive && !options.extend && (options.ttl ?? 0) > 0) entry.jobId = added.id;
  else holdDeduplication(queue, options, added.id);
  return undefined;
}

// An id without an end belongs to a job that no longer exists: the new job takes it over.
function recoverStale(
  queue: QueueData,
  entry: DeduplicationEntry,
  options: DeduplicationOptions,
  jobId: string,
): boolean {
  if (entry.expiresAt !== undefined || queue.jobs.has(entry.jobId)) return false;
  queue.deduplicatedNext.delete(options.id);
  holdDeduplication(queue, options, jobId);
  return true;
}

/** Whether the new job was kept to be added when the active one finishes. */
function keepAsNext(
  queue: QueueData,
  entry: DeduplicationEntry,
  options: DeduplicationOptions,
  added: NewJob,
): boolean {
  if (!options.keepLastIfActive || queue.jobs.get(entry.jobId)?.placement !== 'active') return false;
  queue.deduplicatedNext.set(options.id, added);
  entry.expiresAt = undefined;
  emitDeduplicated(queue, entry.jobId, options.id, added.id);
  return true;
}

function emitDeduplicated(queue: QueueData, jobId: string, deduplicationId: string, other: string): void {
  queue.emitTrimmed(
    'event',
    'deduplicated',
    'jobId',
    jobId,
    'deduplicationId',
    deduplicationId,
    'deduplicatedJobId',
    other,
  );
}

/** Frees the id of a job that finished, unless it is to last for its `ttl`. */
export function freeAfterFinish(queue: QueueData, id: string, jobId: string): void {
  const entry = deduplicationOf(queue, id);
  if (
    entry &&
    (entry.expiresAt === queue.leaseNow || (entry.expiresAt === undefined && entry.jobId === jobId))
  ) {
    queue.deduplication.delete(id);
  }
}
