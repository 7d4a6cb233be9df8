import { ErrorCode } from 'bullmq';
import { stateOf } from './getters.js';
import type { JobRecord } from './job-record.js';
import type { QueueData } from './queue-data.js';

/** Fields BullMQ writes together with a change of state. */
export type JobFields = Readonly<Record<string, unknown>>;

/** Writes the fields a job is read back with; others, as in Redis, are never seen again. */
export function updateFields(job: JobRecord, fields: JobFields): void {
  const { failedReason, stacktrace, returnvalue, data, progress } = fields;
  if (failedReason !== undefined) job.failedReason = String(failedReason);
  if (stacktrace !== undefined) job.stacktrace = String(stacktrace);
  if (returnvalue !== undefined) job.returnvalue = String(returnvalue);
  if (data !== undefined) job.data = String(data);
  if (progress !== undefined) job.progress = String(progress);
}

/** 0, or the code of the refusal. */
export function updateData(queue: QueueData, jobId: string, data: string): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  job.data = data;
  return 0;
}

/** A job that has failed, or one that has not ended and was started exactly so often. */
export type DataCondition = 'failed' | { readonly starts: number };

/** False if the job is gone, its data is another text by now, or it is not as `only` says. */
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

/** 0, or the code of the refusal. */
export function updateProgress(queue: QueueData, jobId: string, progress: string): number {
  const job = queue.jobs.get(jobId);
  if (!job) return ErrorCode.JobNotExist;
  job.progress = progress;
  queue.emitTrimmed('event', 'progress', 'jobId', jobId, 'data', progress);
  return 0;
}
