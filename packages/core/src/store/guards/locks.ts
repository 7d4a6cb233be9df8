/** This guard renews the locks of jobs while their worker is alive, and reports jobs that another worker has taken over. */
import type { IQueueBackend } from 'bullmq';
import { systemClock } from '../../base/time.js';
import type { Claim, Claims } from '../held-job.js';
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
