/** The lock of a job: renewed while its worker lives, and given up when it is another worker's. */
import type { IQueueBackend } from 'bullmq';
import { systemClock } from '../../base/time.js';
import type { Claim, Claims } from '../held-job.js';
import { primitivesOf } from '../primitives/jobs.js';
import { repeat } from './transient.js';

/**
 * Takes a lock again that has run out. True if the worker that made this claim holds the job again: nobody else has
 * taken it meanwhile.
 *
 * W10: a store that is frozen, or away, for longer than a lock lets all locks run out at once, and every job would run
 * a second time.
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
  /** Receives a claim whose job another worker has taken, or soon will. */
  readonly onLost: (claim: Claim) => void;
}

/** Tries of a renewal within one lock. The sweeps of other workers wait half a lock once the store writes again. */
const TRIES_PER_LOCK = 12;

/**
 * W8: BullMQ lets a handler go on whose job another worker has taken; `onLost` gives it up. W10: a lock that ran out
 * while the store did not answer, or refused to write, and whose job nobody has taken, is taken again. A renewal that was
 * refused is repeated until the store takes it, so that it comes before the sweep of another worker.
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
    for (const id of await repeat(() => extendLocks(jobIds, tokens, duration), limits)) {
      const claim = claims.find(id, tokenOf.get(id) ?? '');
      if (claim === undefined) continue; // its outcome was stored meanwhile
      if (await repeat(() => retakeLock(backend, claim, duration), limits)) continue;
      lost.push(id);
      onLost(claim);
    }
    return lost;
  };
}

// A worker whose queue has used up its rate waits where it can be woken.
// W26: BullMQ sleeps in the process then, for 30 s at most, whatever happens meanwhile: a rate that is raised or taken
// away would hold for as long. Here the worker is told to wait for a job instead, until the rate allows one again. What
// sets a rate wakes it, see `LimitPrimitive`.

/** It looks again after so long, whatever it is told: some stores wake nobody when a rate is set. */
const LONGEST_MS = 10_000;

/** In the answer that hands out the next job: for how long the rate is used up, and when the next job is due. */
const LIMITED_MS = 2;
const DUE_AT = 3;

/** What a command answers that hands out the next job; if there is none because of a rate, one is due once it ends. */
export function waitingForRate<Answer>(answer: Answer): Answer {
  if (Array.isArray(answer)) return untilAllowed(answer);
  // A commit that hands out a job tells more.
  if (typeof answer !== 'object' || answer === null || !('result' in answer)) return answer;
  const { result } = answer;
  return Array.isArray(result) ? { ...answer, result: untilAllowed(result) } : answer;
}

function untilAllowed<Handed extends unknown[]>(handed: Handed): Handed {
  const limitedMs = handed[LIMITED_MS];
  if (typeof limitedMs !== 'number' || limitedMs <= 0) return handed;
  const dueAt = systemClock.now() + Math.min(limitedMs, LONGEST_MS);
  // The same list with two numbers in the places of two others.
  return handed.with(LIMITED_MS, 0).with(DUE_AT, dueAt) as Handed;
}
