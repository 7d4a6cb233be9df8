/** The lock of a job: renewed while its worker lives, and given up when it is another worker's. */
import type { IQueueBackend } from 'bullmq';
import type { Claim, Claims } from '../claims.js';
import { repeat } from './repeat.js';
import { retakeLock } from './retake-lock.js';

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
