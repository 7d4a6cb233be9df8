/**
 * A job that ends removes no other one.
 *
 * W13: BullMQ removes, whenever a job ends, all jobs of the queue that ended longer ago than *that* job is to be kept,
 * those of runs that still need them included. Umbel's workers remove what is due by themselves, see `../retention.ts`.
 */
import type { IQueueBackend, KeepJobs, MinimalJob } from 'bullmq';
import type { EndedSet } from '../primitives/ended-jobs.js';

/** The retention of a job as BullMQ takes it. */
type Keep = boolean | number | KeepJobs | undefined;

const ALL: KeepJobs = { count: -1 };

/** @param onKept Is told how long a job that ends is kept, in milliseconds, where the job itself says so. */
export function keepsEnded(backend: IQueueBackend, onKept: (set: EndedSet, ms: number) => void): void {
  const { moveToCompleted, moveToFailed } = backend;
  const kept = (job: MinimalJob, set: EndedSet, keep: Keep): Keep => {
    if (keep === undefined) return ALL;
    if (keep === true || keep === 0) return keep;
    const age = typeof keep === 'object' && 'age' in keep ? keep.age : undefined;
    if (typeof keep === 'object' && keep.count === 0) return keep;
    // Nobody needs it any more: a job that others waited for goes with those.
    if (age === 0 && job.parentKey === undefined && isAlone(job)) return true;
    if (typeof age === 'number') onKept(set, age * 1000);
    return ALL;
  };
  backend.moveToCompleted = (job, value, keep, ...rest) =>
    moveToCompleted.call(backend, job, value, kept(job, 'completed', keep) ?? ALL, ...rest);
  backend.moveToFailed = (job, reason, keep, ...rest) =>
    moveToFailed.call(backend, job, reason, kept(job, 'failed', keep) ?? ALL, ...rest);
}

/** Whether nothing stands below a job that has no parent. */
function isAlone({ data }: MinimalJob): boolean {
  const { run, replacement } = (data ?? {}) as { run?: unknown; replacement?: unknown };
  return run === undefined && replacement === undefined;
}
