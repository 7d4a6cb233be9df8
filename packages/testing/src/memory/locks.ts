import { ErrorCode } from 'bullmq';
import type { JobRecord } from './job-record.js';
import type { QueueData } from './queue-data.js';

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
