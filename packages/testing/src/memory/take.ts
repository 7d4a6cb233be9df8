import { ErrorCode, type JobJson, type RateLimiterOptions } from 'bullmq';
import { dueTime, promoteDue, wakeWorkers } from './enqueue.js';
import { type JobRecord, toJobJson } from './job-record.js';
import { countStart, limitedFor } from './limits.js';
import type { QueueData } from './queue.js';

/** The token BullMQ passes for a job that is handled without a lock. */
const NO_LOCK = '0';

/** The token that holds the job, unless its lock has expired. */
function holder(queue: QueueData, job: JobRecord): string | undefined {
  return job.lockToken !== undefined && job.lockedUntil >= queue.lockNow ? job.lockToken : undefined;
}

export function isLocked(queue: QueueData, job: JobRecord): boolean {
  return holder(queue, job) !== undefined;
}

export function lock(queue: QueueData, job: JobRecord, token: string, duration: number): void {
  if (token === NO_LOCK) return;
  job.lockToken = token;
  job.lockedUntil = queue.lockNow + duration;
}

/** 0 once the lock is released, or the error code of a lock that `token` does not hold. */
export function releaseLock(queue: QueueData, job: JobRecord, token: string): number {
  if (token === NO_LOCK) return 0;
  const held = holder(queue, job);
  if (held === undefined) return ErrorCode.JobLockNotExist;
  if (held !== token) return ErrorCode.JobLockMismatch;
  job.lockToken = undefined;
  queue.stalling.delete(job.id);
  return 0;
}

/** Whether `token` still held the lock, which now lasts `duration` milliseconds more. */
export function extendLock(queue: QueueData, jobId: string, token: string, duration: number): boolean {
  const job = queue.jobs.get(jobId);
  if (!job || holder(queue, job) !== token) return false;
  job.lockedUntil = queue.lockNow + duration;
  queue.stalling.delete(jobId);
  return true;
}

/** The ids of the jobs whose lock could not be extended. */
export function extendLocks(
  queue: QueueData,
  jobIds: readonly string[],
  tokens: readonly string[],
  duration: number,
): string[] {
  return jobIds.filter((jobId, index) => !extendLock(queue, jobId, tokens[index] ?? '', duration));
}

/** Locks an active job that has no lock, or this one, unless it was started again since. */
export function takeLock(
  queue: QueueData,
  jobId: string,
  { token, starts, durationMs }: { token: string; starts: number; durationMs: number },
): boolean {
  const job = queue.jobs.get(jobId);
  if (job?.placement !== 'active' || job.attemptsStarted !== starts) return false;
  if (![undefined, token].includes(holder(queue, job))) return false;
  lock(queue, job, token, durationMs);
  return true;
}

/** Job, job id, milliseconds of rate limit, moment of the next delayed job; empty where Redis replies 0. */
export type NextJob = [] | [JobJson | null, string | number, number, number];

/** How a worker takes a job. */
export interface TakeOptions {
  readonly token: string;
  readonly lockDuration: number;
  readonly limiter: RateLimiterOptions | undefined;
  readonly workerName: string | undefined;
}

/** The next job, locked and active, or why there is none; undefined for an empty queue. */
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

/** The next job, locked and active, or why there is none. */
export function moveToActive(queue: QueueData, options: TakeOptions): NextJob {
  return fetchNext(queue, options, queue.now) ?? [null, 0, 0, 0];
}
