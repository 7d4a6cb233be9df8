import type { IQueueBackend } from 'bullmq';
import type { Claim } from '../claims.js';
import { primitivesOf } from '../primitives/jobs.js';

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
