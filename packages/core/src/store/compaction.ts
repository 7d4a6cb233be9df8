/**
 * This module shrinks the records of the jobs of a completed run, which the store keeps for as long as its result.
 *
 * BullMQ stores with each step where its parent is, and what a failure of the step means to the parent. A completed step
 * does not need that, and as it is long, Redis stores the whole record in about three times the memory (see
 * `engine/redis/compaction.ts`). Readers notice nothing: the key of the parent stays.
 *
 * Failed jobs keep their records, so that they can be resumed. A worker that dies before leaves the records as they are.
 */
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { compactionIn } from './primitives/ended-jobs.js';
import type { Store } from './store.js';

/** Number of jobs that one command shrinks. */
const TOGETHER = 50;

/**
 * Shrinks the records of a run's completed jobs, from the run down, a command after the other. Does nothing if the run has
 * not completed. May be repeated.
 */
export async function compactRun(store: Store, run: string): Promise<void> {
  const compaction = await store.on(INTERNAL_QUEUE, async (bull) => compactionIn(bull.getBackend()));
  if (compaction === undefined) return;
  const { id, queue } = store.parentKeyOf({ queue: INTERNAL_QUEUE, id: run });
  const keys = [`${queue}:${id}`];
  while (keys.length > 0) {
    const some = keys.splice(-TOGETHER);
    for (const key of await store.reach(() => compaction.compactJobs(run, some))) keys.push(key);
  }
}
