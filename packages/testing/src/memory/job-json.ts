import type { JobJson, JobProgress, ParentKeys } from 'bullmq';
import { readOptions, storeOptions } from './job-options.js';
import { JobRecord } from './job-record.js';

/** A copy of a stored job in the form BullMQ builds its `Job` from; the id travels beside it. */
export function toJobJson(job: JobRecord): JobJson {
  const json = {
    id: undefined,
    name: job.name,
    data: job.data || '{}',
    opts: readOptions(job.opts),
    progress: job.progress === undefined ? 0 : (JSON.parse(job.progress) as JobProgress),
    delay: Math.trunc(job.delay),
    priority: job.priority,
    timestamp: Math.trunc(job.timestamp),
    attemptsStarted: job.attemptsStarted,
    attemptsMade: job.attemptsMade,
    stalledCounter: job.stalledCounter,
    finishedOn: job.finishedOn,
    processedOn: job.processedOn,
    repeatJobKey: job.repeatJobKey,
    debounceId: job.deduplicationId,
    deduplicationId: job.deduplicationId,
    failedReason: job.failedReason,
    deferredFailure: job.deferredFailure,
    stacktrace: job.stacktrace,
    returnvalue: job.returnvalue,
    parentKey: job.parentKey,
    parent: job.parent && copyParent(job.parent),
    processedBy: job.processedBy,
  };
  // Sound as far as BullMQ goes: its Redis backend returns these same fields, absent ones as undefined.
  return json as unknown as JobJson;
}

/** What BullMQ's Redis backend makes of a child that is no longer stored: a job of absent values. */
export function missingJobJson(): JobJson {
  const empty = toJobJson(new JobRecord('', '', '', storeOptions(undefined), Number.NaN));
  return Object.assign(empty, { name: undefined, delay: Number.NaN, priority: Number.NaN });
}

function copyParent(parent: ParentKeys): ParentKeys {
  return { ...parent };
}
