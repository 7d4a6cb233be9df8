/** Rate limits, concurrency, metrics and job logs of a queue in the memory store. */

import { ErrorCode, type FinishedStatus } from 'bullmq';
import { sliceRange } from './collections.js';
import type { LimiterRecord, QueueData } from './queue.js';

/** Count of a window that admits no job: higher than every limit. */
const CLOSED_COUNT = Number.MAX_SAFE_INTEGER;

/** Returns the current rate-limit window, if any. */
function window(queue: QueueData): LimiterRecord | undefined {
  const { limiter } = queue;
  if (limiter?.expiresAt !== undefined && queue.leaseNow > limiter.expiresAt) queue.limiter = undefined;
  return queue.limiter;
}

/** Returns how long no job may start because `maxJobs` have started in the window, in milliseconds. */
export function limitedFor(queue: QueueData, maxJobs: number | undefined): number {
  const limiter = maxJobs === undefined ? undefined : window(queue);
  if (!limiter || maxJobs === undefined || limiter.count < maxJobs) return 0;
  if (limiter.expiresAt === undefined) return 0;
  const left = limiter.expiresAt - queue.leaseNow;
  if (left <= 0) queue.limiter = undefined;
  return Math.max(left, 0);
}

/** Counts one started job, opening a window of `duration` milliseconds with the first. */
export function countStart(queue: QueueData, duration: number | undefined): void {
  const limiter = window(queue);
  if (limiter) {
    limiter.count += 1;
    return;
  }
  const length = Math.floor(Math.abs(duration ?? 0));
  if (length > 0) queue.limiter = { count: 1, expiresAt: queue.leaseNow + length };
}

/** Limits of a queue. An absent value stays unchanged; null removes a limit. */
export interface QueueLimits {
  readonly concurrency?: number | null;
  readonly rate?: { readonly max: number; readonly durationMs: number } | null;
}

/**
 * Sets limits. An open rate window continues: with its start time and count, and with the length of the new rate.
 */
export function changeLimits(queue: QueueData, { concurrency, rate }: QueueLimits): void {
  put(queue, 'concurrency', concurrency);
  if (rate === undefined) return;
  const before = queue.meta.duration;
  put(queue, 'max', rate === null ? null : rate.max);
  put(queue, 'duration', rate === null ? null : rate.durationMs);
  const limiter = window(queue);
  if (limiter === undefined || limiter.count >= CLOSED_COUNT) return;
  const left = windowLeft(queue);
  const keeps =
    rate === null || before === undefined || left <= 0 ? 0 : rate.durationMs - Math.max(0, before - left);
  queue.limiter = keeps <= 0 ? undefined : { count: limiter.count, expiresAt: queue.leaseNow + keeps };
}

function put(queue: QueueData, field: string, value: number | null | undefined): void {
  if (value === null) queue.meta.delete(field);
  else if (value !== undefined) queue.meta.set(field, String(value));
}

/** Keeps the queue limited for `duration` milliseconds. */
export function limitFor(queue: QueueData, duration: number): void {
  queue.limiter = { count: CLOSED_COUNT, expiresAt: queue.leaseNow + duration };
}

/** Returns the remaining time of the window in milliseconds; -2 without a window, -1 for a window without an end. */
export function windowLeft(queue: QueueData): number {
  const limiter = window(queue);
  if (!limiter) return -2;
  return limiter.expiresAt === undefined ? -1 : limiter.expiresAt - queue.leaseNow;
}

/** Returns the remaining time of the rate limit for `maxJobs` or the queue's limit; like {@link windowLeft} without a limit. */
export function rateLimitLeft(queue: QueueData, maxJobs: number | undefined): number {
  const limit = maxJobs || queue.meta.max;
  return limit === undefined ? windowLeft(queue) : limitedFor(queue, limit);
}

const MINUTE = 60_000;

/** Counts one finished job. In a new minute it completes the points of the earlier minutes. */
export function countFinished(queue: QueueData, type: FinishedStatus, maxPoints: number, now: number): void {
  let metrics = queue.metrics.get(type);
  if (!metrics) {
    metrics = { count: 0, previousTime: undefined, previousCount: 0, points: [] };
    queue.metrics.set(type, metrics);
  }
  const before = metrics.count;
  metrics.count += 1;
  if (metrics.previousTime === undefined) {
    metrics.previousTime = now;
    return;
  }
  const minutes = Math.floor(now / MINUTE) - Math.floor(metrics.previousTime / MINUTE);
  const added = Math.min(minutes, maxPoints);
  if (added <= 0) return;
  const points = [before - metrics.previousCount, ...new Array<number>(added - 1).fill(0)].reverse();
  metrics.points = [...points, ...metrics.points].slice(0, maxPoints);
  metrics.previousCount = before;
  metrics.previousTime = now;
}

/** Returns total, last time and count of the last minute; then the points of a range, newest first; then their number. */
export function readMetrics(
  queue: QueueData,
  type: FinishedStatus,
  start: number,
  end: number,
): [(string | null)[], string[], number] {
  const metrics = queue.metrics.get(type);
  if (!metrics) return [[null, null, null], [], 0];
  const { count, previousTime, previousCount, points } = metrics;
  return [
    [String(count), previousTime === undefined ? null : String(previousTime), String(previousCount)],
    sliceRange(points, start, end).map(String),
    points.length,
  ];
}

/** Appends a row to a job's log. Returns the number of rows, or the code of the refusal. */
export function addLog(queue: QueueData, jobId: string, row: string, keep: number | undefined): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  job.logs ??= [];
  job.logs.push(row);
  if (keep) job.logs = sliceRange(job.logs, -keep, -1);
  return job.logs.length;
}

/** Clears a job's log except its last `keep` rows. */
export function clearLogs(queue: QueueData, jobId: string, keep: number | undefined): void {
  const job = queue.jobs.get(jobId);
  if (job?.logs) job.logs = keep ? sliceRange(job.logs, -keep, -1) : undefined;
}

/** Returns a range of a job's log and its length. Without `asc` the range counts from the end and is reversed. */
export function readLogs(
  queue: QueueData,
  jobId: string,
  start: number,
  end: number,
  asc: boolean,
): { logs: string[]; count: number } {
  const rows = queue.jobs.get(jobId)?.logs ?? [];
  const logs = asc ? sliceRange(rows, start, end) : sliceRange(rows, -(end + 1), -(start + 1)).reverse();
  return { logs, count: rows.length };
}
