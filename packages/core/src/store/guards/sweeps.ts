/**
 * The sweep for jobs whose worker has died waits while there is reason to think that theirs have not.
 *
 * W9, W10: when the store was frozen or away, or refused to write, or the event loop of this process stood still, locks
 * ran out although their workers live. They need a moment to renew them; a sweep that comes first would run every job a
 * second time.
 */
import type { IQueueBackend, KeepJobs, MinimalJob } from 'bullmq';
import type { EndedSet } from '../primitives/ended-jobs.js';
import { primitivesOf } from '../primitives/jobs.js';

/** A store whose answer takes longer has stood still. */
const SLOW_MS = 1000;

/** @param intervalMs From one sweep of a worker to the next. */
export function holdsSweepsOff(backend: IQueueBackend, intervalMs: number): void {
  const sweep = backend.moveStalledJobsToWait.bind(backend);
  const primitives = primitivesOf(backend);
  // It comes after all that the store has to catch up with. A store that only reads renews no locks.
  const probe = () => primitives?.tryWrite?.() ?? backend.getQueueMetaField('version');
  let lastAt = performance.now();
  // A worker may have been started because everything was away.
  let heldUntil = lastAt + intervalMs;
  let wasRefused = false;
  backend.moveStalledJobsToWait = async () => {
    const startedAt = performance.now();
    // When a refusal has ended is known only from the first command that is taken again.
    let isLate = wasRefused || startedAt - lastAt > 2 * intervalMs;
    wasRefused = true;
    try {
      await probe();
      wasRefused = false;
      isLate ||= performance.now() - startedAt > Math.min(SLOW_MS, intervalMs / 2);
    } finally {
      lastAt = performance.now();
      if (isLate || wasRefused) heldUntil = lastAt + intervalMs;
    }
    if (lastAt < heldUntil) return [];
    try {
      return await sweep();
    } catch (error) {
      wasRefused = true;
      throw error;
    }
  };
}

// A job that ends removes no other one.
// W13: BullMQ removes, whenever a job ends, all jobs of the queue that ended longer ago than *that* job is to be kept,
// those of runs that still need them included. Umbel's workers remove what is due by themselves, see `../retention.ts`.

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
