import { ErrorCode, type FinishedStatus, type RetryOptions } from 'bullmq';
import { fetchNext, type NextJob, type TakeOptions } from './activate.js';
import { addDelayed, addFirstOfPriority, addPrioritized, addWaiting } from './enqueue.js';
import type { JobRecord } from './job-record.js';
import { releaseLock } from './locks.js';
import { pendingChildren, reattachChild } from './parents.js';
import { promoteDue } from './promote-due.js';
import type { QueueData } from './queue-data.js';
import { windowLeft } from './rate-limit.js';
import { type JobFields, updateFields } from './update.js';
import { wakeWorkers } from './wake.js';

function requeue(queue: QueueData, job: JobRecord, next: boolean): void {
  if (job.priority > 0) addPrioritized(queue, job, job.priority);
  else addWaiting(queue, job, next);
}

/** 0 once an active job waits again, or the code of the refusal. */
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

/** 0 once a finished job waits again, or the code of the refusal. */
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

/** Forgets how and when a job finished. */
export function clearOutcome(job: JobRecord, state: FinishedStatus): void {
  job.finishedOn = undefined;
  job.processedOn = undefined;
  if (state === 'failed') job.failedReason = undefined;
  else job.returnvalue = undefined;
}

/** What is left of the rate limit in milliseconds once an active job waits again, or the code of the refusal. */
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

/** How an active job becomes delayed. */
export interface Postponement {
  readonly delay: number;
  readonly token: string;
  readonly skipAttempt: boolean;
  readonly fields: JobFields | undefined;
  /** How to take the next job in the same step, if one is wanted. */
  readonly next: TakeOptions | undefined;
}

/** The next job, empty when none was taken, or the code of the refusal. */
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

/** 0 once an active job waits for its children, 1 if it has none to wait for, or the code of the refusal. */
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
