import type { IQueueBackend } from 'bullmq';
import type { Claim } from '../claims.js';
import { primitivesOf } from '../primitives.js';

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
  const primitives = primitivesOf(backend);
  if (primitives === undefined || !(await primitives.setLock(id, token, durationMs))) return false;
  // With a lock it stays as it is: only now can it be told that it was not taken.
  const [job, isActive] = await Promise.all([backend.getJobData(id), backend.isJobInState('active', id)]);
  return isActive && job?.attemptsStarted === starts;
}
