import { isLongText, leftOutText } from '@umbel/core/internal';
import { ErrorCode, type FinishedStatus, type KeepJobs } from 'bullmq';
import { fetchNext, type NextJob, type TakeOptions } from './activate.js';
import { freeAfterFinish, holdDeduplication } from './deduplication.js';
import type { JobRecord, NewJob } from './job-record.js';
import { releaseLock } from './locks.js';
import { countFinished } from './metrics.js';
import { enqueue, storeJob } from './new-job.js';
import { childrenOf, pendingChildren, reportCompleted, reportFailed } from './parents.js';
import type { QueueData } from './queue-data.js';
import { detachFromParent, forget, removeJob } from './removal.js';
import { type JobFields, updateFields } from './update.js';
import { wakeWorkers } from './wake.js';

/** How a job ended and what is to happen with it. */
export interface Outcome {
  readonly status: FinishedStatus;
  /** The JSON text of what it returned, or the reason of its failure. */
  readonly value: string;
  readonly token: string;
  readonly keep: KeepJobs;
  /** The attempts its options allow. */
  readonly attempts: number;
  readonly maxMetricsPoints: number | undefined;
  readonly fields: JobFields | undefined;
  /** How to take the next job in the same step, if one is wanted. */
  readonly next: TakeOptions | undefined;
}

const AGE_LIMIT = 1000;
/** How the data of Umbel's jobs begin. */
const OWN_DATA = '{"umbel":';

/** The next job, empty when none was taken, or the code of the refusal. */
export function finish(queue: QueueData, jobId: string, outcome: Outcome, now: number): NextJob | number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  const completed = outcome.status === 'completed';
  if (completed && pendingChildren(job) > 0) return ErrorCode.JobPendingChildren;
  if (completed && job.children && job.children.unsuccessful.size > 0) return ErrorCode.JobHasFailedChildren;
  const refused = releaseLock(queue, job, outcome.token);
  if (refused < 0) return refused;
  if (outcome.fields) updateFields(job, outcome.fields);
  if (!queue.take('active', job)) return ErrorCode.JobNotInState;
  queue.events.trim(queue.meta.maxEvents());
  settleDeduplication(queue, job, now);
  reportToParent(queue, job, outcome, now);
  job.attemptsMade += 1;
  store(queue, job, outcome, now);
  report(queue, job, outcome);
  if (outcome.maxMetricsPoints) countFinished(queue, outcome.status, outcome.maxMetricsPoints, now);
  const next = outcome.next && fetchNext(queue, outcome.next, now);
  wakeWorkers(queue);
  if (next) return next;
  if (queue.wait.size === 0 && queue.active.size === 0 && queue.prioritized.size === 0) {
    queue.emit('event', 'drained');
  }
  return [];
}

function settleDeduplication(queue: QueueData, job: JobRecord, now: number): void {
  const id = job.deduplicationId;
  if (id === undefined) return;
  freeAfterFinish(queue, id, job.id);
  const next = queue.deduplicatedNext.get(id);
  if (next) addKept(queue, id, next, now);
}

function addKept(queue: QueueData, deduplicationId: string, kept: NewJob, now: number): void {
  queue.lastId += 1;
  const options = kept.opts.values.deduplication;
  if (options) holdDeduplication(queue, options, kept.id);
  const job = storeJob(queue, { ...kept, timestamp: now });
  enqueue(queue, job);
  const parent = kept.parentKey === undefined ? undefined : queue.directory.find(kept.parentKey);
  if (parent) childrenOf(parent.job).pending.add(queue.keyOf(job));
  queue.deduplicatedNext.delete(deduplicationId);
}

function reportToParent(queue: QueueData, job: JobRecord, outcome: Outcome, now: number): void {
  const parent = job.parentKey === undefined ? undefined : queue.directory.find(job.parentKey);
  if (!parent) return;
  const key = queue.keyOf(job);
  if (outcome.status === 'completed') reportCompleted(parent, key, outcome.value, now);
  else reportFailed(parent, job, key, outcome.value, now);
}

function store(queue: QueueData, job: JobRecord, { status, value, keep }: Outcome, now: number): void {
  if (keep.count === 0) {
    forget(queue, job);
    detachFromParent(queue, job, false);
    return;
  }
  queue.place(status, job, now);
  job.finishedOn = now;
  if (status === 'completed') {
    job.returnvalue = value;
  } else {
    job.failedReason = value;
    job.deferredFailure = undefined;
  }
  const finished = queue.sorted(status);
  if ('age' in keep && keep.age !== undefined) {
    const oldest = now - keep.age * 1000;
    for (const old of finished.downFrom(oldest, keep.limit ?? AGE_LIMIT)) removeJob(queue, old, false, false);
  }
  while (keep.count !== undefined && keep.count > 0 && finished.size > keep.count) {
    const oldest = finished.first();
    if (!oldest) break;
    removeJob(queue, oldest, false, false);
  }
}

function report(queue: QueueData, job: JobRecord, { status, value, attempts, keep }: Outcome): void {
  const property = status === 'completed' ? 'returnvalue' : 'failedReason';
  // As Umbel's workers have it on Redis, see `guards/long-results.ts` of the core package.
  const isOwn = status === 'completed' && keep.count !== 0 && job.data.startsWith(OWN_DATA);
  const shown = isOwn && isLongText(value) ? leftOutText(value) : value;
  queue.emit('event', status, 'jobId', job.id, property, shown, 'prev', 'active');
  if (status === 'failed' && job.attemptsMade >= attempts) {
    const made = String(job.attemptsMade);
    queue.emit('event', 'retries-exhausted', 'jobId', job.id, 'attemptsMade', made);
  }
}

/** The retention that applies: the job's own option, else the worker's, else keeping all. */
export function retention(
  own: boolean | number | KeepJobs | undefined,
  workers: KeepJobs | undefined,
): KeepJobs {
  if (own === undefined) return workers ?? { count: -1 };
  if (typeof own === 'object') return own;
  return { count: typeof own === 'number' ? own : own ? 0 : -1 };
}
