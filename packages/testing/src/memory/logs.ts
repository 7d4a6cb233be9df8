import { ErrorCode } from 'bullmq';
import type { QueueData } from './queue-data.js';
import { sliceRange } from './ranges.js';

/** How many rows the log has now, or the code of the refusal. */
export function addLog(queue: QueueData, jobId: string, row: string, keep: number | undefined): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  job.logs ??= [];
  job.logs.push(row);
  if (keep) job.logs = sliceRange(job.logs, -keep, -1);
  return job.logs.length;
}

/** Empties a job's log but for its last `keep` rows. */
export function clearLogs(queue: QueueData, jobId: string, keep: number | undefined): void {
  const job = queue.jobs.get(jobId);
  if (job?.logs) job.logs = keep ? sliceRange(job.logs, -keep, -1) : undefined;
}

/** A range of a job's log, counted from its end and reversed unless `asc`, and its length. */
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
