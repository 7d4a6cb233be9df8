/** The ends of active jobs in the memory store: finish, retry, delay and wait for children, as BullMQ's Lua scripts do it. */

import { isLongText, leftOutText } from '@umbel/core/internal';
import { ErrorCode, type FinishedStatus, type KeepJobs, type RetryOptions } from 'bullmq';
import { enqueue, freeAfterFinish, holdDeduplication, storeJob } from './add.js';
import {
  addDelayed,
  addFirstOfPriority,
  addPrioritized,
  addWaiting,
  promoteDue,
  wakeWorkers,
} from './enqueue.js';
import {
  childrenOf,
  detachFromParent,
  forget,
  pendingChildren,
  reattachChild,
  removeJob,
  reportCompleted,
  reportFailed,
} from './family.js';
import type { JobRecord, NewJob } from './job-record.js';
import { countFinished, windowLeft } from './limits.js';
import type { QueueData } from './queue.js';
import { stateOf } from './reads.js';
import { fetchNext, type NextJob, releaseLock, type TakeOptions } from './take.js';

/** Fields BullMQ writes together with a change of state. */
export type JobFields = Readonly<Record<string, unknown>>;

/** Writes the fields that reads return. As in Redis, other fields are never read. */
function updateFields(job: JobRecord, fields: JobFields): void {
  const { failedReason, stacktrace, returnvalue, data, progress } = fields;
  if (failedReason !== undefined) job.failedReason = String(failedReason);
  if (stacktrace !== undefined) job.stacktrace = String(stacktrace);
  if (returnvalue !== undefined) job.returnvalue = String(returnvalue);
  if (data !== undefined) job.data = String(data);
  if (progress !== undefined) job.progress = String(progress);
}

/** Replaces the data of a job. Returns 0, or the code of the refusal. */
export function updateData(queue: QueueData, jobId: string, data: string): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  job.data = data;
  return 0;
}

/** Condition of a data change: the job has failed, or it has not ended and was started exactly `starts` times. */
export type DataCondition = 'failed' | { readonly starts: number };

/** Replaces the data of a job. Returns false if the job is missing, its data has changed, or `only` does not hold. */
export function replaceData(
  queue: QueueData,
  jobId: string,
  current: string,
  next: string,
  only?: DataCondition,
): boolean {
  const job = queue.jobs.get(jobId);
  if (job?.data !== current) return false;
  if (only === 'failed' && stateOf(queue, jobId) !== only) return false;
  if (typeof only === 'object' && (job.attemptsStarted !== only.starts || job.finishedOn !== undefined))
    return false;
  job.data = next;
  return true;
}

/** Sets the progress of a job. Returns 0, or the code of the refusal. */
export function updateProgress(queue: QueueData, jobId: string, progress: string): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  job.progress = progress;
  queue.emitTrimmed('event', 'progress', 'jobId', jobId, 'data', progress);
  return 0;
}

/** The outcome of a job, and how it is stored. */
export interface Outcome {
  readonly status: FinishedStatus;
  /** JSON text of the result, or the reason of the failure. */
  readonly value: string;
  readonly token: string;
  readonly keep: KeepJobs;
  /** Maximum number of attempts by the job's options. */
  readonly attempts: number;
  readonly maxMetricsPoints: number | undefined;
  readonly fields: JobFields | undefined;
  /** Options to take the next job in the same step; undefined to take none. */
  readonly next: TakeOptions | undefined;
}

const AGE_LIMIT = 1000;
/** Beginning of the data of Umbel's jobs. */
const OWN_DATA = '{"umbel":';

/** Finishes a job. Returns the next job, `[]` if none was taken, or the code of the refusal. */
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
  // Like Umbel's workers on Redis: see `guards/long-results.ts` of the core package.
  const isOwn = status === 'completed' && keep.count !== 0 && job.data.startsWith(OWN_DATA);
  const shown = isOwn && isLongText(value) ? leftOutText(value) : value;
  queue.emit('event', status, 'jobId', job.id, property, shown, 'prev', 'active');
  if (status === 'failed' && job.attemptsMade >= attempts) {
    const made = String(job.attemptsMade);
    queue.emit('event', 'retries-exhausted', 'jobId', job.id, 'attemptsMade', made);
  }
}

/** Returns the retention of a job: its own option, else the worker's option, else unlimited. */
export function retention(
  jobOption: boolean | number | KeepJobs | undefined,
  workerOption: KeepJobs | undefined,
): KeepJobs {
  if (jobOption === undefined) return workerOption ?? { count: -1 };
  if (typeof jobOption === 'object') return jobOption;
  return { count: typeof jobOption === 'number' ? jobOption : jobOption ? 0 : -1 };
}

function requeue(queue: QueueData, job: JobRecord, next: boolean): void {
  if (job.priority > 0) addPrioritized(queue, job, job.priority);
  else addWaiting(queue, job, next);
}

/** Returns an active job to the waiting ones. Returns 0, or the code of the refusal. */
export function retryActive(
  queue: QueueData,
  jobId: string,
  next: boolean,
  token: string,
  fields: JobFields | undefined,
): number {
  const { now } = queue;
  promoteDue(queue, now);
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  const refused = releaseLock(queue, job, token);
  if (refused < 0) return refused;
  if (fields) updateFields(job, fields);
  if (!queue.take('active', job)) return ErrorCode.JobNotInState;
  requeue(queue, job, next);
  job.attemptsMade += 1;
  queue.emitTrimmed('event', 'waiting', 'jobId', jobId, 'prev', 'active');
  wakeWorkers(queue);
  return 0;
}

/** Returns a finished job to the waiting ones. Returns 0, or the code of the refusal. */
export function retryFinished(
  queue: QueueData,
  jobId: string,
  state: FinishedStatus,
  next: boolean,
  { resetAttemptsMade, resetAttemptsStarted }: RetryOptions,
): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  if (!queue.take(state, job)) return ErrorCode.JobNotInState;
  if (resetAttemptsMade) job.attemptsMade = 0;
  if (resetAttemptsStarted) job.attemptsStarted = 0;
  clearOutcome(job, state);
  requeue(queue, job, next);
  reattachChild(queue, job, state);
  queue.emitTrimmed('event', 'waiting', 'jobId', jobId, 'prev', state);
  wakeWorkers(queue);
  return 0;
}

/** Clears the outcome of a job. */
export function clearOutcome(job: JobRecord, state: FinishedStatus): void {
  job.finishedOn = undefined;
  job.processedOn = undefined;
  if (state === 'failed') job.failedReason = undefined;
  else job.returnvalue = undefined;
}

/** Returns an active job to the waiting ones. Returns the remaining rate limit in milliseconds, or the code of the refusal. */
export function moveActiveToWait(queue: QueueData, jobId: string, token: string): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  const refused = releaseLock(queue, job, token);
  if (refused < 0) return refused;
  if (queue.take('active', job)) {
    if (job.priority > 0) addFirstOfPriority(queue, job, job.priority);
    else queue.pushTail('wait', job);
    queue.emitTrimmed('event', 'waiting', 'jobId', jobId, 'prev', 'active');
    wakeWorkers(queue);
  }
  return queue.directory.time.forWorker(Math.max(windowLeft(queue), 0));
}

/** Options of a move from active to delayed. */
export interface Postponement {
  readonly delay: number;
  readonly token: string;
  readonly skipAttempt: boolean;
  readonly fields: JobFields | undefined;
  /** Options to take the next job in the same step; undefined to take none. */
  readonly next: TakeOptions | undefined;
}

/** Moves an active job to the delayed ones. Returns the next job, `[]` if none was taken, or the code of the refusal. */
export function moveToDelayed(queue: QueueData, jobId: string, postponement: Postponement): NextJob | number {
  const job = queue.jobs.get(jobId);
  const { now } = queue;
  if (!job) return ErrorCode.JobNotExist;
  const refused = releaseLock(queue, job, postponement.token);
  if (refused < 0) return refused;
  if (postponement.fields) updateFields(job, postponement.fields);
  if (!queue.take('active', job)) return ErrorCode.JobNotInState;
  if (!postponement.skipAttempt) job.attemptsMade += 1;
  job.delay = postponement.delay;
  addDelayed(queue, job, now, postponement.delay);
  const next = postponement.next && fetchNext(queue, postponement.next, now);
  wakeWorkers(queue);
  return next?.[0] ? next : [];
}

/** Lets an active job wait for its children. Returns 0, 1 if no child is pending, or the code of the refusal. */
export function moveToWaitingChildren(
  queue: QueueData,
  jobId: string,
  token: string,
  childKey: string | undefined,
): number {
  const job = queue.jobs.get(jobId);
  const { now } = queue;
  if (!job) return ErrorCode.JobNotExist;
  if (job.children && job.children.unsuccessful.size > 0) return ErrorCode.JobHasFailedChildren;
  const waits = childKey ? job.children?.pending.has(childKey) : pendingChildren(job) > 0;
  if (!waits) return 1;
  const refused = releaseLock(queue, job, token);
  if (refused < 0) return refused;
  if (!queue.take('active', job)) return ErrorCode.JobNotInState;
  queue.place('waiting-children', job, now);
  queue.emit('event', 'waiting-children', 'jobId', jobId, 'prev', 'active');
  wakeWorkers(queue);
  return 0;
}
