/** Whose lock a job has: kept while its worker lives, and told when it is another's. */
import type { IQueueBackend } from 'bullmq';
import type { Claim, Claims } from '../claims.js';
import { retakeLock } from './retake-lock.js';

export interface LockOptions {
  readonly claims: Claims;
  /** Is told of a job that has been taken by another worker, or soon will be. */
  readonly onLost: (claim: Claim) => void;
}

/**
 * W8: BullMQ lets a handler go on whose job another worker has taken; `onLost` gives it up. W10: a lock that ran out
 * while the store did not answer, and whose job nobody has taken, is taken again.
 */
export function keepsLocks(backend: IQueueBackend, { claims, onLost }: LockOptions): void {
  const extendLocks = backend.extendLocks.bind(backend);
  backend.extendLocks = async (jobIds, tokens, duration) => {
    const tokenOf = new Map(jobIds.map((id, index) => [id, tokens[index] ?? '']));
    const lost: string[] = [];
    for (const id of await extendLocks(jobIds, tokens, duration)) {
      const claim = claims.find(id, tokenOf.get(id) ?? '');
      if (claim !== undefined && (await retakeLock(backend, claim, duration))) continue;
      lost.push(id);
      if (claim !== undefined) onLost(claim);
    }
    return lost;
  };
}
