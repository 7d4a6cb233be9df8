/**
 * These guards keep the locks of a worker. They renew the locks of jobs while their worker is alive, report jobs that another
 * worker has taken over, and delay the sweep for jobs of dead workers while their workers may still be alive.
 */

import type { IQueueBackend, KeepJobs, MinimalJob } from 'bullmq';
import { systemClock } from '../../base/time.js';
import type { Claim, Claims } from '../held-job.js';
import type { EndedSet } from '../primitives/ended-jobs.js';
import { primitivesOf } from '../primitives/jobs.js';
import { retryTransient } from './transient.js';

/**
 * Locks a job again whose lock has expired. Returns true if the worker of this claim holds the job again: no other worker
 * has taken it in the meantime.
 *
 * W10: if a store is frozen or unreachable for longer than a lock, all locks expire at once, and every job would run a
 * second time.
 */
export async function retakeLock(
  backend: IQueueBackend,
  { id, token, starts }: Claim,
  durationMs: number,
): Promise<boolean> {
  return (await primitivesOf(backend)?.takeLock(id, token, starts, durationMs)) ?? false;
}

export interface LockOptions {
  readonly claims: Claims;
  readonly pause: (ms: number) => Promise<void>;
  /** Called with a claim whose job another worker has taken over, or soon will. */
  readonly onLost: (claim: Claim) => void;
}

/** Attempts at a renewal within one lock duration. Sweeps wait half a lock duration once the store accepts writes again. */
const TRIES_PER_LOCK = 12;

/**
 * W8: BullMQ lets a handler continue whose job another worker has taken over; `onLost` aborts it. W10: a lock that expired
 * while the store did not answer or refused writes is locked again if no worker has taken the job. A refused renewal is
 * repeated until it succeeds, so that it precedes the sweep of another worker.
 */
export function keepsLocks(backend: IQueueBackend, { claims, pause, onLost }: LockOptions): void {
  const extendLocks = backend.extendLocks.bind(backend);
  backend.extendLocks = async (jobIds, tokens, duration) => {
    const limits = {
      limitMs: Number.POSITIVE_INFINITY,
      longestPauseMs: duration / TRIES_PER_LOCK,
      pause,
      isOver: () => backend.closing !== undefined,
    };
    const tokenOf = new Map(jobIds.map((id, index) => [id, tokens[index] ?? '']));
    const lost: string[] = [];
    for (const id of await retryTransient(() => extendLocks(jobIds, tokens, duration), limits)) {
      const claim = claims.find(id, tokenOf.get(id) ?? '');
      if (claim === undefined) continue; // its outcome was stored in the meantime
      if (await retryTransient(() => retakeLock(backend, claim, duration), limits)) continue;
      lost.push(id);
      onLost(claim);
    }
    return lost;
  };
}

// Waits for a rate limit.
// W26: when the rate of a queue is exhausted, BullMQ sleeps in the process for up to 30 s, even if the rate is raised or
// removed in the meantime. Here the worker waits for a job instead, until the rate allows one again, and `LimitPrimitive`
// wakes it when the rate changes.

/** Maximum wait before it checks again: some stores do not wake workers when a rate changes. */
const LONGEST_MS = 10_000;

/** Indexes in the answer with the next job: how long the rate is exhausted, and when the next job is due. */
const LIMITED_MS = 2;
const DUE_AT = 3;

/** Returns the answer of a command that fetches the next job. If a rate prevents that, it says that a job is due once the rate allows it. */
export function waitingForRate<Answer>(answer: Answer): Answer {
  if (Array.isArray(answer)) return untilAllowed(answer);
  // The answer of a commit contains the answer with the next job.
  if (typeof answer !== 'object' || answer === null || !('result' in answer)) return answer;
  const { result } = answer;
  return Array.isArray(result) ? { ...answer, result: untilAllowed(result) } : answer;
}

function untilAllowed<Fetched extends unknown[]>(fetched: Fetched): Fetched {
  const limitedMs = fetched[LIMITED_MS];
  if (typeof limitedMs !== 'number' || limitedMs <= 0) return fetched;
  const dueAt = systemClock.now() + Math.min(limitedMs, LONGEST_MS);
  // A list with the same shape, with two numbers replaced.
  return fetched.with(LIMITED_MS, 0).with(DUE_AT, dueAt) as Fetched;
}

// Sweeps: the search for jobs whose worker was lost.
// W9, W10: if the store was frozen or unreachable or refused writes, or the event loop of this process was blocked, locks
// expired although their workers are alive. The workers need a moment to renew them; an earlier sweep would run every job a
// second time.

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
