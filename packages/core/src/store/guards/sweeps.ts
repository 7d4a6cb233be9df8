/**
 * This guard delays the sweep for jobs of dead workers while their workers may still be alive.
 *
 * W9, W10: if the store was frozen or unreachable or refused writes, or the event loop of this process was blocked, locks
 * expired although their workers are alive. The workers need a moment to renew them; an earlier sweep would run every job
 * a second time.
 */
import type { IQueueBackend, KeepJobs, MinimalJob } from 'bullmq';
import type { EndedSet } from '../primitives/ended-jobs.js';
import { primitivesOf } from '../primitives/jobs.js';

/** A slower answer means that the store was frozen. */
const SLOW_MS = 1000;

/** Delays sweeps after an outage. @param intervalMs Time between two sweeps of a worker. */
export function holdsSweepsOff(backend: IQueueBackend, intervalMs: number): void {
  const sweep = backend.moveStalledJobsToWait.bind(backend);
  const primitives = primitivesOf(backend);
  // The probe queues behind the store's backlog. It writes, because a read-only store renews no locks.
  const probe = () => primitives?.tryWrite?.() ?? backend.getQueueMetaField('version');
  let lastAt = performance.now();
  // This worker may have been started after an outage.
  let heldUntil = lastAt + intervalMs;
  let wasRefused = false;
  backend.moveStalledJobsToWait = async () => {
    const startedAt = performance.now();
    // Only the first accepted command shows that a refusal has ended.
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

// Ending jobs remove no other jobs.
// W13: whenever a job ends, BullMQ removes all jobs of the queue that ended longer ago than the retention of *that* job,
// including jobs that runs still need. Umbel's workers remove due jobs themselves, see `../retention.ts`.

/** BullMQ's type of the retention of a job. */
type Keep = boolean | number | KeepJobs | undefined;

const ALL: KeepJobs = { count: -1 };

/** Keeps ended jobs. @param onKept Called with the retention of an ended job that has its own, in milliseconds. */
export function keepsEnded(backend: IQueueBackend, onKept: (set: EndedSet, ms: number) => void): void {
  const { moveToCompleted, moveToFailed } = backend;
  const kept = (job: MinimalJob, set: EndedSet, keep: Keep): Keep => {
    if (keep === undefined) return ALL;
    if (keep === true || keep === 0) return keep;
    const age = typeof keep === 'object' && 'age' in keep ? keep.age : undefined;
    if (typeof keep === 'object' && keep.count === 0) return keep;
    // No other job needs it. A job with a parent is removed with the parent.
    if (age === 0 && job.parentKey === undefined && hasNoChildren(job)) return true;
    if (typeof age === 'number') onKept(set, age * 1000);
    return ALL;
  };
  backend.moveToCompleted = (job, value, keep, ...rest) =>
    moveToCompleted.call(backend, job, value, kept(job, 'completed', keep) ?? ALL, ...rest);
  backend.moveToFailed = (job, reason, keep, ...rest) =>
    moveToFailed.call(backend, job, reason, kept(job, 'failed', keep) ?? ALL, ...rest);
}

/** Returns whether a job without a parent has no children. */
function hasNoChildren({ data }: MinimalJob): boolean {
  const { run, replacement } = (data ?? {}) as { run?: unknown; replacement?: unknown };
  return run === undefined && replacement === undefined;
}
