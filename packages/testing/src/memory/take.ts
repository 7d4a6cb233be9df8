/** Taking jobs from a queue of the memory store, and their locks. */

import { ErrorCode, type JobJson, type RateLimiterOptions } from 'bullmq';
import { dueTime, promoteDue, wakeWorkers } from './enqueue.js';
import { type JobRecord, toJobJson } from './job-record.js';
import { countStart, limitedFor } from './limits.js';
import type { QueueData } from './queue.js';

/** Token that BullMQ passes for a job without a lock. */
const NO_LOCK = '0';

/** Returns the token that holds the lock of a job, unless it has expired. */
function lockHolder(queue: QueueData, job: JobRecord): string | undefined {
  return job.lockToken !== undefined && job.lockedUntil >= queue.lockNow ? job.lockToken : undefined;
}

export function isLocked(queue: QueueData, job: JobRecord): boolean {
  return lockHolder(queue, job) !== undefined;
}

function lock(queue: QueueData, job: JobRecord, token: string, duration: number): void {
  if (token === NO_LOCK) return;
  job.lockToken = token;
  job.lockedUntil = queue.lockNow + duration;
}

/** Releases a lock. Returns 0, or the error code if `token` does not hold it. */
export function releaseLock(queue: QueueData, job: JobRecord, token: string): number {
  if (token === NO_LOCK) return 0;
  const held = lockHolder(queue, job);
  if (held === undefined) return ErrorCode.JobLockNotExist;
  if (held !== token) return ErrorCode.JobLockMismatch;
  job.lockToken = undefined;
  queue.stalling.delete(job.id);
  return 0;
}

/** Extends a lock by `duration` milliseconds. Returns false if `token` does not hold it. */
export function extendLock(queue: QueueData, jobId: string, token: string, duration: number): boolean {
  const job = queue.jobs.get(jobId);
  if (!job || lockHolder(queue, job) !== token) return false;
  job.lockedUntil = queue.lockNow + duration;
  queue.stalling.delete(jobId);
  return true;
}

/** Extends several locks. Returns the ids of the jobs whose lock could not be extended. */
export function extendLocks(
  queue: QueueData,
  jobIds: readonly string[],
  tokens: readonly string[],
  duration: number,
): string[] {
  return jobIds.filter((jobId, index) => !extendLock(queue, jobId, tokens[index] ?? '', duration));
}

/** Locks an active job that is unlocked or held by this token. Returns false if it was started again since. */
export function takeLock(
  queue: QueueData,
  jobId: string,
  { token, starts, durationMs }: { token: string; starts: number; durationMs: number },
): boolean {
  const job = queue.jobs.get(jobId);
  if (job?.placement !== 'active' || job.attemptsStarted !== starts) return false;
  if (![undefined, token].includes(lockHolder(queue, job))) return false;
  lock(queue, job, token, durationMs);
  return true;
}

/** Returns whether a worker holds the lock of a job. */
export function hasLock(queue: QueueData, jobId: string): boolean {
  const job = queue.jobs.get(jobId);
  return job !== undefined && lockHolder(queue, job) !== undefined;
}

/** Job, job id, rate limit in milliseconds, time of the next delayed job; `[]` where Redis replies 0. */
export type NextJob = [] | [JobJson | null, string | number, number, number];

/** Options of a worker that takes a job. */
export interface TakeOptions {
  readonly token: string;
  readonly lockDuration: number;
  readonly limiter: RateLimiterOptions | undefined;
  readonly workerName: string | undefined;
}

/** Takes the next job: locks it and makes it active. Returns the reason if there is none; undefined for an empty queue. */
export function fetchNext(queue: QueueData, options: TakeOptions, now: number): NextJob | undefined {
  const { time } = queue.directory;
  const closed = !queue.isOpen();
  promoteDue(queue, now);
  const maxJobs = queue.meta.max ?? options.limiter?.max;
  const limited = limitedFor(queue, maxJobs);
  if (limited > 0) return [null, 0, time.forWorker(limited), 0];
  if (closed) return [null, 0, 0, 0];
  const job = queue.wait.popTail() ?? queue.prioritized.popFirst();
  if (job) {
    const duration = options.limiter?.duration ?? queue.meta.duration;
    if (maxJobs !== undefined && job.deferredFailure === undefined) countStart(queue, duration);
    return start(queue, job, options, now);
  }
  queue.priorityCounter = 0;
  const delayed = queue.delayed.first();
  return delayed && [null, 0, 0, time.forWorker(dueTime(delayed))];
}

function start(queue: QueueData, job: JobRecord, options: TakeOptions, now: number): NextJob {
  queue.directory.gate.handedOut(queue.name);
  queue.pushHead('active', job);
  lock(queue, job, options.token, options.lockDuration);
  if (options.workerName) job.processedBy = options.workerName;
  job.processedOn = now;
  job.attemptsStarted += 1;
  queue.emit('event', 'active', 'jobId', job.id, 'prev', 'waiting');
  wakeWorkers(queue);
  return [toJobJson(job), job.id, 0, 0];
}

/** Takes the next job for a worker; returns it, or the reason if there is none. */
export function moveToActive(queue: QueueData, options: TakeOptions): NextJob {
  return fetchNext(queue, options, queue.now) ?? [null, 0, 0, 0];
}
